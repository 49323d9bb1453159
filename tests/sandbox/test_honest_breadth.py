"""Honest programs over Python's breadth, as data in `honest/`: each must pass, on every version of Python.

What they print and return was recorded from a plain interpreter.
"""

import re
from pathlib import Path

import pytest

from o1coder_gym.types import AssertTest, CallTest, Outcome, StdioTest, Submission

FOLDER = Path(__file__).parent / "honest"


def programs(name):
    _, *parts = re.split(r"^=== (.+)\n", (FOLDER / name).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


WHOLE = programs("whole.txt") | {
    "a byte order mark": "\ufeffprint(7)",
    "a byte order mark before a coding line": "\ufeff# -*- coding: utf-8 -*-\nprint(len('é') + 6)",
    "a byte order mark before the future": "\ufefffrom __future__ import annotations\nprint(7)",
    "lines that end as on Windows": "n = 7\r\nif n:\r\n    print(n)\r\n",
    "a form feed": "n = 7\n\x0c\nprint(n)\n",
}
CALLS = [line.rsplit(" | ", 2) for line in (FOLDER / "calls.txt").read_text().splitlines()]


def check(judge, submissions):
    verdicts = dict(zip(submissions, judge.evaluate([*submissions.values()]), strict=True))
    assert {name: verdict for name, verdict in verdicts.items() if verdict.outcome is not Outcome.PASS} == {}


def function(expression):
    imports, _, value = (
        expression.rpartition("; ") if expression.startswith("import") else ("", "", expression)
    )
    return f"{imports}\ndef f(x):\n    return {value}\n"


def test_there_are_enough_of_them():
    assert len(WHOLE) + len(programs("readers.txt")) * len(programs("writers.txt")) >= 200
    assert len(CALLS) >= 150


@pytest.mark.parametrize("times", [1, 3])
def test_whole_programs(judge, times):
    tests = times * (StdioTest("1\n", "7\n"),)
    check(judge, {name: Submission(code, None, tests) for name, code in WHOLE.items()})


@pytest.mark.parametrize("reader", programs("readers.txt"))
def test_ways_to_read_and_to_write(judge, reader):
    reading = programs("readers.txt")[reader]
    tests = (StdioTest("3\n1 2 3\n", "6\n"), StdioTest("2\n4 5\n", "9\n"))
    check(
        judge,
        {name: Submission(reading + code, None, tests) for name, code in programs("writers.txt").items()},
    )


def test_functions_by_calls(judge):
    check(
        judge,
        {
            (value, given): Submission(function(value), "f", (CallTest(f"[{given}]", expected),))
            for value, given, expected in CALLS
        },
    )


def test_functions_through_a_tester(judge):
    # `[result] == [expected]` is an assert that is not translated into calls
    imports = "from collections import deque\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
    names = "from math import inf, nan\n"
    check(
        judge,
        {
            (value, given): Submission(
                function(value),
                "f",
                (AssertTest(f"{imports}{names}x = {given}\nassert [f(x)] == [{expected}]"),),
            )
            for value, given, expected in CALLS
            if expected != "nan"
        },
    )
