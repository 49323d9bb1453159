"""`o1coder judge`: solutions of a file against all tests of a problem file, one JSON row each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.progress import Progress

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.tools import judge_serve
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.files import json_lines
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.sandbox import Judge
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import JsonLines, SetName, SkipBad, Split
from o1coder_gym.types import CaseResult, Problem, Submission, Verdict

_BATCH = 256
"""Solutions judged before their rows are printed; enough to keep every worker busy."""


@dataclass(frozen=True, slots=True)
class Solution:
    """One row of a solutions file.

    Attributes:
        task_id: The problem.
        solution_id: As given, or agent, seed and budget of a row of results.jsonl, or the number of the line.
        code: The program.
    """

    task_id: str
    solution_id: str | int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings(Checked):
    """Judging.

    Attributes:
        solutions: JSON lines: task_id, and code, solution or completion (which continues the prompt);
            results.jsonl of a run is one.
        workers: Programs at the same time; default: one per core.
        require: Guarantees without which nothing is run, e.g. full (o1coder doctor); may be repeated.
            Without it: those that judging untrusted programs needs.
        without: Guarantees to do without, e.g. foreign_files; may be repeated.
    """

    problems: SetName
    solutions: Path
    split: Split = None
    workers: AtLeastOne | None = None
    require: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    skip_bad: SkipBad = False
    output: JsonLines = JsonLines()


def judge(settings: JudgeSettings) -> None:
    """Run untrusted solutions against all tests of their problems.

    Public tests and hidden ones; a JSON row each on standard output.
    """
    found = load_rows(settings.problems, split=settings.split, skip_bad=settings.skip_bad)
    rows = {row.problem.task_id: row for row in found}
    asked = list(read_solutions(settings.solutions, rows))
    console = notes()
    warn(without_visible_tests(rows.values()), without_hidden_tests(list(rows.values())))
    with (
        Judge(settings.workers, require=settings.require or None, without=settings.without) as sandbox,
        Progress(console=console, transient=True) as progress,
    ):
        bar = progress.add_task("judging", total=len(asked))
        remaining = iter(asked)
        while batch := list(islice(remaining, _BATCH)):
            verdicts = sandbox.evaluate([_submission(one, rows[one.task_id]) for one in batch])
            for solution, verdict in zip(batch, verdicts, strict=True):
                print(to_json(_row(solution, verdict)))
            progress.advance(bar, len(batch))


def read_solutions(path: Path, known: Mapping[str, ProblemRow]) -> Iterator[Solution]:
    """Yields the solutions of a file; rows of a run in which no program was committed are left out.

    Args:
        path: JSON lines with task_id and code; a row without solution_id is called by the number of its line.
        known: Problems by task id.

    Raises:
        ProblemFileError: When a row is malformed or names no problem; names file, line and field.
    """
    try:
        lines = json_lines(path)
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
        if not isinstance(row.get("task_id"), str):
            raise ProblemFileError(f"{where}: field 'task_id': missing or of the wrong type")
        if row["task_id"] not in known:
            raise ProblemFileError(f"{where}: field 'task_id': there is no problem {row['task_id']!r}")
        if "agent" in row and row.get("code", "") is None:
            continue
        code = _code(row, known[row["task_id"]].problem)
        if code is None:
            raise ProblemFileError(f"{where}: field 'code': missing or of the wrong type; also {_ALSO}")
        yield Solution(row["task_id"], _solution_id(row, number, where), code)


_ALSO = "'solution' and 'completion' are read"


def _code(row: Mapping[str, Any], problem: Problem) -> str | None:
    """Returns the program of a row; a completion that defines no entry point continues the prompt."""
    for field in ("code", "solution", "completion"):
        code = row.get(field)
        if isinstance(code, str):
            name = re.escape(problem.entry_point or "")
            begins = field != "completion" or not name or re.search(rf"^def {name}\b", code, re.MULTILINE)
            return code if begins else problem.prompt + code
    return None


def _solution_id(row: Mapping[str, Any], number: int, where: str) -> str | int:
    if "solution_id" in row:
        if not isinstance(row["solution_id"], str | int):
            raise ProblemFileError(f"{where}: field 'solution_id': missing or of the wrong type")
        return row["solution_id"]
    if "agent" in row:
        limit = row.get("budget", {}).get("tokens")
        return f"{row['agent']}, seed {row.get('seed', 0)}" + (f" @{limit}" if limit else "")
    return number


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


app = command(JudgeSettings, judge, name="judge")
app.command(judge_serve.app)
