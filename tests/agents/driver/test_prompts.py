"""What a search pays for its prompts: what they add to its own, whatever an engine has kept of others."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.agents import Driver, Task, TaskResult, load_agent
from o1coder_gym.agents.driver.driver import ANSWERS
from o1coder_gym.agents.driver.prompts import Prompts
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.sweep import Replay, answer_within
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.policies.fake import FakeEngine, FakeSettings
from o1coder_gym.policies.language_model import LanguageModelPolicy
from o1coder_gym.runs.budget import Budget, ModelSizes
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import (
    ActionType,
    Problem,
    Proposal,
    Scored,
    SearchResult,
    State,
    Step,
    Transition,
    Usage,
)
from o1coder_gym.types.queries import Advance, Ask, Propose, Score, Search
from tests.agents import toy

SIZES = ModelSizes(policy=3, scorer=5)
"""A token of the policy costs 6 FLOPs, one of the scorer 10."""

WHOLE = Budget(tokens=600)
LIMITS = [Budget(flops=6.0 * tokens) for tokens in range(40, 700, 60)]

ROOT = State("p")
CHILD = ROOT.then(Step(ActionType.DEFINE, "think"))


class Keeping(FakeEngine):
    """An engine that keeps all tokens that it has seen, as one with a prefix cache does.

    Attributes:
        reused: Prompt tokens that it did not have to compute.
    """

    def __init__(self) -> None:
        super().__init__(FakeSettings(tokens=20, depth=3))
        self.reused = 0
        self._seen: set[tuple[int, ...]] = set()

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        return [
            self._counted(request, completions)
            for request, completions in zip(requests, super().generate(requests), strict=True)
        ]

    def _counted(self, request: Generate, completions: tuple[Completion, ...]) -> tuple[Completion, ...]:
        ids, (first, *others) = request.prompt_ids, completions
        kept = next((end for end in reversed(range(len(ids))) if ids[:end] in self._seen), 0)
        self.reused += kept
        for one in completions:
            shown = (*ids, *one.token_ids)
            self._seen.update(shown[:end] for end in range(len(shown) + 1))
        return replace(first, prompt_tokens=len(ids) - kept, cached_tokens=kept), *others


class Reading(toy.ToyModel):
    """Reads the engine's programs: what one returns says how many tests it passes."""

    def _one(self, state: State, action: str) -> Transition:
        returned = re.search(r"return (\d+)", action)
        return super()._one(state, f"code {int(returned[1]) % 5}" if returned else "think " + action)


