"""One score under all adapters: a program and its tests in, a number or a mask out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.answers.solutions import program_in as program_in  # adapters take it from here
from o1coder_gym.rewards import outcome_reward
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.types import CaseResult, Limits, Problem, Submission, TestCase, Verdict

NO_PROGRAM = "no_program"
"""The outcome of an answer in which there is no program."""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a program.

    Attributes:
        verdict: The judge's; None where there was no program to judge.
    """

    verdict: Verdict | None

    @property
    def masked(self) -> bool:
        """Whether nothing was decided: no tests, tests that cannot be judged, or a failure of the judge."""
        return self.verdict is not None and not self.verdict.outcome.decided

    @property
    def reward(self) -> float:
        """1 iff all tests passed, else 0; NaN if masked, so that it cannot count as a failure by mistake."""
        return math.nan if self.masked else outcome_reward(self.verdict)

    @property
    def pass_ratio(self) -> float:
        """Share of the tests passed in [0, 1]; NaN if masked."""
        if self.masked:
            return math.nan
        return self.verdict.pass_ratio if self.verdict else 0.0

    @property
    def outcome(self) -> str:
        """The verdict's outcome by name, or `NO_PROGRAM`."""
        return self.verdict.outcome.value if self.verdict else NO_PROGRAM

    @property
    def error(self) -> str:
        """One line on what went wrong; empty on a pass."""
        return self.verdict.error if self.verdict else "the answer holds no program"

    def demand(self) -> float:
        """Returns the reward where a framework drops what raises.

        Raises:
            InfrastructureError: When the score is masked.
        """
        if self.masked:
            raise InfrastructureError(f"no reward: {self.outcome}: {self.error}")
        return self.reward


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What programs that answer one question are judged by.

    Attributes:
        tests: At least one, or every score is masked.
        entry_point: Function that they call; None for whole programs.
        prelude: Run before the program, see `Problem.prelude`.
        limits: The judge's usual bounds on one program.
        meta: What a problem's own `meta` says of its judging, see `judged_by`: limits above the usual ones,
            and the kind of task.
    """

    tests: tuple[TestCase, ...]
    entry_point: str | None = None
    prelude: str = ""
    limits: Limits = Limits()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def problem(self, task_id: str, question: str) -> Problem:
        """Returns the problem that asks this question; all of the tests are public ones of it."""
        return Problem(task_id, question, self.entry_point, self.tests, self.meta, self.prelude)

    def submission(self, code: str) -> Submission:
        """Returns a program as the judge takes it."""
        # As every environment does it: a submission of the adapter's own would know less of a problem.
        return submission(self.problem("", ""), code, self.tests, self.limits)


def score(
    code: str | None,
    tests: Sequence[TestCase],
    *,
    entry_point: str | None = None,
    prelude: str = "",
    limits: Limits = Limits(),
) -> Score:
    """Judges one program; calls of many threads are merged, see `sandbox.callers`.

    Args:
        code: Python source, untrusted; None where an answer holds none, see `program_in`.
        tests: The tests that it is run against.
        entry_point: Function that call, assert and check tests use.
        prelude: Run before the program.
        limits: Bounds on it.

    Raises:
        UsageError: When a test cannot be run on any program.
        InfrastructureError: When the sandbox does not start.
    """
    return score_all([(code, GroundTruth(tuple(tests), entry_point, prelude, limits))])[0]


def score_all(items: Sequence[tuple[str | None, GroundTruth]]) -> list[Score]:
    """Judges programs as one batch; errors as of `score`."""
    # Answers without a program are not judged; they score 0 without taking a worker.
    verdicts = iter(shared_judge().evaluate(_submissions(items)))
    return [Score(None if code is None else next(verdicts)) for code, _ in items]


async def score_all_async(items: Sequence[tuple[str | None, GroundTruth]]) -> list[Score]:
    """Judges programs without blocking the event loop; errors as of `score`."""
    verdicts = iter(await shared_judge().evaluate_async(_submissions(items)))
    return [Score(None if code is None else next(verdicts)) for code, _ in items]


def _submissions(items: Sequence[tuple[str | None, GroundTruth]]) -> list[Submission]:
    return [truth.submission(code) for code, truth in items if code is not None]


def case_row(case: CaseResult) -> dict[str, str | None]:
    """Returns the result of one test as a JSON-able dict."""
    return {"outcome": case.outcome.value, "got": case.got, "error": case.error}
