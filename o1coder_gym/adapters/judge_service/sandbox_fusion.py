"""SandboxFusion's words: programs run as its clients ask for it, in this project's sandbox.

A client of ``/run_code`` grades by what the program says of itself: exit code and output. A program that
ends with exit code 0 before an appended assert passes there; ``/judge`` does not fall for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from o1coder_gym.adapters.ground_truth import read_ground_truth
from o1coder_gym.adapters.scoring import GroundTruth, Score
from o1coder_gym.problems.answers.programs import limits_for
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.problems.formats.reading.fields import wrong
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.types import CaseResult, Limits, Outcome, StdioTest, Submission

MOST_S = 120.0
"""Longest CPU time that a request may ask for."""
MOST_MB = 4096


class _Run(BaseModel):
    """Limits of a run, under SandboxFusion's names.

    `run_timeout` is CPU seconds here, so that load decides nothing; the wall clock may show five times that.
    """

    run_timeout: Annotated[float, Field(gt=0, le=MOST_S)] = 10.0
    compile_timeout: float | None = None
    memory_limit_MB: Annotated[int, Field(ge=-1, le=MOST_MB)] = -1

    @property
    def limits(self) -> Limits:
        """The limits as the judge takes them."""
        usual = Limits()
        memory = self.memory_limit_MB << 20 if self.memory_limit_MB > 0 else usual.memory_bytes
        return Limits(self.run_timeout, max(usual.wall_s, 5 * self.run_timeout), memory)


class RunCode(_Run):
    """A request of ``/run_code``; what this sandbox does not do is refused by its name."""

    code: str
    language: Literal["python"]
    stdin: str | None = None
    files: dict[str, str | None] = {}
    fetch_files: list[str] = []
    args: list[str] = []

    @field_validator("files", "fetch_files", "args")
    @classmethod
    def _is_empty(cls, value: Any) -> Any:
        if value:
            raise ValueError("is not supported: programs have standard input and output alone")
        return value

    @property
    def submission(self) -> Submission:
        """The run as the judge takes it."""
        return Submission(self.code, None, (StdioTest(self.stdin or "", ""),), self.limits)


class _Config(_Run):
    provided_data: dict[str, Any]
    language: Literal["python"] | None = None
    extra: dict[str, Any] = {}

    @field_validator("extra")
    @classmethod
    def _has_no_judge(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value.get("special_judge_program"):
            raise ValueError("special_judge_program is not supported: send a test of kind checker to /judge")
        return value


class EvaluateBatch(BaseModel):
    """A request of ``/common_evaluate_batch``: one answer against all of its test cases."""

    completion: str
    config: _Config
    id: int | str = 0

    @cached_property
    def program(self) -> str | None:
        """The program of the answer."""
        return program_in(self.completion, self.truth.entry_point)

    @cached_property
    def truth(self) -> GroundTruth:
        """The test cases.

        Raises:
            ProblemFileError: When they cannot be read.
        """
        truth = read_ground_truth(self.config.provided_data.get("test_cases"))
        return bounded(replace(truth, limits=self.config.limits))

    @property
    def run_all(self) -> bool:
        """Whether tests are run after the first that fails."""
        return bool(self.config.extra.get("run_all_cases", True))


def bounded(truth: GroundTruth) -> GroundTruth:
    """Returns what a request is judged by, whose tests may state limits of their own.

    Raises:
        ProblemFileError: When they state more than a request may ask for.
    """
    limits = limits_for(truth.problem("", ""), truth.limits)
    if limits.cpu_s > MOST_S:
        raise wrong("meta.cpu_s", f"at most {MOST_S:g} here, got {limits.cpu_s:g}")
    for name, size in (("memory_bytes", limits.memory_bytes), ("result_bytes", limits.result_bytes)):
        if size > MOST_MB << 20:
            raise wrong(f"meta.{name}", f"at most {MOST_MB << 20} here, got {size}")
    return truth


def run_response(output: Output) -> dict[str, Any]:
    """Returns the answer of ``/run_code``."""
    return _response(output.outcome, output.value or "", output.error)


def batch_response(asked: EvaluateBatch, found: Score) -> dict[str, Any]:
    """Returns the answer of ``/common_evaluate_batch``; ``accepted`` is null for a masked score."""
    cases = found.verdict.tests if found.verdict else ()
    return {
        "id": asked.id,
        "accepted": None if found.masked else found.reward == 1.0,
        "extracted_code": asked.program or "",
        "tests": [_case(case) for case in cases],
        "extra": {"outcome": found.outcome, "error": found.error if found.reward != 1.0 else ""},
    }


def _case(case: CaseResult) -> Mapping[str, Any]:
    # A wrong answer ran to its end: its exit status is that of a success, only `passed` is false.
    ran = Outcome.PASS if case.outcome is Outcome.WRONG_ANSWER else case.outcome
    passed = case.outcome is Outcome.PASS
    return {"passed": passed, "exec_info": _response(ran, case.got or "", case.error), "test_info": None}


def _response(outcome: Outcome, stdout: str, error: str) -> dict[str, Any]:
    late = outcome is Outcome.TIMEOUT
    result = {
        "status": "TimeLimitExceeded" if late else "Finished",
        "execution_time": None,
        "return_code": None if late else int(outcome is not Outcome.PASS),
        "stdout": stdout,
        "stderr": error,
    }
    status = "Success" if outcome is Outcome.PASS else "Failed"
    if not outcome.decided:
        status, result["status"], result["return_code"] = "SandboxError", "Error", None
    message = error if status == "SandboxError" else ""
    return {"status": status, "message": message, "compile_result": None, "run_result": result, "files": {}}
