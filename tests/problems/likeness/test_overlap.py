"""One problem under several names: by its words, its tests, its text and what its reference does."""

import os
import textwrap
from collections.abc import Iterator

import pytest

from o1coder_gym.problems.likeness.identity import question_key, split_of
from o1coder_gym.problems.likeness.overlap import Likeness, in_training, overlaps
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Problem, StdioTest, TestCase

HUMANEVAL = '''def below(numbers, limit):
    """ Return how many of the numbers are below the limit.
    >>> below([1, 2, 3], 3)
    2
    """
'''


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(1) as judge:
        yield judge


def row(
    name: str, prompt: str, *tests: TestCase, entry_point: str | None = "f", code: str | None = None
) -> ProblemRow:
    return ProblemRow(Problem(name, prompt, entry_point), tests, code)


@pytest.mark.parametrize(
    "prompt",
    [
        HUMANEVAL,
        HUMANEVAL.replace("    >>> below([1, 2, 3], 3)\n    2\n", "    >>> below([9], 3)\n    0\n"),
        HUMANEVAL.replace("Return how many of", "return  HOW many,\n    of"),
        "Return how many of the numbers are below the limit.\nassert below([4], 5) == 1",
        "async " + HUMANEVAL,
        f"class Solution:\n{textwrap.indent(HUMANEVAL, '    ')}",
        f"```python\n{HUMANEVAL}```",
        "You are an expert Python programmer, and here is your task: Return how many of the numbers are "
        "below the limit. Your code should pass these tests:\n\nassert below([4], 5) == 1",
        "Return how many of the num\u00adbers are below\u200b the ｌｉｍｉｔ.",
    ],
)
def test_a_question_is_one_in_other_lines_cases_and_examples(prompt: str) -> None:
    problem, other = Problem("a", HUMANEVAL, "below"), Problem("b", prompt, "below")
    assert question_key(problem) == question_key(other)
    assert split_of(problem, 0.5) == split_of(other, 0.5)


def test_other_questions_and_bare_ones_are_told_apart() -> None:
    assert question_key(Problem("a", HUMANEVAL, "below")) != question_key(
        Problem("a", HUMANEVAL.replace("below the", "above the"), "below")
    )
    one, two = (Problem("a", "Solve it.", "f", (CallTest("[1]", str(n)),)) for n in range(2))
    assert question_key(one) != question_key(two)


def test_each_pair_is_found_once_by_its_surest_way() -> None:
    tests = (CallTest("[[3, 1]]", "[1, 3]"), CallTest("[[2]]", "[2]"))
    a = [
        row("a/1", "Sort the given list of numbers.", *tests),
        row("a/2", "Reverse the given string of words."),
    ]
    b = [row("b/1", "Sort the given list of numbers!", *tests)]
    assert overlaps(a, b) == [Likeness("a/1", "b/1", "question")]
    assert overlaps(a, b, ways=("tests",)) == [Likeness("a/1", "b/1", "tests")]
    assert overlaps(b, a[1:]) == []


def test_shared_tests_are_found_in_any_form_and_under_any_name() -> None:
    a = row("a", "Order them.", CallTest("[[3, 1]]", "[1, 3]"), CallTest("[[9, 2]]", "[2, 9]"))
    check = "def check(candidate):\n    assert candidate([3, 1]) == [1, 3]\n"
    check += "    assert candidate([9, 2]) == [2, 9]"
    b = row("b", "Sort!", CheckTest(check), entry_point="g")
    c = row("c", "Up!", AssertTest("assert h([3, 1]) == [1, 3]"), entry_point="h")
    assert [one.way for one in overlaps([a], [b])] == ["tests"]
    assert overlaps([a], [c]) == []  # one test in common, and another name
    namesake = row("c", "Up!", AssertTest("assert f([3, 1]) == [1, 3]"))
    assert [one.way for one in overlaps([a], [namesake])] == ["tests"]
    programs = [
        row(name, name, StdioTest("1 2\n", "3"), StdioTest("4 5", "9\n"), entry_point=None) for name in "xy"
    ]
    assert [one.way for one in overlaps(programs[:1], programs[1:])] == ["tests"]


