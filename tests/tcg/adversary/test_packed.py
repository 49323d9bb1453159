"""Packed inputs: many cases in one value; and arguments that depend on each other."""

from typing import Any

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.attack import attacked, parted
from o1coder_gym.tcg.adversary.inputs import by_mutation
from o1coder_gym.tcg.adversary.packed import packed, related
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import CallTest, Problem


@pytest.mark.parametrize(
    ("value", "mentioned", "found"),
    [
        ("ab", ["x", "yz", 3], ["x yz", "yz x", "xxxyzyzxyzyz", "abcdefghijklmnopqrstuvwxyz"]),
        ("7", [], ["0123456789"]),
        ("", ["x"], []),
        ([1, 2], [5], [[5, 6, 4], [2], [1, 1, 2, 2], [2, 2, 1, 1]]),
        ([1, "a"], [], [["a"], [1, 1, "a", "a"]]),
        (("b",), ["x", "y"], [("x", "y"), ("b",), ("b", "b"), ("b", "b")]),
        ([], [5], []),
        (3, [5], []),
    ],
)
def test_values_hold_what_programs_mention(value: Any, mentioned: list[Any], found: list[Any]) -> None:
    assert list(packed(value, mentioned)) == found


def test_arguments_are_equal_to_others_and_to_their_sum() -> None:
    first = [[2, 2, 5], [7, 2, 5], [3, 2, 5]]
    second = [[1, 1, 5], [1, 6, 5], [1, 4, 5]]
    third = [[1, 2, 1], [1, 2, 3], [1, 2, 1]]
    assert list(related((1, 2, 5))) == [*first, *second, *third]
    assert list(related(([1], [2], "a"))) == [[[2], [2], "a"], [[1], [1], "a"]]
    assert list(related((True, 1))) == []


WORDS = "zero one two three four five six seven eight nine"


@pytest.mark.parametrize(
    ("call", "expected", "right", "wrong"),
    [
        (
            "['two']",
            "2",
            f"def f(t):\n    return sum('{WORDS}'.split().index(one) for one in t.split())",
            "def f(t):\n    d = {{w: n for n, w in enumerate('{0}'.split())}}\n    d['six'] = 7\n"
            "    return sum(d[one] for one in t.split())",
        ),
        (
            "[3, 4, 5]",
            "True",
            "def f(a, b, c):\n    return a + b > c",
            "def f(a, b, c):\n    return a + b >= c",
        ),
    ],
)
def test_few_runs_part_programs_that_differ_in_one_value(
    judge: Judge, call: str, expected: str, right: str, wrong: str
) -> None:
    problem = Problem("p", "Some value.", "f", (CallTest(call, expected),))
    programs = [right, wrong.format(WORDS)]
    batches = by_mutation(problem, programs, 0)
    found = attacked(judge, problem, programs, batches, same=same_of(problem), executions=64)
    assert parted(found, 0, 1)
