"""Writes the trees of runs in other projects' formats, and reads them back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from o1coder_gym.adapters.traces.atif import atif
from o1coder_gym.adapters.traces.tree_paths import TREE
from o1coder_gym.adapters.traces.verifiers import verifiers
from o1coder_gym.adapters.traces.verl import verl
from o1coder_gym.errors import JournalError, ProblemFileError, RowError, UnknownNameError, UsageError
from o1coder_gym.problems.formats.reading.fields import decoded
from o1coder_gym.process_data.search_tree import TREES, SearchTree, tree_rows
from o1coder_gym.runs.files import replacing
from o1coder_gym.runs.journal import require_folder

FORMATS: Mapping[str, Callable[[SearchTree], Iterator[dict[str, Any]]]] = MappingProxyType(
    {"atif": atif, "verifiers": verifiers, "verl": verl}
)
"""Formats by name; each yields JSON-able rows."""


def export_traces(run: Path, format: str, path: Path) -> int:
    """Writes the trees of a run folder as JSON lines; returns how many rows there are.

    Raises:
        UnknownNameError: When there is no such format.
        UsageError: When there is no such folder, or the traces would replace the trees.
        JournalError: When there are no trees, or they are damaged.
    """
    if format not in FORMATS:
        raise UnknownNameError("format of traces", format, FORMATS)
    require_folder(run, "bench, synthesize or solve")
    if path.resolve() == (run / f"{TREES}.jsonl").resolve():
        raise UsageError(f"{path}: holds the trees themselves, and would be replaced")
    traces = (trace for row in tree_rows(run) for trace in FORMATS[format](SearchTree.from_row(row)))
    lines = (json.dumps(trace, ensure_ascii=False) + "\n" for trace in traces)
    if (first := next(lines, None)) is None:
        raise JournalError(f"{run}: holds no search trees")
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        return sum(file.write(line) > 0 for line in chain([first], lines))


def read_trees(rows: Iterable[Mapping[str, Any]]) -> Iterator[SearchTree]:
    """Yields the trees of rows of any of the formats, as they were.

    Raises:
        RowError: When a row is of none of them.
        JournalError: When the tree that it carries is damaged.
    """
    for number, row in enumerate(rows, start=1):
        known = row if isinstance(row, Mapping) else {}
        places = [known.get(name) for name in ("extra", "info", "extra_info")]
        found = next((place for place in places if isinstance(place, Mapping) and TREE in place), None)
        if found is None:
            raise RowError(f"row {number}: field {TREE!r}: missing from extra, info or extra_info")
        if found[TREE] is None:  # verl's rows carry a tree once
            continue
        try:
            tree = decoded(found, TREE, dict)
        except ProblemFileError as error:
            raise RowError(f"row {number}: {error}") from error
        yield SearchTree.from_row(tree)
