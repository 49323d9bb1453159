"""From tests to runs: which tests one process can answer, and what that process is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from o1coder_gym.errors import UsageError
from o1coder_gym.sandbox.values import policies
from o1coder_gym.sandbox.values.expectation import Expectation
from o1coder_gym.sandbox.values.extraction import expectations, names_needed
from o1coder_gym.sandbox.values.policies import SameText
from o1coder_gym.sandbox.wire import pack_job
from o1coder_gym.types import AssertTest, CheckTest, StdioTest, TestCase


@dataclass(frozen=True, slots=True, eq=False)
class CallRun:
    """One process that is asked for the results of calls; without calls it is only loaded.

    Equal only to itself, which spares comparing long runs: `plan` gives equal tests the same one.

    Attributes:
        inputs: The arguments of all calls, as they travel to the process.
        calls: For each call the index of its test, and what is expected.
    """

    inputs: bytes
    calls: tuple[tuple[int, Expectation], ...]

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the tests that this run decides, in order."""
        return tuple(dict.fromkeys(test for test, _ in self.calls))


@dataclass(frozen=True, slots=True)
class TesterRun:
    """Two processes: the program, and the test code that calls it.

    Attributes:
        payload: What the tester is told.
        tests: Indices of the tests, in the order of the tester.
    """

    payload: bytes
    tests: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StdioRun:
    """One process that runs the whole program.

    Attributes:
        test: Index of the test.
        stdin: What the program reads.
        stdout: What it should print.
        same: Compares what it printed with that; None means as the judge does by default.
    """

    test: int
    stdin: bytes
    stdout: str
    same: SameText | None = None

    @property
    def tests(self) -> tuple[int, ...]:
        """Indices of the tests that this run decides."""
        return (self.test,)


Run: TypeAlias = CallRun | TesterRun | StdioRun


@lru_cache(maxsize=256)
def plan(tests: tuple[TestCase, ...], entry_point: str | None) -> tuple[Run, ...]:
    """Returns the runs that decide all tests; at least one, so that the program is loaded.

    Raises:
        UsageError: When a test cannot be run on any program.
    """
    calls: list[tuple[int, Expectation]] = []
    coded: list[tuple[int, AssertTest | CheckTest]] = []
    stdio: list[StdioRun] = []
    for index, test in enumerate(tests):
        if isinstance(test, StdioTest):
            stdio.append(_stdio_run(index, test))
            continue
        if entry_point is None and not isinstance(test, AssertTest):
            raise UsageError(f"test {index}: a {type(test).__name__} needs an entry point")
        try:
            expected = expectations(test, entry_point or "")
        except ValueError as error:
            raise UsageError(f"test {index}: {error}") from error
        if expected:  # a test that calls nothing does not say that the program loads; a tester asks
            calls += [(index, expectation) for expectation in expected]
        elif isinstance(test, AssertTest | CheckTest):
            coded.append((index, test))
    runs: list[Run] = [_tester_run(coded, entry_point or "")] if coded else []
    if calls or not (coded or stdio):
        runs.insert(0, _call_run(calls))
    return (*runs, *stdio)


def _stdio_run(index: int, test: StdioTest) -> StdioRun:
    """Returns the run of one whole program.

    Raises:
        UsageError: When the test names no comparison policy.
    """
    try:
        same = None if test.compare is None else policies.named(test.compare).text
    except ValueError as error:
        raise UsageError(f"test {index}: {error}") from error
    return StdioRun(index, _utf8(test.stdin), test.stdout, same)


def _call_run(calls: Sequence[tuple[int, Expectation]]) -> CallRun:
    """Packs calls into one run."""
    return CallRun(pack_job(*(_plain(expectation.args) for _, expectation in calls)), tuple(calls))


def _plain(encoded: str) -> Any:
    """Returns encoded arguments as values where JSON alone holds them, which spares the child the work."""
    return encoded if "{" in encoded else json.loads(encoded)


def _tester_run(coded: Sequence[tuple[int, AssertTest | CheckTest]], entry_point: str) -> TesterRun:
    """Packs the sources of tests into one run."""
    names = sorted({name for _, test in coded for name in _names(test.code, entry_point)})
    sources = tuple((_utf8(test.code), isinstance(test, CheckTest)) for _, test in coded)
    return TesterRun(pack_job(entry_point, tuple(names), sources), tuple(index for index, _ in coded))


def _names(code: str, entry_point: str) -> Iterable[str]:
    """Returns the names that a test takes from the program; none if the test is not even Python."""
    try:
        return names_needed(code, entry_point)
    except ValueError:
        return ()


def _utf8(text: str) -> bytes:
    """Encodes text; lone surrogates too, the process at the other end will deal with them."""
    return text.encode("utf-8", "surrogatepass")
