"""Data sets on disk: four JSONL files, ``dataset.json`` written last, and a card for people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from o1coder_gym.errors import ProblemFileError, RowError, unreadable
from o1coder_gym.problems.rows import ProblemRow, problem_row_from_json, problem_row_to_json
from o1coder_gym.process_data.card import card
from o1coder_gym.process_data.dataset import ProcessData
from o1coder_gym.process_data.labels import LabelRule, PairRule
from o1coder_gym.process_data.rows import SCHEMA, PairRow, PathRow, PrefixRow
from o1coder_gym.runs.files import json_lines, write_json, write_whole
from o1coder_gym.types import Problem

MANIFEST = "dataset.json"
FILES = ("problems", "prefixes", "paths", "pairs")

Row = TypeVar("Row")


def write_data(folder: Path, data: ProcessData) -> str:
    """Writes ``{problems,prefixes,paths,pairs}.jsonl``, ``README.md`` and ``dataset.json``.

    Args:
        folder: Created with its parents; files of the same names are replaced.
        data: The data set to write.

    Returns:
        The data set's hash: SHA-256 over the four files, in hex. Equal data have equal hashes.

    Raises:
        OSError: When a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # First the manifest goes, last it comes: a folder with one is whole, wherever a writer was killed.
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in FILES:
        content = "".join(json.dumps(row) + "\n" for row in _rows(data, name))
        write_whole(folder / f"{name}.jsonl", content)
    # The hash covers the rows as written, so that equal data have equal hashes whatever made them.
    digest, files = _hashes(folder)
    manifest = {
        "schema": SCHEMA,
        "hash": digest,
        "files": files,
        "format": data.format,
        "label_rule": asdict(data.label_rule),
        "pair_rule": asdict(data.pair_rule),
        "validation": data.validation,
        "sources": dict(data.sources),
        "drops": dict(data.drops),
    }
    write_whole(folder / "README.md", card(data))
    write_json(folder / MANIFEST, manifest)
    return digest


def read_data(folder: Path) -> ProcessData:
    """Reads what `write_data` wrote.

    Raises:
        RowError: When the folder holds no whole data set of this version; names the file, and line and field
            where it is a row.
    """
    manifest = _manifest(folder)
    try:
        found = ProcessData(
            format=manifest["format"],
            problems=tuple(_read(folder / "problems.jsonl", _problem)),
            prefixes=tuple(_read(folder / "prefixes.jsonl", PrefixRow.from_row)),
            paths=tuple(_read(folder / "paths.jsonl", PathRow.from_row)),
            pairs=tuple(_read(folder / "pairs.jsonl", PairRow.from_row)),
            label_rule=LabelRule(**manifest["label_rule"]),
            pair_rule=PairRule(**manifest["pair_rule"]),
            validation=manifest["validation"],
            sources=manifest["sources"],
            drops=manifest["drops"],
        )
    except (KeyError, TypeError) as error:
        raise RowError(f"{folder / MANIFEST}: not the manifest of a data set ({error})") from error
    # After the rows, for a line that cannot be read says more than a hash does.
    _whole(folder, manifest)
    _agreeing(folder, found)
    return found


def data_hash(folder: Path) -> str:
    """Returns the hash of a data set, which `write_data` returned; of the files as they are.

    Raises:
        RowError: When the folder holds no whole data set of this version; names the file.
    """
    return _whole(folder, _manifest(folder))


def is_written(
    folder: Path, sources: Iterable[str], label_rule: LabelRule, pair_rule: PairRule, validation: float
) -> bool:
    """Whether the folder holds a finished data set of just these sources, rules and validation share."""
    if not (folder / MANIFEST).exists():
        return False
    found = _manifest(folder)
    wanted = {"label_rule": asdict(label_rule), "pair_rule": asdict(pair_rule), "validation": validation}
    # Labels and pairs follow from rows and rules, so equal sources and rules mean equal data.
    if set(found.get("sources", ())) != set(sources) or not wanted.items() <= found.items():
        return False
    try:
        _whole(folder, found)
    except RowError:
        return False
    return True


def _hashes(folder: Path) -> tuple[str, dict[str, str]]:
    """Returns the SHA-256 over the four files, and that of each by its name, in hex.

    Raises:
        OSError: When one cannot be read.
    """
    whole, files = hashlib.sha256(), {}
    for path in (folder / f"{name}.jsonl" for name in FILES):
        content = path.read_bytes()
        whole.update(content)
        files[path.name] = hashlib.sha256(content).hexdigest()
    return whole.hexdigest(), files


def _whole(folder: Path, manifest: Mapping[str, Any]) -> str:
    """Returns the hash of the files, `RowError` where they are not those that the manifest was written for.

    A manifest of an earlier version knows the hash of all of them alone; one without a hash takes any.
    """
    try:
        digest, files = _hashes(folder)
    except OSError as error:
        raise RowError(unreadable(error.filename, error)) from error
    if manifest.get("hash") not in (None, digest):
        noted = manifest.get("files", {})
        changed = [name for name, found in files.items() if noted.get(name, found) != found]
        named = ", ".join(str(folder / name) for name in changed) or f"{folder}: one of {', '.join(files)}"
        raise RowError(
            f"{named}: changed or cut since {MANIFEST} was written; copy the whole folder again, or write "
            "it again with: o1coder synthesize --resume"
        )
    return digest


def _agreeing(folder: Path, data: ProcessData) -> None:
    """Raises `RowError` for a row that occurs twice, or that its problem or the other rows contradict."""
    lines: dict[Hashable, int] = {}
    known = {problem.task_id for problem in data.problems}
    splits: dict[str, str] = {}
    for name in FILES:
        for number, row in enumerate(getattr(data, name), start=1):
            where = f"{folder / name}.jsonl, line {number}"
            first = lines.setdefault((name, _key(row)), number)
            if first != number:
                raise RowError(f"{where}: the same as line {first}")
            if isinstance(row, Problem):
                continue
            task = row.state.problem_id
            if task not in known:
                raise RowError(f"{where}: field 'task_id': {task!r} is not in problems.jsonl")
            if splits.setdefault(task, row.split) != row.split:
                told = f"{row.split!r}, but other rows of {task!r} are in {splits[task]!r}"
                raise RowError(f"{where}: field 'split': {told}")


def _key(row: Problem | PrefixRow | PathRow | PairRow) -> Hashable:
    """Returns what no other row of its file shares; of a pair, whichever side is chosen."""
    if isinstance(row, Problem):
        return row.task_id
    return (row.state, frozenset((row.chosen, row.rejected))) if isinstance(row, PairRow) else row.state


def _rows(data: ProcessData, name: str) -> Iterable[dict[str, Any]]:
    if name == "problems":
        return (problem_row_to_json(ProblemRow(problem, ())) for problem in data.problems)
    return (row.to_row() for row in getattr(data, name))


def _problem(row: Mapping[str, Any]) -> Problem:
    return problem_row_from_json(row).problem


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except FileNotFoundError as error:
        message = f"{folder} holds no finished data set; make one with: o1coder synthesize --out {folder}"
        raise RowError(message) from error
    except (OSError, ValueError) as error:
        raise RowError(f"{path}: not the manifest of a data set") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise RowError(f"{path}: not a manifest of schema {SCHEMA}")
    return manifest


def _read(path: Path, read: Callable[[Mapping[str, Any]], Row]) -> Iterable[Row]:
    try:
        lines = json_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RowError(unreadable(path, error)) from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise RowError("not a JSON object")
            yield read(row)
        except (ValueError, RowError, ProblemFileError) as error:
            raise RowError(f"{path}, line {number}: {error}") from error
