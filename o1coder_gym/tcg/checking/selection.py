"""Chooses one of several solutions by tests: pure functions over one execution matrix.

S solutions, T tests. A *score* gives each solution a number, [S]; `choose` takes the
highest, the earliest of equals.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from types import MappingProxyType
from typing import TypeAlias

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.tcg.checking.agreement import Same, unified
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import Outcome, Problem, TestCase, Verdict
from o1coder_gym.types.protocols import Judge


@dataclass(frozen=True, slots=True)
class ExecutionMatrix:
    """The results of S solutions on T tests; the first tests are the public ones.

    Attributes:
        passed: [S, T], whether solution s passes test t.
        public: How many of the tests are public, in [0, T].
        outputs: [S, T], what solution s returns on the input of test t, None where it fails or where that is
            not known.
        weights: Chance that each test is right, in [0, 1], [T]; empty where all count alike.
        same: Which outputs are one.
    """

    passed: tuple[tuple[bool, ...], ...]
    public: int
    outputs: tuple[tuple[str | None, ...], ...]
    weights: tuple[float, ...] = ()
    same: Same = field(default=operator.eq, compare=False)

    def __post_init__(self) -> None:
        widths = {len(row) for row in (*self.passed, *self.outputs)}
        if len(widths) > 1 or self.public > max(widths, default=0):
            raise UsageError(f"rows of {sorted(widths)} tests, {self.public} of them public, form no matrix")
        if len(self.outputs) != len(self.passed):
            raise UsageError(f"{len(self.passed)} solutions, but outputs of {len(self.outputs)}")


Score: TypeAlias = Callable[[ExecutionMatrix], list[float]]
"""[S] numbers, the best one highest."""


def by_public_tests(matrix: ExecutionMatrix) -> list[float]:
    """Scores by the share of public tests passed; all scores are equal without public tests."""
    return [_share(row[: matrix.public]) for row in matrix.passed]


def by_all_tests(matrix: ExecutionMatrix) -> list[float]:
    """Scores by the share of all tests passed, public and generated, each with its weight."""
    return [_share(row, matrix.weights) for row in matrix.passed]


def by_dual_agreement(
    matrix: ExecutionMatrix, *, weight: Callable[[int, float], float] | None = None
) -> list[float]:
    """Scores by CodeT's dual execution agreement (Chen et al. 2022, arXiv 2207.10397, section 2.2).

    Solutions that pass the same tests make one consensus set; its score is `weight` of how many solutions
    and how many tests it has, each with its weight. Passing no test scores 0.

    Args:
        matrix: Solutions and generated tests.
        weight: (solutions, tests) → score; None is their product, CodeT's f(S) = |S_x| · |S_y|.
    """
    # Rows [T] of equal results are one consensus set S_x; |S_y| is the (weighted) number of tests passed.
    sizes = Counter(matrix.passed)
    score = weight or operator.mul
    return [
        float(score(sizes[row], _passed(row, matrix.weights))) if any(row) else 0.0 for row in matrix.passed
    ]


def by_dual_agreement_sqrt(matrix: ExecutionMatrix) -> list[float]:
    """Scores by CodeT with √|S_x| · |S_y|: many alike solutions weigh less than many tests."""
    return by_dual_agreement(matrix, weight=lambda solutions, tests: solutions**0.5 * tests)


def by_majority(matrix: ExecutionMatrix) -> list[float]:
    """Scores by how many solutions return the same outputs on all inputs (majority of behaviour).

    What is expected does not count. Solutions that fail on every input score 0. Votes are counted by what
    the matrix takes for the same, not by text.
    """
    columns = [unified(column, matrix.same) for column in zip(*matrix.outputs, strict=True)]
    rows = list(zip(*columns, strict=True)) if columns else matrix.outputs
    votes = Counter(rows)
    return [votes[row] if any(output is not None for output in row) else 0.0 for row in rows]


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "public": by_public_tests,
        "tests": by_all_tests,
        "codet": by_dual_agreement,
        "codet-sqrt": by_dual_agreement_sqrt,
        "majority": by_majority,
    }
)


def load_score(name: str) -> Score:
    """Returns the score called `name`.

    Raises:
        UnknownNameError: When there is none.
    """
    if name not in SCORES:
        raise UnknownNameError("selection", name, SCORES)
    return SCORES[name]


def choose(matrix: ExecutionMatrix, *scores: Score) -> int:
    """Returns the index of the best solution: by the first score, ties by the next, then the earliest.

    It is the paper's self-validation at inference, by whatever the scores compare.

    Raises:
        UsageError: When there is no solution.
    """
    if not matrix.passed:
        raise UsageError("there is no solution to choose from")
    columns = [score(matrix) for score in scores]
    return max(range(len(matrix.passed)), key=lambda index: ([column[index] for column in columns], -index))


def matrix_of(
    verdicts: Sequence[Verdict], public: int, weights: Sequence[float] = (), same: Same = operator.eq
) -> ExecutionMatrix:
    """Returns the matrix of S verdicts on the same tests, of which the first `public` are public.

    Outputs are those that the verdicts show, which are bounded: results that differ only far from their
    beginning count as equal. A test on which the judge itself failed counts as not passed.
    """
    passed = tuple(tuple(one.outcome is Outcome.PASS for one in verdict.tests) for verdict in verdicts)
    outputs = tuple(tuple(one.got for one in verdict.tests) for verdict in verdicts)
    return ExecutionMatrix(passed, public, outputs, (*[1.0] * public, *weights) if weights else (), same)


def execute(
    judge: Judge,
    problem: Problem,
    solutions: Sequence[str],
    generated: Sequence[TestCase],
    weights: Sequence[float] = (),
) -> ExecutionMatrix:
    """Runs S solutions on the public and the generated tests of a problem, in one judge batch.

    Args:
        judge: Runs them.
        problem: The question; its limits hold.
        solutions: Programs.
        generated: Tests beside the public ones.
        weights: Chance that each of them is right (`GeneratedTests.weights`); empty for all alike.
    """
    tests = (*problem.public_tests, *generated)
    verdicts = judge.evaluate([submission(problem, code, tests) for code in solutions])
    return matrix_of(verdicts, len(problem.public_tests), weights, same_of(problem))


def _share(results: Sequence[bool], weights: Sequence[float] = ()) -> float:
    whole = sum(weights) if weights else len(results)
    return _passed(results, weights) / whole if whole else 1.0


def _passed(results: Sequence[bool], weights: Sequence[float]) -> float:
    """Returns the weight of the passed tests."""
    return sum(compress(weights, results)) if weights else sum(results)
