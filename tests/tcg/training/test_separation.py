"""Tests that wrong programs fail are learned; copies, wrong tests and those that tell nothing are not."""

from itertools import permutations

import pytest

from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.training.dataset import DatasetSettings
from o1coder_gym.tcg.training.separation import RatedTest, best_first, build_separating
from o1coder_gym.types import AssertTest, CallTest, Problem, TestCase

SETTINGS = DatasetSettings(cases=2, rows_per_problem=2, validation=0.0)
SHOWN = CallTest("[3]", "3")
ABSOLUTE = ProblemRow(
    Problem("abs", "The distance from zero.", "f", (SHOWN,), meta={"cpu_s": 0.3}),
    (),
    "def f(n):\n    return abs(n)",
)
PROGRAMS = [
    "def f(n):\n    return n",  # fails below zero
    "def f(n):\n    return -n",  # fails above zero
    "def f(n):\n    return n if n > -5 else 0",  # fails below zero
    "def f(n):\n    return abs(n)",
    "def f(n):\n    while n:\n        pass\n    return 0",  # times out: of no use for a test
]


def case(n: int, output: int) -> CallTest:
    return CallTest(f"[{n}]", str(output))


def answers(judge: Judge, *tests: TestCase) -> tuple[list[str], list[tuple[str, str]], dict[str, int]]:
    found = build_separating(judge, [ABSOLUTE], {"abs": tests}, {"abs": PROGRAMS}, SETTINGS)
    pairs = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in found.dpo]
    assert all(row["prompt"] == found.sft[0]["prompt"] for row in found.dpo)
    return [row["completion"][0]["content"] for row in found.sft], pairs, dict(found.drops)


def test_what_separates_is_learned_and_copies_pay_nothing(judge: Judge) -> None:
    learned, pairs, drops = answers(
        judge,
        SHOWN,  # a copy, though it fails two of the programs
        case(0, 0),  # all programs pass it
        case(4, -4),  # the reference fails it
        case(2, 2),  # fails the second
        case(-7, 7),  # fails the first and the third
        AssertTest("assert f(1)"),  # no case that can be read
    )
    assert learned == ["assert f(-7) == 7\nassert f(2) == 2\n"]
    assert pairs == [(learned[0], "assert f(3) == 3\nassert f(0) == 0\n")]
    assert drops == {
        "test: the question shows its input": 1,
        "test: the solution does not pass it": 1,
    }


def test_an_answer_whose_tests_tell_nothing_is_not_learned(judge: Judge) -> None:
    learned, pairs, drops = answers(judge, SHOWN, case(0, 0), case(5, 6), case(6, 7))
    assert (learned, pairs) == ([], [])
    assert drops["problem: too few tests that separate"] == 1


def test_an_answer_of_which_there_is_no_worse_one_makes_no_pair(judge: Judge) -> None:
    learned, pairs, drops = answers(judge, case(-1, 1), case(7, 7), SHOWN)
    assert learned == ["assert f(-1) == 1\nassert f(7) == 7\n"]
    assert pairs == []
    assert drops["pair: too few tests that tell nothing"] == 1


def test_a_test_that_repeats_another_one_fills_no_answer(judge: Judge) -> None:
    seven = (case(-7, 7), CallTest("[-7]", "7.0"), CallTest("[ -7]", "7"))
    learned, pairs, drops = answers(judge, *seven, case(2, 2), case(0, 0), SHOWN)
    assert learned == ["assert f(-7) == 7\nassert f(2) == 2\n"]
    assert pairs == [(learned[0], "assert f(0) == 0\nassert f(3) == 3\n")]
    assert drops["test: one before it has its input"] == 2


BROKEN = ["def f(n:\n    return n", "import nowhere", "def g(n):\n    return n", "As asked, I write f."]


def test_a_program_that_never_answers_makes_no_test_worth_learning(judge: Judge) -> None:
    tests = (case(-1, 1), case(7, 7), case(0, 0), case(4, -4))
    for programs in (BROKEN, [*BROKEN, "def f(n):\n    return abs(n)"]):
        found = build_separating(judge, [ABSOLUTE], {"abs": tests}, {"abs": programs}, SETTINGS)
        assert not found.sft, programs
        assert found.drops["problem: too few tests that separate"] == 1
    # beside a program that answers they change nothing
    wrong = "def f(n):\n    return n"
    found, plain = (
        build_separating(judge, [ABSOLUTE], {"abs": tests}, {"abs": programs}, SETTINGS)
        for programs in ([*BROKEN, wrong], [wrong])
    )
    assert (found.sft, found.dpo) == (plain.sft, plain.dpo)
    assert len(found.dpo) == 1


@pytest.mark.parametrize(
    ("row", "programs", "tests", "reason"),
    [
        (ABSOLUTE, {}, (case(1, 1),), "problem: no program to reject"),
        (ABSOLUTE, {"abs": PROGRAMS}, (), "problem: nothing was written that can be read"),
        (ProblemRow(ABSOLUTE.problem, (), None), {"abs": PROGRAMS}, (case(1, 1),), "problem: no solution"),
    ],
)
def test_what_cannot_be_rated_is_counted(
    judge: Judge,
    row: ProblemRow,
    programs: dict[str, list[str]],
    tests: tuple[TestCase, ...],
    reason: str,
) -> None:
    found = build_separating(judge, [row], {"abs": tests}, programs, SETTINGS)
    assert not found.sft
    assert found.drops[reason] == 1


def rated(*rejected: int) -> RatedTest:
    return RatedTest(CallTest(str(rejected), "0"), True, frozenset(rejected))


@pytest.mark.parametrize("order", [*permutations([0, 1, 2, 3])])
def test_each_test_is_taken_for_what_it_adds(order: tuple[int, ...]) -> None:
    tests = [rated(0, 1, 2), rated(0, 1), rated(3), rated()]
    # the second best alone, {0, 1}, adds nothing to the best one
    assert best_first([tests[place] for place in order]) == [tests[0], tests[2], tests[1], tests[3]]
