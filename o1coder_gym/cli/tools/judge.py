"""`o1coder judge`: solutions of a file against all tests of a problem file, one JSON row each."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from o1coder_gym.cli.options import ProblemsOption, SkipBadOption, SplitOption
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.progress import warn
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import CaseResult, Submission, Verdict

_BATCH = 256
"""Solutions judged before their rows are printed; enough to keep every worker busy."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One row of a solutions file."""

    task_id: str
    solution_id: str | int
    code: str


def judge(
    problems: ProblemsOption,
    solutions: Annotated[Path, typer.Option("--solutions", help="JSON lines: task_id, solution_id, code.")],
    split: SplitOption = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Default: one per core.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require", help="Guarantees without which nothing is run, e.g. full (o1coder doctor)."
        ),
    ] = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Run untrusted solutions against all tests of their problems, public and hidden."""
    rows = {row.problem.task_id: row for row in load_rows(problems, split=split, skip_bad=skip_bad)}
    asked = list(_read(solutions, rows))
    console = Console(stderr=True)
    warn(without_visible_tests(rows.values()), without_hidden_tests(list(rows.values())))
    with (
        Judge(workers, require=require or ()) as sandbox,
        Progress(console=console, transient=True) as progress,
    ):
        bar = progress.add_task("judging", total=len(asked))
        remaining = iter(asked)
        while batch := list(islice(remaining, _BATCH)):
            verdicts = sandbox.evaluate([_submission(one, rows[one.task_id]) for one in batch])
            for solution, verdict in zip(batch, verdicts, strict=True):
                typer.echo(json.dumps(_row(solution, verdict)))
            progress.advance(bar, len(batch))


def _read(path: Path, known: Container[str]) -> Iterator[Solution]:
    """Yields the solutions of a file.

    Raises:
        ProblemFileError: When a row is malformed or names no problem; names file, line and field.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ProblemFileError(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ProblemFileError(f"{where}: got a {type(row).__name__}, expected an object")
        for field, kinds in (("task_id", str), ("solution_id", (str, int)), ("code", str)):
            if not isinstance(row.get(field), kinds):
                raise ProblemFileError(f"{where}: field {field!r}: missing or of the wrong type")
        if row["task_id"] not in known:
            raise ProblemFileError(f"{where}: field 'task_id': there is no problem {row['task_id']!r}")
        yield Solution(row["task_id"], row["solution_id"], row["code"])


def _submission(solution: Solution, row: ProblemRow) -> Submission:
    problem = row.problem
    tests = (*problem.public_tests, *row.tests)
    return submission(problem, solution.code, tests)


def _row(solution: Solution, verdict: Verdict) -> dict[str, Any]:
    return {
        "task_id": solution.task_id,
        "solution_id": solution.solution_id,
        "outcome": verdict.outcome.value,
        "passed": verdict.passed,
        "total": verdict.total,
        "tests": [_case(case) for case in verdict.tests],
        "cpu_s": round(verdict.cpu_s, 6),
        "error": verdict.error,
    }


def _case(case: CaseResult) -> dict[str, Any]:
    return {"outcome": case.outcome.value, "got": case.got, "error": case.error}
