"""Turns tests into runs: groups the tests that one process can answer and packs its input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from o1coder_gym.errors import UsageError
from o1coder_gym.sandbox.values import policies
from o1coder_gym.sandbox.values.expectation import Expectation
from o1coder_gym.sandbox.values.extraction import (
    expectations,
    looks_at_arguments,
    reach_into_program,
)
from o1coder_gym.sandbox.values.policies import Policy, SameText
from o1coder_gym.sandbox.values.standard_output import same_stdout
from o1coder_gym.sandbox.wire import pack_job
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, StdioTest, TestCase

_CALLED_BYTES = 4 << 20
"""Encoded arguments of the tests that share a process, whose memory holds them all at once."""


@dataclass(frozen=True, slots=True, eq=False)
class CallRun:
    """One process that makes the calls of call-like tests; without calls it only loads the program.

    Equal only to itself, which spares comparing long runs: `plan` gives equal tests the same one.

    Attributes:
        inputs: The arguments of all calls, as they travel to the process.
        calls: For each call the index of its test, and what is expected.
    """

    inputs: bytes
    calls: tuple[tuple[int, Expectation], ...]

    @property
    def expected_bytes(self) -> int:
        """Total bytes of the expected results, encoded."""
        return sum(expectation.size for _, expectation in self.calls)

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the tests that this run decides, in order."""
        return tuple(dict.fromkeys(test for test, _ in self.calls))


@dataclass(frozen=True, slots=True)
class TesterRun:
    """Two processes: the program, and the code of one test that calls it.

    Each test has a tester of its own, so that none can report for another or use up its time.

    Attributes:
        test: Index of the test.
        payload: The packed input of the tester.
    """

    test: int
    payload: bytes

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the tests that this run decides."""
        return (self.test,)


@dataclass(frozen=True, slots=True)
class StdioRun:
    """One process that runs the whole program.

    Attributes:
        test: Index of the test.
        stdin: The program's standard input.
        stdout: The expected standard output.
        same: Compares what it printed with that; None means as the judge does by default.
        checker: Source of the program that says whether the output is right, instead; empty for none.
    """

    test: int
    stdin: bytes
    stdout: str
    same: SameText | None = None
    checker: bytes = b""

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the tests that this run decides."""
        return (self.test,)


@dataclass(frozen=True, slots=True, eq=False)
class RepeatedRun(CallRun):
    """One process that runs the whole program once for each of several tests.

    Attributes:
        inputs: The standard input of each time, packed.
        calls: For each time the index of the test, and what should be printed.
        alone: The runs that it stands for, in order.
    """

    alone: tuple[StdioRun, ...]


@dataclass(frozen=True, slots=True)
class NoRun:
    """A test that cannot be judged here; it gets no process.

    Attributes:
        test: Index of the test.
        reason: Why it cannot, in one line.
    """

    test: int
    reason: str


Run: TypeAlias = CallRun | TesterRun | StdioRun


# The tests of a problem are judged with many programs: translating them once costs less than running one.
@lru_cache(maxsize=256)
def plan(tests: tuple[TestCase, ...], entry_point: str | None) -> tuple[Run | NoRun, ...]:
    """Returns the runs that decide all tests; always at least one, so that the program is loaded.

    Raises:
        UsageError: When a call or check test comes without an entry point, or names an unknown policy.
    """
    calls: list[tuple[int, Expectation]] = []
    others: list[Run | NoRun] = []
    stdio: list[Run | NoRun] = []
    for index, test in enumerate(tests):
        if isinstance(test, StdioTest | CheckerTest):
            stdio.append(_stdio_run(index, test))
            continue
        if entry_point is None and not isinstance(test, AssertTest):
            raise UsageError(f"test {index}: a {type(test).__name__} needs an entry point")
        if isinstance(test, CallTest):
            _policy(index, test)
        try:
            expected = expectations(test, entry_point or "")
        except ValueError as error:
            # A fault of one test must not take the whole submission down: it becomes `UNSUPPORTED`,
            # which depends on the test alone.
            others.append(NoRun(index, str(error)))
            continue
        if expected:  # a test that calls nothing does not say that the program loads; a tester asks
            # All call-like tests go into one process, one call after the other: a fork per test would cost
            # more than most calls.
            calls += [(index, expectation) for expectation in expected]
        elif isinstance(test, AssertTest | CheckTest):
            means = reach_into_program(test.code, entry_point or "")
            reason = f"the test reaches into the program's process: {means}"
            others.append(NoRun(index, reason) if means else _tester_run(index, test, entry_point or ""))
    runs = [*others, *stdio]
    if calls or all(isinstance(run, NoRun) for run in runs):
        # A run without calls still loads the program, so that one that does not compile is found out.
        runs = [*_call_runs(calls), *runs]
    return tuple(runs)


