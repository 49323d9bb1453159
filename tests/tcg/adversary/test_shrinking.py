"""Shrinking: small inputs on which programs still part."""

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.attack import attacked
from o1coder_gym.tcg.adversary.report import attack_row, distinct
from o1coder_gym.tcg.adversary.shrinking import minimised, shrunk
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import CallTest, Problem

PROBLEM = Problem("p", "def f(xs):\n    'The sum.'\n", "f", (CallTest("[[1, 2]]", "3"),))


@pytest.mark.parametrize(
    ("other", "given", "small"),
    [
        ("def f(xs):\n    return sum(map(abs, xs))", "[[4, -30, 7, 12]]", "[[-1]]"),
        ("def f(xs):\n    return sum(set(xs))", "[[9, 9, 3, 2]]", "[[9, 9]]"),
        ("def f(xs):\n    return sum(xs) if len(xs) < 3 else 0", "[[5, 6, 7, 8]]", "[[0, 0, 1]]"),
    ],
)
def test_an_input_becomes_small(judge: Judge, other: str, given: str, small: str) -> None:
    programs = "def f(xs):\n    return sum(xs)", other
    assert shrunk(judge, PROBLEM, programs, given, same=same_of(PROBLEM)) == small


def test_a_crash_is_no_smaller_difference(judge: Judge) -> None:
    programs = "def f(xs):\n    return max(xs)", "def f(xs):\n    return xs[0]"  # both crash on []
    small = shrunk(judge, PROBLEM, programs, "[[3, 8, 2]]", same=same_of(PROBLEM))
    assert small == "[[0, 1]]"


def test_an_input_of_no_smaller_one_stays(judge: Judge) -> None:
    programs = "def f(xs):\n    return 1", "def f(xs):\n    return 2"
    assert shrunk(judge, PROBLEM, programs, "[[]]", same=same_of(PROBLEM)) == "[[]]"


def test_lines_of_standard_input_are_left_out(judge: Judge) -> None:
    problem = Problem("p", "Sum lines.")
    code = "import sys\nprint(sum({}(map(int, sys.stdin.read().split()))))"
    programs = code.format("list"), code.format("set")
    assert shrunk(judge, problem, programs, "1\n7\n7\n2\n", same=same_of(problem)) == "7\n7\n"


def test_small_inputs_are_shown_with_what_programs_do_there(judge: Judge) -> None:
    codes = [
        "def f(xs):\n    return sum(xs)",
        "def f(xs):\n    return sum(map(abs, xs))",
        "def f(xs):\n    return 3",
    ]
    found = attacked(judge, PROBLEM, codes, [("[[4, -30, 7]]", "[[1, 2]]")], same=same_of(PROBLEM))
    small = minimised(judge, PROBLEM, codes, found, same=same_of(PROBLEM))
    (place,) = small.parting
    assert small.inputs[place] == "[[-1]]"
    assert small.columns[place] == ("=-1", "=1", "=3")
    assert small.partition == found.partition


def test_layout_makes_no_other_program() -> None:
    merged = distinct(
        ["def f(x):\n  return x", "def f(x):\n    return x  # same", "def f(x): return 1", "def f("]
    )
    assert merged.members == ((0, 1), (2,), (3,))
    assert merged.weights == (2.0, 1.0, 1.0)


def test_a_row_has_what_the_tool_prints(judge: Judge) -> None:
    right = "def f(xs):\n    return sum(xs)"
    named = {"a": right, "b": f"{right}  # again", "c": "def f(xs):\n    return sum(map(abs, xs))"}
    row = attack_row(judge, PROBLEM, named)
    assert (row["programs"], row["distinct"], row["classes"]) == (3, 2, [["a", "b"], ["c"]])
    (one,) = row["attacks"]
    assert one == {
        "input": "[[-1]]",
        "right": "-1",
        "confidence": pytest.approx(0.6667),
        "outputs": {"-1": ["a", "b"], "1": ["c"]},
    }
    assert row["tests"] == [{"kind": "call", "args": "[[-1]]", "expected": "-1"}]
