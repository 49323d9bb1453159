"""Shrinking: small inputs on which programs still part."""

from collections.abc import Sequence

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.tcg.adversary.attack import Attack, attacked
from o1coder_gym.tcg.adversary.report import attack_row, distinct
from o1coder_gym.tcg.adversary.shrinking import minimised
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import CallTest, Problem, Submission

PROBLEM = Problem("p", "def f(xs):\n    'The sum.'\n", "f", (CallTest("[[1, 2]]", "3"),))
RIGHT = "def f(xs):\n    return sum(xs)"
LONG = "def f(xs):\n    return sum(xs) - (len(xs) > 2)"


def small(
    judge: Judge, *programs: str, given: Sequence[str], problem: Problem = PROBLEM, **options: int
) -> Attack:
    """An attack that tries some inputs, and makes those that part programs small."""
    same = same_of(problem)
    found = attacked(judge, problem, programs, [[*given]], same=same)
    return minimised(judge, problem, programs, found, same=same, **options)


def parting(found: Attack) -> list[str]:
    return [found.inputs[place] for place in found.parting]


@pytest.mark.parametrize(
    ("other", "given", "least"),
    [
        ("def f(xs):\n    return sum(map(abs, xs))", "[[4, -30, 7, 12]]", "[[-1]]"),
        ("def f(xs):\n    return sum(set(xs))", "[[9, 9, 3, 2]]", "[[9, 9]]"),
        ("def f(xs):\n    return sum(xs) if len(xs) < 3 else 0", "[[5, 6, 7, 8]]", "[[0, 0, 1]]"),
    ],
)
def test_an_input_becomes_small(judge: Judge, other: str, given: str, least: str) -> None:
    assert parting(small(judge, RIGHT, other, given=[given])) == [least]


def test_a_crash_is_no_smaller_difference(judge: Judge) -> None:
    programs = "def f(xs):\n    return max(xs)", "def f(xs):\n    return xs[0]"  # both crash on []
    assert parting(small(judge, *programs, given=["[[3, 8, 2]]"])) == ["[[0, 1]]"]


def test_an_input_of_no_smaller_one_stays(judge: Judge) -> None:
    programs = "def f(xs):\n    return 1", "def f(xs):\n    return 2"
    assert parting(small(judge, *programs, given=["[[]]"])) == ["[[]]"]


def test_lines_of_standard_input_are_left_out(judge: Judge) -> None:
    problem = Problem("p", "Sum lines.")
    code = "import sys\nprint(sum({}(map(int, sys.stdin.read().split()))))"
    programs = code.format("list"), code.format("set")
    assert parting(small(judge, *programs, given=["1\n7\n7\n2\n"], problem=problem)) == ["7\n7\n"]


def test_small_inputs_are_shown_with_what_programs_do_there(judge: Judge) -> None:
    codes = [
        "def f(xs):\n    return sum(xs)",
        "def f(xs):\n    return sum(map(abs, xs))",
        "def f(xs):\n    return 3",
    ]
    found = attacked(judge, PROBLEM, codes, [("[[4, -30, 7]]", "[[1, 2]]")], same=same_of(PROBLEM))
    least = minimised(judge, PROBLEM, codes, found, same=same_of(PROBLEM))
    (place,) = least.parting
    assert least.inputs[place] == "[[-1]]"
    assert least.columns[place] == ("=-1", "=1", "=3")
    assert least.partition == found.partition


@pytest.mark.parametrize("there", ["__import__('random').random()", "str(object())", "f(xs)", "id(f)"])
def test_no_input_is_made_small_enough_to_be_noise(judge: Judge, there: str) -> None:
    """On [0, 0, 0], where shrinking would lead, a third program draws lots, prints an address or crashes."""
    other = f"def f(xs):\n    return {there} if xs == [0, 0, 0] else sum(xs)"
    found = small(judge, RIGHT, LONG, other, given=["[[1, 2, 3, 4]]"])
    (place,) = found.parting
    assert found.partition.classes == ((0, 2), (1,))
    assert found.inputs[place] == "[[0, 0, 1]]"
    assert len({*found.columns[place]}) == 2


def test_no_input_is_made_small_enough_to_hang_somebody(judge: Judge) -> None:
    other = "def f(xs):\n    while xs == [0, 0, 0]:\n        pass\n    return sum(xs)"
    found = small(judge, RIGHT, LONG, other, given=["[[1, 2, 3, 4]]"])
    assert (parting(found), found.partition.classes) == (["[[0, 0, 1]]"], ((0, 2), (1,)))


def test_one_input_that_stays_leaves_the_others_small(judge: Judge) -> None:
    other = (
        "import random\ndef f(xs):\n"
        "    return random.random() if len(xs) == 2 else 5 if xs == [9] else sum(xs)"
    )
    codes = RIGHT, "def f(xs):\n    return sum(xs) if len(xs) < 4 else -1", other
    found = small(judge, *codes, given=["[[9]]", "[[5, 6, 7, 8, 9]]"])
    assert parting(found) == ["[[9]]", "[[0, 0, 0, 0]]"]


def test_no_input_is_listed_twice(judge: Judge) -> None:
    """[5] parts the first from the others, [7] the third from the second, and [0] all three."""
    code = "def f(xs):\n    return {}.get(sum(xs) if xs else 5.5, 0)"
    tables = "{0: 4}", "{0: 6, 5: 1}", "{0: 8, 5: 1, 7: 1}"
    found = small(judge, *map(code.format, tables), given=["[[5]]", "[[7]]"])
    assert (parting(found), len(found.partition.classes)) == (["[[0]]"], 3)


@pytest.mark.parametrize("executions", [0, 6, 20, 21, 60, 400])
def test_shrinking_costs_what_it_says_and_no_more_than_it_may(judge: Judge, executions: int) -> None:
    class Counting(Judge):
        runs = 0

        def outputs(self, submissions: Sequence[Submission], /) -> list[tuple[Output, ...]]:
            self.runs += sum(len(one.tests) for one in submissions)
            return super().outputs(submissions)

    same = same_of(PROBLEM)
    found = attacked(judge, PROBLEM, (RIGHT, LONG), [["[[1, 2, 3, 4]]"]], same=same)
    with Counting(1) as counting:
        least = minimised(counting, PROBLEM, (RIGHT, LONG), found, same=same, executions=executions)
        assert counting.runs == least.shrinking <= executions
    assert (parting(least) == ["[[0, 0, 0]]"]) == (executions == 400)


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
