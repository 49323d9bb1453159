from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.types import Submission, Verdict


@dataclass(frozen=True, slots=True)
class HastyJudge:
    """Grants a tenth of the seconds: what hangs, hangs for a fifth of a second."""

    judge: Judge

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        return self.judge.evaluate([*map(_hurried, submissions)], stop_at_failure=stop_at_failure)

    def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
        return self.judge.outputs([*map(_hurried, submissions)])


def _hurried(submission: Submission) -> Submission:
    limits = submission.limits
    seconds = {name: getattr(limits, name) / 10 for name in ("cpu_s", "wall_s", "total_cpu_s")}
    return replace(submission, limits=replace(limits, **seconds))


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Judge(2) as judge:
        yield judge


@pytest.fixture(scope="session")
def hasty(judge: Judge) -> HastyJudge:
    return HastyJudge(judge)
