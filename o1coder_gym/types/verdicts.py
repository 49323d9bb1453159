"""Programs to judge, their limits, and the judge's verdicts."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from o1coder_gym.types.tests import TestCase


class Outcome(enum.StrEnum):
    """The result of running a program, by these names everywhere."""

    PASS = "pass"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    NO_TESTS = "no_tests"
    """The program loads, and there was nothing to test it with: neither solved nor failed, never a reward."""
    UNSUPPORTED = "unsupported"
    """The test asks for what cannot be judged here, whatever the program: neither solved nor failed."""
    INFRASTRUCTURE = "infrastructure"
    """Our failure, not the program's: retried, then masked, never a reward."""

    @property
    def decided(self) -> bool:
        """Whether it says if the program is right; what it does not decide is masked, never counted as 0."""
        return self not in (Outcome.NO_TESTS, Outcome.UNSUPPORTED, Outcome.INFRASTRUCTURE)

    @property
    def counted(self) -> bool:
        """Whether it is a success or a failure in a rate: not where the judge could not decide."""
        return self not in (Outcome.UNSUPPORTED, Outcome.INFRASTRUCTURE)

    def after(self, tests: int) -> Outcome:
        """Returns the outcome as that many tests can show it: a pass of none is `NO_TESTS`."""
        return Outcome.NO_TESTS if self is Outcome.PASS and not tests else self


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one run of a program.

    Attributes:
        cpu_s: CPU seconds for each test; the limit that decides about a timeout.
        wall_s: Wall-clock backstop in seconds for each test, well above `cpu_s` so that load decides nothing.
        memory_bytes: Address space above the baseline of the interpreter, for each test.
        stdout_bytes: Standard output of a test beyond twice the expected one; more is an error.
        result_bytes: Encoded results of a submission beyond twice the expected ones; more is an error.
        total_cpu_s: CPU seconds for all tests of a submission together, a cap that right programs do not
            meet; at least `cpu_s` is granted, and in proportion more for more than thirty tests.
    """

    cpu_s: float = 2.0
    wall_s: float = 10.0
    memory_bytes: int = 512 << 20
    stdout_bytes: int = 4 << 20
    result_bytes: int = 1 << 20
    total_cpu_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Submission:
    """One program to be judged.

    Attributes:
        code: Python source, untrusted.
        entry_point: Function that call, assert and check tests use; None for stdio tests.
        tests: The tests that it is run against; empty: it must only load and define `entry_point`.
        limits: Bounds for this item.
        prelude: Run before the program, see `Problem.prelude`.
    """

    code: str
    entry_point: str | None
    tests: tuple[TestCase, ...]
    limits: Limits = Limits()
    prelude: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of one test.

    Attributes:
        outcome: How it ended; tests that were skipped after a failure share the outcome of that failure.
        got: Bounded repr of the value that the program returned or printed; None if unknown.
        error: Exception type and message, bounded; empty if there was none.
    """

    outcome: Outcome
    got: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer to one submission.

    Attributes:
        outcome: `PASS` iff there are tests and all passed; `NO_TESTS` if there are none and the program
            loads; else the first failure by severity of the whole run.
        tests: One result per test, in order.
        cpu_s: CPU seconds used; varies from run to run, so it never enters an observation.
        error: One line on what went wrong, empty on a pass.
    """

    outcome: Outcome
    tests: tuple[CaseResult, ...] = ()
    cpu_s: float = 0.0
    error: str = ""

    def __post_init__(self) -> None:
        """Reads a pass of no tests, as judges of one's own and earlier run folders have it, as `NO_TESTS`."""
        # The dataclass is frozen; this runs once, before anyone holds the object.
        object.__setattr__(self, "outcome", self.outcome.after(len(self.tests)))

    @property
    def passed(self) -> int:
        """Number of tests passed."""
        return sum(test.outcome is Outcome.PASS for test in self.tests)

    @property
    def total(self) -> int:
        """Number of tests."""
        return len(self.tests)

    @property
    def pass_ratio(self) -> float:
        """Share of tests passed in [0, 1]; 0.0 of none, which only `Outcome.decided` tells from a failure."""
        return self.passed / self.total if self.tests else 0.0

    @property
    def compiles(self) -> bool:
        """The `compile` bit of the terminal reward."""
        return self.outcome is not Outcome.COMPILE_ERROR
