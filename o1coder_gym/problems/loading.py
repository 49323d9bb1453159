"""Problem sets by name or path.

A name is looked for in this order: a file of that path, the folder ``O1CODER_DATA``, an installed package,
the Hugging Face cache or Hub; then a folder of that path. `load_problems` gives what search and training may
see; `load_rows` and `stream_rows` give the hidden tests and references too, and are for evaluation, test
generators, the command line and benchmarks.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import overload

from o1coder_gym.errors import LISTED, ProblemFileError, UnknownNameError, UsageError
from o1coder_gym.problems.answers.programs import limits_for
from o1coder_gym.problems.containers import Line
from o1coder_gym.problems.formats.row_format import Converter
from o1coder_gym.problems.formats.telling import converter_for, converter_named
from o1coder_gym.problems.likeness.identity import question_key
from o1coder_gym.problems.rows import (
    ProblemRow,
    problem_row_from_json,
    problem_row_to_json,
    public_row_to_json,
)
from o1coder_gym.problems.sources import KNOWN_SETS, KnownSet, find_files, open_source
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.specs import registry
from o1coder_gym.types import Problem

_LOG = logging.getLogger(__name__)

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
    "stream_rows",
    "with_splits",
]


@dataclass(frozen=True, slots=True)
class ProblemSet(Sequence[ProblemRow]):
    """The rows of a problem set, in order; task ids are unique.

    Attributes:
        name: The name or path that was asked for.
        source: Human-readable location where it was found.
        rows: The rows that could be read.
        skipped: One message per skipped row; empty unless skipping was asked for.
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

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of its splits, in order of first appearance; none where the rows name none."""
        return tuple(dict.fromkeys(str(row.problem.meta["split"]) for row in self.rows if _split(row)))

    def of_split(self, split: str) -> tuple[ProblemRow, ...]:
        """Returns the rows of a split.

        Raises:
            UnknownNameError: When there is no such split.
        """
        if split not in self.splits:
            raise UnknownNameError(f"split of {self.name}", split, self.splits)
        return tuple(row for row in self.rows if _split(row) == split)

    def row(self, task_id: str, *, advice: str = "") -> ProblemRow:
        """Returns the row of a task.

        Args:
            task_id: The task.
            advice: What the message says to do, beside listing the tasks, when there is no such task.

        Raises:
            UnknownNameError: When the set has no such task.
        """
        for row in self.rows:
            if row.problem.task_id == task_id:
                return row
        known = [row.problem.task_id for row in self.rows]
        listing = f"{advice and f'{advice}, or '}list the tasks: o1coder data show {self.name}"
        raise UnknownNameError(f"task of {self.name}", task_id, known, most=LISTED, advice=listing)


OTHER_SET = "name its problem set with --problems"
"""Advice for a task that the set of a command does not have."""


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
        name: One of `KNOWN_SETS`, a file, a folder of shards, or
            ``hf:owner/name[/configuration][@revision][:split]``. Rows are in this project's format or in
            one of those that ``o1coder list problems`` lists; it is told by their fields, or named before a
            colon: ``apps:my.parquet``.
        split: Keeps the problems whose ``meta["split"]`` this is; all if None.
        skip_bad: Lists rows that cannot be read in `ProblemSet.skipped` instead of refusing the file.

    Raises:
        UnknownNameError: When there is no such set, or no such split in it.
        ProblemFileError: When a file is missing, empty or holds a bad row; names file, line and field.
        MissingExtraError: When it takes an extra that is not installed.
    """
    skipped: list[str] = []
    source, groups, converter = _found(str(name), streaming=False)
    rows = list(_converted(groups, converter, skipped.append if skip_bad else None))
    if not rows:
        reason = f"all {len(skipped)} rows are bad; the first: {skipped[0]}" if skipped else "it is empty"
        raise ProblemFileError(f"{source}: no problems: {reason}")
    found = ProblemSet(str(name), source, tuple(rows), tuple(skipped))
    _LOG.info("problems %s: %d rows of %s, %d skipped", name, len(rows), source, len(skipped))
    return found if split is None else replace(found, rows=found.of_split(split))


SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "validation": 0.1, "test": 0.1})
"""Default splits and their shares, for a set without splits."""