@lru_cache(maxsize=256)
def repeated(runs: tuple[StdioRun, ...], tolerance: float | None) -> RepeatedRun:
    """Joins runs without checkers into one; `tolerance` as of `Judge`, for those without a policy."""
    calls = []
    for run in runs:
        same = run.same or partial(same_stdout, tol=tolerance)
        met_by = partial(_printed, same=same, expected=run.stdout)
        calls.append((run.test, Expectation("", met_by, run.stdout, len(run.stdout), printed=True)))
    return RepeatedRun(pack_job(*(run.stdin for run in runs)), tuple(calls), runs)


def _printed(got: str, same: SameText, expected: str) -> bool:
    """Whether a program printed the expected output."""
    return same(got, expected)


def _stdio_run(index: int, test: StdioTest | CheckerTest) -> StdioRun:
    """Returns the run of one whole program; raises as `_policy`."""
    if isinstance(test, CheckerTest):
        return StdioRun(index, _utf8(test.stdin), test.stdout, None, _utf8(test.checker))
    policy = _policy(index, test)
    return StdioRun(index, _utf8(test.stdin), test.stdout, policy and policy.text)


def _policy(index: int, test: StdioTest | CallTest) -> Policy | None:
    """Returns the comparison policy that a test names.

    Raises:
        UsageError: When it names one that there is not.
    """
    try:
        return None if test.compare is None else policies.named(test.compare)
    except ValueError as error:
        raise UsageError(f"test {index}: {error}") from error


def _call_runs(calls: Sequence[tuple[int, Expectation]]) -> Iterator[CallRun]:
    """Yields the runs of all calls, of which at least one; the calls of a test stay together."""
    part: list[tuple[int, Expectation]] = []
    size = 0
    # Cut between tests only: a test of several calls may rely on what its earlier calls left behind.
    for _, calls_of_test in groupby(calls, key=itemgetter(0)):
        more = [*calls_of_test]
        weight = sum(len(expectation.args) for _, expectation in more)
        if part and size + weight > _CALLED_BYTES:
            yield _call_run(part)
            part, size = [], 0
        part += more
        size += weight
    yield _call_run(part)


def _call_run(calls: Sequence[tuple[int, Expectation]]) -> CallRun:
    """Packs calls into one run."""
    return CallRun(pack_job(*(_plain(expectation.args) for _, expectation in calls)), tuple(calls))


def _plain(encoded: str) -> Any:
    """Returns encoded arguments as values where JSON alone holds them, which spares the child the work."""
    # Every tag of the codec is a JSON object, so a text without a brace has none. A brace in a
    # string only costs the short cut.
    return encoded if "{" in encoded else json.loads(encoded)


def _tester_run(index: int, test: AssertTest | CheckTest, entry_point: str) -> TesterRun:
    """Packs the source of a test into its run."""
    # Packed here and not in the trial, so that equal tests share it with all programs.
    payload = (entry_point, _utf8(test.code), isinstance(test, CheckTest), looks_at_arguments(test.code))
    return TesterRun(index, pack_job(*payload))


def _utf8(text: str) -> bytes:
    """Encodes text; lone surrogates too, the process at the other end will deal with them."""
    return text.encode("utf-8", "surrogatepass")
