"""Episodes: what was sampled, up to where the model's context ended."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from o1coder_gym.agents.rl.episodes import metrics, sample_episodes
from o1coder_gym.errors import O1CoderError, PromptTooLongError
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import PolicyRequest, Proposal, Sampling
from tests.agents.rl.conftest import LetterModel


class Narrow:
    """A policy whose context ends behind so many steps of the problem called one."""

    step_format = PSEUDOCODE

    def __init__(self, room: int) -> None:
        self._room = room

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        if any(one.problem.task_id == "one" and one.state.depth >= self._room for one in requests):
            raise PromptTooLongError("the prompt has 9 tokens; the model's context is 8")
        return [(Proposal("### Step 1 (define)\nbd", 2, sampled_ids=(1, 2)),) * one.n for one in requests]


@pytest.mark.filterwarnings("ignore:.*such states are dead ends")
def test_an_episode_that_outgrows_the_context_ends_there_without_a_program() -> None:
    policy: Any = Narrow(2)
    cut, whole = sample_episodes(LetterModel(), policy, ["one", "two"], sampling=Sampling(), seed=0)
    assert (len(whole.proposals), whole.committed, whole.outcome(1.0, 0.0)) == (3, True, 1.0)
    assert [one.sampled_ids for one in cut.proposals] == [(1, 2)] * 2
    assert len(cut.process) == 2
    assert cut.process == whole.process[:2]
    assert (cut.committed, cut.last.truncated, cut.outcome(1.0, 0.0)) == (False, True, 0.0)


@pytest.mark.filterwarnings("ignore:.*such states are dead ends")
def test_a_question_that_does_not_fit_is_named() -> None:
    policy: Any = Narrow(0)
    with pytest.raises(O1CoderError, match="one: the question is longer than the model's context"):
        sample_episodes(LetterModel(), policy, ["two", "one"], sampling=Sampling(), seed=0)


def test_an_episode_that_was_not_judged_is_counted_and_in_no_mean() -> None:
    policy: Any = Narrow(3)
    judged, failed = sample_episodes(LetterModel(), policy, ["two", "three"], sampling=Sampling(), seed=0)
    steps = (*failed.transitions, failed.last)  # others than the judged one has, and of another score
    terms = {"process": 0.0, "compile": math.nan, "pass": math.nan, "value": math.nan}
    steps = tuple(replace(step, verdict=None, reward_terms=terms) for step in steps)
    failed = replace(failed, transitions=steps, proposals=failed.proposals * 2)
    alone, both = metrics([judged]), metrics([judged, failed])
    assert alone["process"] == pytest.approx(12 / 22)  # of the 22 letters of each step 12 are even
    assert (alone["steps"], alone["tokens"], alone["format_compliance"]) == (3, 6, 1)
    assert both == alone | {"judge_failures": 1.0}
    untested = replace(failed, transitions=(replace(steps[0], reward_terms=terms | {"compile": 1.0}),))
    assert metrics([judged, untested]) == alone | {"untested": 1.0}
    assert math.isnan(metrics([failed])["tokens"])