def with_splits(found: ProblemSet, shares: Mapping[str, float] = SHARES, *, seed: int = 0) -> ProblemSet:
    """Assigns the rows of a set to splits by a hash of seed and task id; rows keep their order.

    One question under several names is in one split, unless there are fewer questions than splits. A split
    has at least one problem where its share is more than 0.

    Args:
        found: A set with at least as many problems as splits; existing splits are replaced.
        shares: Share of each split, ≥ 0, by name; they sum to 1.
        seed: Seed of the assignment.

    Raises:
        UsageError: When there are too few problems, or the shares make no sense.
    """
    wanted = {name: share for name, share in shares.items() if share > 0}
    if min(shares.values()) < 0 or not math.isclose(sum(wanted.values()), 1):
        raise UsageError(f"shares of splits must be at least 0 and add up to 1, got {dict(shares)}")
    alike: dict[str, list[str]] = defaultdict(list)
    for row in found:
        alike[question_key(row.problem)].append(row.problem.task_id)
    if len(found) < len(wanted):
        raise UsageError(f"{found.name} has {len(found)} problems, too few for {', '.join(wanted)}")
    groups = alike.values() if len(alike) >= len(wanted) else [[row.problem.task_id] for row in found]
    first, *others = wanted
    counts = {name: max(1, round(wanted[name] * len(found))) for name in others}
    while sum(counts.values()) >= len(found):
        # Rounding up may use up all problems: the first split gets what is left, and that must be one at
        # least.
        counts[max(counts, key=lambda name: counts[name])] -= 1
    split = _dealt(groups, counts, seed)
    rows = (
        replace(
            row,
            problem=replace(
                row.problem, meta={**row.problem.meta, "split": split.get(row.problem.task_id, first)}
            ),
        )
        for row in found
    )
    return replace(found, rows=tuple(rows))


def _dealt(alike: Iterable[Sequence[str]], counts: Mapping[str, int], seed: int) -> dict[str, str]:
    """Deals groups of task ids to splits of these sizes, one after the other; returns split by task id."""
    order = sorted(alike, key=lambda tasks: min(content_hash([seed, task]) for task in tasks))
    left, split = deque(order), dict[str, str]()
    for later, (name, count) in enumerate(counts.items()):
        taken = 0
        while taken < count and len(left) > len(counts) - later:  # each of the others gets a group too
            taken += len(left[0])
            split |= dict.fromkeys(left.popleft(), name)
    return split


def _split(row: ProblemRow) -> str | None:
    return row.problem.meta.get("split")


def stream_rows(
    name: str | Path, *, split: str | None = None, skip: Callable[[str], None] | None = None
) -> Iterator[ProblemRow]:
    """Yields the rows of a set one by one, for sets larger than memory.

    Args:
        name: As `load_rows` takes it; of the Hub nothing is downloaded in advance.
        split: Yields the problems of this split only; all if None.
        skip: Told of each row that cannot be read; None: such a row is an error.

    Raises:
        As `load_rows` does, but that an empty set or split yields nothing.
    """
    _, groups, converter = _found(str(name), streaming=True)
    for row in _converted(groups, converter, skip):
        if split is None or row.problem.meta.get("split") == split:
            yield row


def _found(name: str, *, streaming: bool) -> tuple[str, Iterable[Iterable[Line]], Converter | None]:
    """Returns a set's place, its rows, and the converter if its format is named."""
    format_name, colon, rest = name.partition(":")
    named = colon and not Path(name).exists() and format_name in registry.entries("problems")
    converter = converter_named(format_name) if named else None
    return *open_source(rest if named else name, streaming=streaming), converter


def _converted(
    groups: Iterable[Iterable[Line]], named: Converter | None, skip: Callable[[str], None] | None
) -> Iterator[ProblemRow]:
    """Turns lines into rows, by the format of each group; faults are raised or `skip` is told."""
    seen: dict[int, int] = {}
    for lines in groups:
        convert = named
        for line in lines:
            try:
                if line.fault:
                    raise ProblemFileError(line.fault)
                convert = convert or converter_for(line.value)
                row = _convert_line(line, convert)
                _refuse_twice(row.problem.task_id, line, seen)
            except ProblemFileError as error:
                if skip is None:
                    raise ProblemFileError(f"{line.where}: {error}") from error
                skip(f"{line.where}: {error}")
            else:
                yield row


def _refuse_twice(task_id: str, line: Line, seen: dict[int, int]) -> None:
    """Notes a task id, by its hash and the number of its line alone, for a set may have millions."""
    # Two ids with one 64-bit hash would be taken for one; sets are far too small for that to happen.
    key, (place, number) = hash(task_id), line.where.rsplit(" ", 1)
    if key in seen:
        unit = place.rpartition(" ")[2]
        raise ProblemFileError(f"field 'task_id': {task_id!r} is already that of {unit} {seen[key]}")
    seen[key] = int(number)


def _convert_line(line: Line, convert: Converter) -> ProblemRow:
    if not isinstance(line.value, Mapping):
        raise ProblemFileError(f"expected an object, got {type(line.value).__name__}")
    row = convert(line.value, line.origin)
    if line.origin.split and "split" not in row.problem.meta:
        meta = {**row.problem.meta, "split": line.origin.split}
        return replace(row, problem=replace(row.problem, meta=meta))
    return row
