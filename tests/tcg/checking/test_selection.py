"""Selection functions on hand-made matrices."""

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.checking.selection import (
    SCORES,
    ExecutionMatrix,
    by_all_tests,
    by_dual_agreement,
    by_dual_agreement_sqrt,
    by_majority,
    by_public_tests,
    choose,
    execute,
    load_score,
)
from o1coder_gym.types import AssertTest, CallTest, Problem


def matrix(rows: list[str], public: int = 0, outputs: list[str] | None = None) -> ExecutionMatrix:
    """Reads ``"110"`` as: passes the first two of three tests; ``"."`` in outputs is a failure."""
    passed = tuple(tuple(mark == "1" for mark in row) for row in rows)
    seen = outputs or ["." * len(row) for row in rows]
    return ExecutionMatrix(
        passed, public, tuple(tuple(None if mark == "." else mark for mark in row) for row in seen)
    )


def test_public_tests_decide_and_ties_go_to_the_earliest() -> None:
    found = matrix(["0111", "1100", "1111"], public=2)
    assert by_public_tests(found) == [0.5, 1.0, 1.0]
    assert choose(found, by_public_tests) == 1
    assert choose(found, by_public_tests, by_all_tests) == 2


def test_most_tests_passed() -> None:
    assert by_all_tests(matrix(["100", "110", "011"])) == [1 / 3, 2 / 3, 2 / 3]


def test_without_public_tests_all_are_alike() -> None:
    assert by_public_tests(matrix(["10", "01"])) == [1.0, 1.0]


def test_codet_multiplies_solutions_and_tests() -> None:
    # two solutions pass the same two tests (2 · 2), one passes three (1 · 3), one passes none
    found = matrix(["1100", "1100", "1110", "0000"])
    assert by_dual_agreement(found) == [4.0, 4.0, 3.0, 0.0]
    assert choose(found, by_dual_agreement) == 0


def test_codet_with_the_root_of_solutions_prefers_tests() -> None:
    found = matrix(["1100", "1100", "1110", "0000"])
    assert by_dual_agreement_sqrt(found) == pytest.approx([2 * 2**0.5, 2 * 2**0.5, 3.0, 0.0])
    assert choose(found, by_dual_agreement_sqrt) == 2


def test_majority_of_behaviour_ignores_what_is_expected() -> None:
    found = matrix(["00", "11", "00", "00"], outputs=["ab", "cd", "ab", ".."])
    assert by_majority(found) == [2.0, 1.0, 2.0, 0.0]
    assert choose(found, by_majority) == 0


@pytest.mark.parametrize(
    ("problem", "right", "other"),
    [
        (Problem("p", "Add.", "f"), ("0.3", "0.30000000000000004"), "0.5"),
        (Problem("p", "Print it."), ("5\n", "5"), "6\n"),
        (
            Problem("p", "All of them.", "f", (AssertTest("assert set(f(2)) == {1, 2}"),)),
            ("[1, 2]", "[2, 1]"),
            "[1]",
        ),
    ],
)
def test_a_majority_is_of_equal_outputs_and_not_of_texts(
    problem: Problem, right: tuple[str, str], other: str
) -> None:
    outputs = tuple((output,) for output in (other, *right))
    found = ExecutionMatrix(((False,),) * 3, 0, outputs, same=same_of(problem))
    assert by_majority(found) == [1.0, 2.0, 2.0]


def test_a_solution_is_chosen_by_results_that_rounding_tells_apart(judge: Judge) -> None:
    problem = Problem("p", "A third of a sum.", "f", (CallTest("[0]", "0.0"),))
    wrong, *right = ("x / 5", "x * 0.1 + x * 0.2", "x * 0.3")
    solutions = [f"def f(x):\n    return {code}" for code in (wrong, *right)]
    found = execute(judge, problem, solutions, [CallTest("[1]", "7"), CallTest("[3]", "7")])
    assert choose(found, by_majority) == 1


def test_every_score_has_a_name_and_one_number_per_solution() -> None:
    found = matrix(["10", "01", "11"], public=1)
    for name in SCORES:
        assert len(load_score(name)(found)) == 3
    with pytest.raises(UnknownNameError, match="codet"):
        load_score("best")


def test_no_solution_and_crooked_matrices_are_refused() -> None:
    with pytest.raises(UsageError):
        choose(matrix([]), by_all_tests)
    with pytest.raises(UsageError):
        matrix(["10", "1"])
    with pytest.raises(UsageError):
        matrix(["10"], public=3)
    with pytest.raises(UsageError):
        ExecutionMatrix(((True,),), 0, ())


def test_execution_fills_the_matrix_in_one_batch(judge: Judge) -> None:
    problem = Problem("p", "Add.", "add", (CallTest("[1, 2]", "3"),))
    solutions = [
        "def add(a, b):\n    return a + b",
        "def add(a, b):\n    return a * b + 1",
        "def add(a, b):\n    return 1 // 0",
    ]
    found = execute(judge, problem, solutions, [CallTest("[2, 2]", "4")])
    assert found == ExecutionMatrix(
        ((True, True), (True, False), (False, False)), 1, (("3", "4"), ("3", "5"), (None, None))
    )
