"""Measuring a policy: hidden tests decide, greedy and sampled apart."""

from collections.abc import Sequence

import pytest

from o1coder_gym.errors import PolicyError
from o1coder_gym.experiments.measures.held_out import HeldOut
from o1coder_gym.experiments.micro.problems import micro_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import PSEUDOCODE, VANILLA
from o1coder_gym.types import PolicyRequest, Proposal, Sampling

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