class ChainScorer:
    """Reads a whole chain, and nothing is equally long."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        return [Scored(len(str(state)) % 7 / 7, 20 + len(str(state)) % 90) for _, state in items]


def search(
    spec: str, budget: Budget, engine: FakeEngine, *, seed: int = 4, journal: RunFolder | None = None
) -> tuple[TaskResult, dict[str, Recording]]:
    recorder = Recorder()
    policy = LanguageModelPolicy(engine)
    driver = Driver(Reading(), policy, ChainScorer(), journal=journal, observer=recorder, sizes=SIZES)
    (found,) = driver.run([Task("p", load_agent(spec), budget, name=spec, seed=seed)])
    assert found.error is None
    return found, recorder.recordings


def within(found: TaskResult, recordings: dict[str, Recording], budget: Budget) -> Replay:
    model = Reading()
    question = model.problem("p"), model.initial("p")
    recording = recordings[found.task.key]
    return answer_within(found.task, *question, recording, budget, sizes=SIZES)


def timeless(usage: Usage) -> Usage:
    return replace(usage, seconds=0.0)


def rows(found: TaskResult, recordings: dict[str, Recording]) -> list[Any]:
    assert found.result is not None
    replays = [within(found, recordings, limit) for limit in LIMITS]
    told = [(one.result.state, one.usage, one.cut) for one in replays]
    return [found.result.state, timeless(found.usage), *told]


SEARCHES = [
    "greedy",
    "best_of_n",
    "best_of_n:width=3",
    "self_repair",
    "beam",
    "mcts",
    "mcts:parallel=4",
    "ab_mcts",
]


@pytest.mark.parametrize("spec", SEARCHES)
def test_a_search_pays_the_same_alone_and_after_others(spec: str) -> None:
    fresh, warm = Keeping(), Keeping()
    alone = rows(*search(spec, WHOLE, fresh))
    search("mcts", WHOLE, warm)
    search(spec, WHOLE, warm)
    before = warm.reused
    assert rows(*search(spec, WHOLE, warm)) == alone
    assert warm.reused - before > fresh.reused  # the engine has computed less this time


@pytest.mark.parametrize("spec", SEARCHES)
@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_search_pays_the_same_when_it_is_resumed(spec: str, kept: int, tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        alone = rows(*search(spec, WHOLE, Keeping(), journal=folder))
    journal = tmp_path / f"{ANSWERS}.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) > kept
    journal.write_text("".join(lines[:kept]))
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        assert rows(*search(spec, WHOLE, Keeping(), journal=folder)) == alone


ENDING = [
    "greedy",
    "best_of_n:n=4",
    "best_of_n:n=5,width=3",
    "self_repair:starts=2",
    "mcts:simulations=6,width=1",
    "mcts:simulations=8,width=1,parallel=3",
]
"""Searches that end by themselves, and ask for one sample at a time."""

BRANCHING = [
    "mcts:simulations=6",
    "beam:beams=2",
    "mcts:simulations=6,evaluate=scored",
    "ab_mcts:simulations=6",
]

PLENTY = Budget(flops=1e9)


@pytest.mark.parametrize("spec", ENDING)
def test_prompts_cost_the_distinct_tokens_that_a_search_has_shown(spec: str) -> None:
    engine = Keeping()
    found, _ = search(spec, PLENTY, engine)
    spent = found.usage
    assert spent.prompt_tokens + spent.cached_tokens == engine.counters.prompt_tokens
    # an engine of its own that drops nothing computes the same, but for what prompts share by chance
    computed = engine.counters.prompt_tokens - engine.reused
    assert computed <= spent.prompt_tokens <= computed + 3 * spent.calls
    assert spent.cached_tokens > spent.prompt_tokens


@pytest.mark.parametrize("spec", [*ENDING, *BRANCHING])
@settings(max_examples=15, deadline=None)
@given(more=st.integers(0, 3_000), seed=st.integers(0, 9))
def test_a_search_is_the_same_within_any_flops_that_pay_for_it(spec: str, more: int, seed: int) -> None:
    found, recordings = search(spec, PLENTY, Keeping(), seed=seed)
    assert found.result is not None
    assert not found.exhausted
    budget = Budget(flops=found.usage.flops + more)
    replay = within(found, recordings, budget)
    assert (replay.result.state, replay.usage) == (found.result.state, timeless(found.usage))
    assert (replay.exhausted, replay.cut) == (False, False)
    if spec in ENDING:
        live, _ = search(spec, budget, Keeping(), seed=seed)
        assert live.result is not None
        assert (live.result.state, timeless(live.usage)) == (found.result.state, timeless(found.usage))


@pytest.mark.parametrize("spec", ["greedy", "best_of_n:n=3", "mcts:simulations=3,width=1"])
def test_a_sample_is_given_where_its_prompt_is_paid_too(spec: str) -> None:
    found, recordings = search(spec, PLENTY, Keeping())
    first = recordings[found.task.key].proposals[0]
    for short in (0, 1):
        limit = Budget(flops=6 * (first.prompt_tokens + first.tokens - short))
        live, shown = search(spec, limit, Keeping())
        replay = within(found, recordings, limit)
        assert live.exhausted
        assert replay.exhausted
        assert shown[found.task.key].proposals[0].finish == ("budget" if short else "stop")
        assert replay.cut is bool(short)
        # nobody could know the length of the first prompt, so one of a wave is read before it is refused
        assert live.usage.tokens == first.tokens


def test_a_chain_that_is_longer_than_what_is_left_is_not_scored() -> None:
    told: list[Any] = []

    class Longer:
        def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
            return [Scored(0.5, 10 + 20 * state.depth) for _, state in items]

    def agent(problem: Problem, root: State, /) -> Search:
        with suppress(BudgetExhausted):
            told.append((yield [Score(root)]))
            told.append((yield [Score(CHILD)]))
        return SearchResult(None)

    for limit, scores in ((40, 2), (39, 1)):
        told.clear()
        driver = Driver(Reading(), toy.ToyPolicy(), Longer(), sizes=SIZES)
        (found,) = driver.run([Task("p", agent, Budget(flops=10.0 * limit))])
        assert found.exhausted is (scores == 1)
        assert (len(told), found.usage.scorer_tokens) == (scores, 40)


def test_prices_by_hand() -> None:
    prompts = Prompts()
    asked, answer = Propose(ROOT, 2), Proposal("think", 6, token_ids=(1, 2, 3, 4, 5), prompt_tokens=40)
    assert prompts.least == 0
    assert prompts.show(asked, answer) == (40, 0)
    assert prompts.least == 1
    assert prompts.show(asked, Proposal("think", 6)) == (
        1,
        39,
    )  # shown again: only the last token is computed
    prompts.remember(asked, (answer, replace(answer, text="think on")))
    prompts.remember(Advance(ROOT, "think"), Transition(CHILD, 0.0, False, False))
    # the child's begins with 40 and the 5 that were sampled, of whatever the engine had kept
    child = Proposal("x", 1, prompt_tokens=3, cached_tokens=49)
    assert prompts.show(Propose(CHILD), child) == (7, 45)
    assert prompts.show(Propose(CHILD), child) == (1, 51)
    note = ROOT.then(Step(ActionType.DEFINE, "a note"))
    prompts.remember(Advance(ROOT, "a note"), Transition(note, 0.0, False, False))
    deep = note.then(Step(ActionType.DEFINE, "another"))
    prompts.remember(Advance(note, "another"), Transition(deep, 0.0, False, False))
    assert prompts.history(deep) == (None, None)
    assert prompts.show(Propose(deep), Proposal("x", 1, prompt_tokens=70)) == (30, 40)
    assert prompts.show(Propose(State("q")), Proposal("x", 1, prompt_tokens=9)) == (9, 0)
    assert prompts.show(Ask("why?"), Proposal("x", 1, prompt_tokens=8, cached_tokens=2)) == (10, 0)
    assert prompts.show(Ask("why?"), Proposal("x", 1)) == (1, 9)


def test_prompts_that_nobody_counts_cost_nothing() -> None:
    prompts = Prompts()
    assert prompts.show(Propose(ROOT), Proposal("think", 6)) == (0, 0)
    assert prompts.least == 0


def test_a_step_that_was_not_taken_leaves_no_trace() -> None:
    prompts = Prompts()
    prompts.remember(Advance(ROOT, "think"), Transition(ROOT, math.nan, False, True, "the budget is spent"))
    assert prompts.history(ROOT) == ()
