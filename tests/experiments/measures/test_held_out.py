"""Measuring a policy: hidden tests decide, greedy and sampled apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from o1coder_gym.errors import InfrastructureError, PolicyError
from o1coder_gym.experiments.measures.held_out import HeldOut, compared, gains, means, policy_quality
from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import Outcome, PolicyRequest, Proposal, Sampling, Submission, Verdict
from o1coder_gym.types.protocols import Judge

ROWS = micro_rows({"test": 3})
REFERENCES = {row.problem.task_id: row.reference for row in ROWS}


class Right:
    """Knows the references; samples of odd seeds are wrong."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [tuple(self._answer(request) for _ in range(request.n)) for request in requests]

    def _answer(self, request: PolicyRequest) -> Proposal:
        wrong = request.sampling.temperature > 0 and request.seed % 2
        code = "def solve(values):\n    return None" if wrong else REFERENCES[request.problem.task_id]
        return Proposal(f"### Step 1 (code)\n```python\n{code}\n```\n", 9)


class Broken:
    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        raise PolicyError("no server")


def held_out(samples: int) -> HeldOut:
    sampling = Sampling(max_tokens=64)
    judge = default_judge()
    return HeldOut(ROWS, judge, step_format=PSEUDOCODE, max_steps=4, sampling=sampling, samples=samples)


def test_greedy_and_samples_are_counted_apart() -> None:
    found = held_out(8).measure(Right())
    assert found["greedy"] == 1.0
    assert 0.2 < found["pass_rate"] < 0.8
    assert found["format_compliance"] == 1.0
    assert found == held_out(8).measure(Right())


class Undecided:
    """A judge that fails on programs that hold a text."""

    def __init__(self, failing: str) -> None:
        self.failing = failing

    def evaluate(self, submissions: Sequence[Submission], **options: Any) -> list[Verdict]:
        verdicts = default_judge().evaluate(submissions, **options)
        return [
            Verdict(Outcome.INFRASTRUCTURE) if self.failing in one.code else verdict
            for one, verdict in zip(submissions, verdicts, strict=True)
        ]


def measured(judge: Judge, samples: int = 8) -> Mapping[str, dict[str, float]]:
    sampling = Sampling(max_tokens=64)
    found = HeldOut(ROWS, judge, step_format=PSEUDOCODE, max_steps=4, sampling=sampling, samples=samples)
    return found.by_problem(Right())


def test_where_the_judge_fails_a_sample_is_missing_and_not_wrong() -> None:
    table = measured(Undecided("return None"))  # all that is wrong
    assert {row["pass_rate"] for row in table.values()} == {1.0}


def test_a_problem_on_which_the_judge_always_fails_is_missing() -> None:
    first, *others = REFERENCES
    table = measured(Undecided((REFERENCES[first] or "").strip()))
    assert list(table) == others
    # compared with a measurement that has it: on the others
    assert gains(measured(default_judge()), table)["greedy"].gain == 0.0
    with pytest.raises(InfrastructureError, match="no problem"):
        means({})
    with pytest.raises(InfrastructureError, match="no problem"):
        gains({}, table)


def test_a_quality_leaves_out_what_the_judge_cannot_decide() -> None:
    first, *others = REFERENCES
    judge = Undecided((REFERENCES[first] or "").strip())
    found = policy_quality(Right(), ROWS, judge, format="pseudocode", max_steps=4)
    assert found.solved == dict.fromkeys(others, 1.0)
    whole = policy_quality(Right(), ROWS, default_judge(), format="pseudocode", max_steps=4)
    assert compared(found, whole)["difference"] == 0.0


class Chatty:
    """Talks about a program, and writes none."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        said = Proposal("Sure, I could write that for you.", 9)
        return [(said,) * request.n for request in requests]


def test_prose_is_not_well_formed() -> None:
    sampling = Sampling(max_tokens=64)
    judge = default_judge()
    chatty = HeldOut(ROWS, judge, step_format=VANILLA, max_steps=1, sampling=sampling, samples=1)
    assert chatty.measure(Chatty())["format_compliance"] == 0.0


def test_a_policy_that_fails_is_not_a_policy_that_is_wrong() -> None:
    with pytest.raises(PolicyError, match="no server"):
        held_out(1).measure(Broken())
