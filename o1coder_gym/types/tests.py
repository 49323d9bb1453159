"""Test cases: the forms that a test of a program has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class CallTest:
    """Calls the entry point and compares what it returns.

    Attributes:
        args: Python literal of the list of positional arguments, e.g. ``"[1, 2]"``.
        expected: Python literal of the expected return value.
        tol: Absolute and relative tolerance for floats; None means the judge's default.
        compare: Which results count as equal, by a name of `sandbox/values/policies.py`; None means
            equal types and values, floats within `tol`.
    """

    args: str
    expected: str
    tol: float | None = None
    compare: str | None = None


@dataclass(frozen=True, slots=True)
class AssertTest:
    """One or more assert statements that name the entry point directly (MBPP's form)."""

    code: str


@dataclass(frozen=True, slots=True)
class CheckTest:
    """A function ``check(candidate)`` that raises if the candidate is wrong (HumanEval's form)."""

    code: str


@dataclass(frozen=True, slots=True)
class StdioTest:
    """Runs the whole program on `stdin` and compares its standard output with `stdout`.

    Attributes:
        stdin: What the program reads.
        stdout: What it should print.
        compare: Which outputs count as equal, by a name of `sandbox/values/policies.py`; None means
            ``lines``.
    """

    stdin: str
    stdout: str
    compare: str | None = None


@dataclass(frozen=True, slots=True)
class CheckerTest:
    """Runs the whole program on `stdin` and has another program say whether its output is right.

    Attributes:
        stdin: What the program reads.
        checker: A Python program, as confined as what it checks. Either it defines
            ``check(input, output, expected)``, which returns whether the output is right; or it is a
            script that is given the names of three files, of the input, the expected output and the
            output, and prints 1 (or ``ok``, ``accepted``, ``true``) if that is right.
        stdout: A right output, for the checker to compare with; empty if it needs none.
    """

    stdin: str
    checker: str
    stdout: str = ""


TestCase: TypeAlias = CallTest | AssertTest | CheckTest | StdioTest | CheckerTest


Tests: TypeAlias = Sequence[TestCase]


@dataclass(frozen=True, slots=True)
class GeneratedTests:
    """Test cases generated for one problem.

    Attributes:
        tests: The parsed test cases, duplicates removed.
        raw: The generator's text output.
        report: Counts by stage, e.g. asked, written, parsed, repaired, duplicate.
        weights: Probability that each test is correct, in [0, 1]; empty if all count alike.
    """

    tests: tuple[TestCase, ...]
    raw: str = ""
    report: Mapping[str, int] = field(default_factory=dict, hash=False)
    weights: tuple[float, ...] = ()