@pytest.mark.parametrize("problems", [4, 40])
def test_a_name_that_all_functions_of_a_set_have_proves_nothing(problems: int) -> None:
    def asked(name: str, seven: int) -> ProblemRow:
        tests = (CallTest("[[]]", "0"), CallTest("[[7]]", str(seven)), CallTest("[[8]]", str(seven + 1)))
        return row(name, f"Answer {name}.", *tests, entry_point="solve")

    training = [asked(f"a/{n}", n) for n in range(problems)]
    assert overlaps(training, [asked("b", 99)]) == []  # the same calls, and no more than an empty list alike
    assert overlaps(training, [asked("b", 3)]) == [Likeness("a/3", "b", "tests")]
    nameless = [row(name, name, StdioTest("1", "1"), entry_point=None) for name in "xy"]
    assert overlaps(nameless[:1], nameless[1:]) == []


def test_small_inputs_with_yes_or_no_prove_nothing() -> None:
    prime = [CallTest(f"[{n}]", str(n in (2, 3, 5, 7))) for n in range(2, 9)]
    a, b = (
        row("prime", "Is it prime, this number?", *prime),
        row("b", "Is it a small odd one?", *prime, entry_point="g"),
    )
    assert overlaps([a], [b]) == []


def test_rewritten_questions_are_near() -> None:
    one = "Write a function to find the largest integers from a list of numbers using heap queue algorithm."
    two = "Write a function to find the n largest integers from a list of numbers using heap queue algorithm."
    assert [way.way for way in overlaps([row("a", one)], [row("b", two)])] == ["text"]
    other = "Write a function to find the smallest common divisor of two integers."
    assert overlaps([row("a", one)], [row("b", other)]) == []
    longer = (
        f"{one} Input: a list of numbers and how many of them. Output: the largest ones. Input: 1. Output: 1."
    )
    assert [way.way for way in overlaps([row("a", longer)], [row("b", one)])] == ["text"]
    short = "Find the largest integers from a list."
    assert overlaps([row("a", short)], [row("b", f"{short} {longer}")]) == []  # may be a part of anything


def test_references_that_do_the_same_are_alike(judge: Judge) -> None:
    def asked(name: str, prompt: str, code: str, *lists: list[int]) -> ProblemRow:
        space: dict = {}
        exec(code, space)
        tests = (CallTest(repr([values]), repr(space["f"](values))) for values in lists)
        return row(name, prompt, *tests, code=code)

    total = asked("total", "Add them up.", "def f(xs):\n    return sum(xs)", [1, 2], [3, 4], [8])
    loop = "def f(xs):\n    n = 0\n    for x in xs:\n        n += x\n    return n"
    same = asked("same", "How much is it in all?", loop, [5, 5, 5], [7], [0, 1])
    longest = asked("most", "Which one is the most?", "def f(xs):\n    return max(xs)", [1, 2], [9, 4], [3])
    assert overlaps([total], [same, longest], judge) == [Likeness("total", "same", "behaviour")]
    assert overlaps([total], [same, longest]) == []
    broken = row("broken", "Broken.", CallTest("[[1]]", "1"), code="def f(xs):\n    return 1 / 0")
    assert overlaps([broken], [broken], judge, ways=("behaviour",)) == []


@pytest.mark.skipif("O1CODER_DATA" not in os.environ, reason="needs the data sets")
def test_the_sets_that_are_known_to_overlap() -> None:
    humaneval, plus = load_rows("humaneval")[::4], load_rows("humaneval+")[::4]  # many tests
    found = {(one.a, one.b) for one in overlaps(humaneval, plus)}
    assert {(row.problem.task_id, row.problem.task_id) for row in humaneval} <= found
    mbpp, sanitized = load_rows("mbpp"), load_rows("mbpp-sanitized")
    again = {(one.a, one.b) for one in overlaps(mbpp, sanitized)}
    missed = [row for row in sanitized if (row.problem.task_id,) * 2 not in again]
    assert len(missed) <= 0.04 * len(sanitized)  # 17 of 427 have a new name and new tests


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        ([], ""),
        ([("own/1", "own/1")], "1 of 5 held-out problems is also a training problem (own/1)"),
        # two of a training are one held-out problem
        ([("a", "x"), ("b", "x")], "1 of 5 held-out problems is also a training problem (x is b)"),
        (
            [(name, name) for name in "abcd"],
            "4 of 5 held-out problems are also training problems (a, b, c, …)",
        ),
    ],
)
def test_held_out_problems_of_a_training_are_named(pairs: list[tuple[str, str]], line: str) -> None:
    assert in_training([Likeness(a, b, "question") for a, b in pairs], 5) == line
