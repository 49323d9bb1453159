"""The bodies of ``/judge``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from o1coder_gym.adapters.ground_truth import read_ground_truth
from o1coder_gym.adapters.judge_service.gate import Refused
from o1coder_gym.adapters.judge_service.sandbox_fusion import MOST_MB, MOST_S, bounded
from o1coder_gym.adapters.scoring import case_row
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.fields import syntax_fault
from o1coder_gym.problems.rows import is_name
from o1coder_gym.types import CallTest, CheckTest, Limits, Submission, Verdict


class LimitsBody(BaseModel):
    """Bounds on one program, see `Limits`."""

    model_config = ConfigDict(extra="forbid")
    cpu_s: Annotated[float, Field(gt=0, le=MOST_S)] = Limits().cpu_s
    wall_s: Annotated[float, Field(gt=0, le=5 * MOST_S)] = Limits().wall_s
    memory_bytes: Annotated[int, Field(gt=0, le=MOST_MB << 20)] = Limits().memory_bytes


class Program(BaseModel):
    """One program; its tests as problem files write them, or as `read_ground_truth` reads them."""

    model_config = ConfigDict(extra="forbid")
    code: str
    tests: list[Any] | dict[str, Any]
    entry_point: str | None = None
    prelude: str = ""
    limits: LimitsBody = LimitsBody()

    @field_validator("entry_point")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not is_name(name):
            raise ValueError("is not the name of a function")
        return name

    @field_validator("prelude")
    @classmethod
    def _is_python(cls, prelude: str) -> str:
        if fault := syntax_fault(prelude):
            raise ValueError(f"not Python: {fault}")
        return prelude

    @property
    def submission(self) -> Submission:
        """The program as the judge takes it.

        Raises:
            ProblemFileError: When its tests cannot be read.
        """
        tests = self.tests
        if isinstance(tests, dict) and self.entry_point and tests.keys() & {"inputs", "input"}:
            tests = {"fn_name": self.entry_point} | tests
        native = isinstance(tests, list) and all(isinstance(one, dict) and "kind" in one for one in tests)
        truth = read_ground_truth({"tests": tests} if native else tests)
        limits, name = Limits(**self.limits.model_dump()), self.entry_point or truth.entry_point
        if name is None and any(isinstance(test, CallTest | CheckTest) for test in truth.tests):
            raise ProblemFileError("field 'entry_point': missing, and the tests call a function")
        truth = replace(truth, entry_point=name, prelude=self.prelude or truth.prelude, limits=limits)
        return bounded(truth).submission(self.code)


class JudgeRequest(BaseModel):
    """A batch."""

    model_config = ConfigDict(extra="forbid")
    submissions: Annotated[list[Program], Field(min_length=1)]
    stop_at_failure: bool = False

    def read(self) -> Iterator[Submission]:
        """Yields the programs as the judge takes them.

        Raises:
            Refused: When the tests of one cannot be read; names it.
        """
        for number, one in enumerate(self.submissions):
            try:
                yield one.submission
            except ProblemFileError as error:
                raise Refused(400, str(error), f"submissions.{number}.tests") from error


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Returns a verdict as a JSON-able dict."""
    return {
        "outcome": verdict.outcome.value,
        "decided": verdict.outcome.decided,
        "passed": verdict.passed,
        "total": verdict.total,
        "tests": [case_row(case) for case in verdict.tests],
        "cpu_s": round(verdict.cpu_s, 6),
        "error": verdict.error,
    }
