"""Runs a quality evaluation batch by batch, so that it shows progress and can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from o1coder_gym.problems.rows import ProblemRow, case_to_json
from o1coder_gym.runs.executors import Executor, serial
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.quality.measures import MUTANTS, ProblemQuality, measure
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.types import GeneratedTests, Problem
from o1coder_gym.types.protocols import TestGenerator

Evaluated: TypeAlias = tuple[list[GeneratedTests], list[ProblemQuality]]
"""Tests of a batch of problems, and their quality."""

QUALITY, TESTS = "quality", "tests"
"""Names of the files in a run folder: counts, and the tests themselves with what the generator wrote."""


class DatasetTests:
    """A generator that answers with the hidden tests of the problems themselves, to compare with."""

    def __init__(self, rows: Sequence[ProblemRow]) -> None:
        """Args: the problems."""
        self._tests = {row.problem.task_id: row.tests for row in rows}

    def generate(
        self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
    ) -> GeneratedTests:
        """Returns all hidden tests of `problem`, however many were asked for."""
        return GeneratedTests(self._tests[problem.task_id])


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Settings of a generator's evaluation.

    Attributes:
        tests: Tests to request per problem.
        with_reference: Mode A; without it mode B.
        mutants: Mutants per problem at most.
        batch: Problems at a time.
        seed: Of generation and of the draw of mutants.
    """

    tests: int = 20
    with_reference: bool = True
    mutants: int = MUTANTS
    batch: int = 16
    seed: int = 0


def evaluate_batches(
    work: Callable[[Sequence[ProblemRow]], Evaluated],
    rows: Sequence[ProblemRow],
    settings: EvaluationSettings,
    folder: RunFolder | None = None,
    run: Executor = serial,
    workers: int = 1,
) -> Iterator[ProblemQuality]:
    """Yields the quality of the tests of each problem, those that `folder` has already first.

    Args:
        work: `evaluate_batch` with its tools; picklable where `run` needs that.
        rows: Problems.
        settings: Of which the batch counts here.
        folder: Where results are appended.
        run: Maps `work` over batches.
        workers: Batches at a time.

    Raises:
        JournalError: When the folder cannot be read or written.
        PolicyError: When the generator's engine fails.
    """
    done = _done(folder) if folder is not None else {}
    yield from (done[row.problem.task_id] for row in rows if row.problem.task_id in done)
    waiting = [row for row in rows if row.problem.task_id not in done]
    size = max(1, min(settings.batch, -(-len(waiting) // workers)))
    batches = [waiting[start : start + size] for start in range(0, len(waiting), size)]
    for batch, (generated, measured) in zip(batches, run(work, batches), strict=True):
        if folder is not None:
            folder.append(TESTS, *map(_tests_row, batch, generated))
            folder.append(QUALITY, *(one.to_row() for one in measured))
        yield from measured


def _done(folder: RunFolder) -> dict[str, ProblemQuality]:
    """Returns the problems whose tests and counts are there; drops the half of one that lacks the other."""
    done = {row["task_id"]: ProblemQuality(**row) for row in folder.rows(QUALITY)}
    whole = done.keys() & {row["task_id"] for row in folder.rows(TESTS)}
    for name in (TESTS, QUALITY):
        folder.keep(name, lambda row: row["task_id"] in whole)
    return {task_id: found for task_id, found in done.items() if task_id in whole}


def evaluate_batch(
    judge: OutputJudge,
    generator: TestGenerator,
    settings: EvaluationSettings,
    samples: Mapping[str, Sequence[str]] | None,
    rows: Sequence[ProblemRow],
) -> Evaluated:
    """Returns the tests of a batch of problems and their quality.

    Args:
        judge: Runs everything.
        generator: Whose tests are measured.
        settings: See `EvaluationSettings`.
        samples: Programs by task id, to be accepted or rejected by the tests.
        rows: The problems.
    """
    generated = generate_all(generator, [_request(row, settings) for row in rows])
    measured = measure(
        judge,
        rows,
        generated,
        samples=samples,
        mutants_per_problem=settings.mutants,
        seed=settings.seed,
    )
    return generated, measured


def _request(row: ProblemRow, settings: EvaluationSettings) -> TestRequest:
    reference = row.reference if settings.with_reference else None
    return TestRequest(row.problem, settings.tests, reference, settings.seed)


def _tests_row(row: ProblemRow, generated: GeneratedTests) -> dict[str, object]:
    return {
        "task_id": row.problem.task_id,
        "tests": [case_to_json(test) for test in generated.tests],
        "report": dict(generated.report),
        "weights": list(generated.weights),
        "raw": generated.raw,
    }
