"""Problem sets by name or path.

A name is looked for in this order: a file of that path, the folder ``O1CODER_DATA``, an installed package,
the Hugging Face cache or Hub. `load_problems` gives what search and training may see; `load_rows` gives the
hidden tests and references too, and is for evaluation, test generators, the command line and benchmarks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from o1coder_gym.errors import ProblemFileError, UnknownNameError
from o1coder_gym.problems.benchmarks import Converter, converter_for
from o1coder_gym.problems.rows import (
    ProblemRow,
    problem_row_from_json,
    problem_row_to_json,
    public_row_to_json,
)
from o1coder_gym.problems.sources import KNOWN_SETS, KnownSet, Line, find_files, open_source
from o1coder_gym.types import Limits, Problem

__all__ = [
    "KNOWN_SETS",
    "KnownSet",
    "ProblemRow",
    "ProblemSet",
    "find_files",
    "limits_for",
    "load_problems",
    "load_rows",
    "problem_row_from_json",
    "problem_row_to_json",
    "public_row_to_json",
]


@dataclass(frozen=True, slots=True)
class ProblemSet(Sequence[ProblemRow]):
    """The rows of a problem set, in order; task ids are unique.

    Attributes:
        name: As asked for.
        source: Where it was found, for people.
        rows: What could be read.
        skipped: What is wrong with each row that was skipped; empty unless that was asked for.
    """

    name: str
    source: str
    rows: tuple[ProblemRow, ...]
    skipped: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> ProblemRow: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ProblemRow, ...]: ...

    def __getitem__(self, index: int | slice) -> ProblemRow | tuple[ProblemRow, ...]:
        """Returns a row or a tuple of rows."""
        return self.rows[index]

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.rows)

    def row(self, task_id: str) -> ProblemRow:
        """Returns the row of a task.

        Raises:
            UnknownNameError: When the set has no such task.
        """
        for row in self.rows:
            if row.problem.task_id == task_id:
                return row
        raise UnknownNameError(f"task of {self.name}", task_id)


def load_problems(name: str | Path, *, split: str | None = None, skip_bad: bool = False) -> list[Problem]:
    """Returns the public part of a problem set: prompts and public tests.

    Args and errors are those of `load_rows`; with `skip_bad` a warning says what was skipped.
    """
    found = load_rows(name, split=split, skip_bad=skip_bad)
    if found.skipped:
        text = f"skipped {len(found.skipped)} bad rows of {found.name}; the first: {found.skipped[0]}"
        warnings.warn(text, stacklevel=2)
    return [row.problem for row in found]


def load_rows(name: str | Path, *, split: str | None = None, skip_bad: bool = False) -> ProblemSet:
    """Returns a problem set with its hidden tests and references.

    Args:
        name: One of `KNOWN_SETS`, or the path of a problem file: this project's JSONL, or a file in the
            format of HumanEval, MBPP, EvalPlus, APPS or TACO, gzipped or not.
        split: Keeps the problems whose ``meta["split"]`` this is; all if None.
        skip_bad: Lists rows that cannot be read in `ProblemSet.skipped` instead of refusing the file.

    Raises:
        UnknownNameError: When there is no such set, or no such split in it.
        ProblemFileError: When a file is missing, empty or holds a bad row; names file, line and field.
        MissingExtraError: When the set has to come from the Hub and `datasets` is not installed.
    """
    known = KNOWN_SETS.get(str(name))
    source, groups = open_source(str(name), known)
    rows, skipped = _convert(groups, skip_bad)
    if not rows:
        reason = f"all {len(skipped)} rows are bad; the first: {skipped[0]}" if skipped else "it is empty"
        raise ProblemFileError(f"{source}: no problems: {reason}")
    if split is not None:
        splits = {row.problem.meta.get("split") for row in rows}
        if split not in splits:
            raise UnknownNameError(f"split of {name}", split, [str(known) for known in splits if known])
        rows = [row for row in rows if row.problem.meta.get("split") == split]
    return ProblemSet(str(name), source, tuple(rows), tuple(skipped))


def limits_for(problem: Problem, limits: Limits = Limits()) -> Limits:
    """Returns the limits for judging a problem: more where its ``meta["cpu_s"]`` says that tests need it."""
    cpu_s = max(limits.cpu_s, float(problem.meta.get("cpu_s", 0.0)))
    return replace(limits, cpu_s=cpu_s, wall_s=max(limits.wall_s, 3 * cpu_s))


def _convert(groups: Iterable[Sequence[Line]], skip_bad: bool) -> tuple[list[ProblemRow], list[str]]:
    """Turns lines into rows, by the format of each group; faults are raised or, with `skip_bad`, listed."""
    rows: list[ProblemRow] = []
    skipped: list[str] = []
    seen: dict[str, str] = {}
    for lines in groups:
        convert = converter_for(next((line.value for line in lines if not line.fault), None))
        for line in lines:
            try:
                row = _convert_line(line, convert)
                task_id = row.problem.task_id
                if task_id in seen:
                    raise ProblemFileError(f"field 'task_id': {task_id!r} is already that of {seen[task_id]}")
            except ProblemFileError as error:
                if not skip_bad:
                    raise ProblemFileError(f"{line.where}: {error}") from error
                skipped.append(f"{line.where}: {error}")
                continue
            seen[task_id] = line.where
            rows.append(row)
    return rows, skipped


def _convert_line(line: Line, convert: Converter) -> ProblemRow:
    if line.fault:
        raise ProblemFileError(line.fault)
    if not isinstance(line.value, Mapping):
        raise ProblemFileError(f"expected an object, got {type(line.value).__name__}")
    row = convert(line.value, line.origin)
    if line.origin.split and "split" not in row.problem.meta:
        meta = {**row.problem.meta, "split": line.origin.split}
        return replace(row, problem=replace(row.problem, meta=meta))
    return row
