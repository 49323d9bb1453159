"""Reads rows from JSON, JSON lines, Parquet and Arrow files, compressed or not, alone or in folders.

Rows are read one after the other, so that a set may be larger than the memory; a JSON array is read whole.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

from o1coder_gym.errors import ProblemFileError, require, unreadable
from o1coder_gym.problems.formats.row_format import Origin

_TABLES = (".parquet", ".arrow", ".feather")
_TEXTS = (".jsonl", ".json", ".ndjson")
SUFFIXES = (*_TABLES, *(text + packed for text in _TEXTS for packed in ("", ".gz", ".zst")))
"""File name endings that can be read."""

_ROWS_AT_ONCE = 16
_SHARD = re.compile(r"[-_.]?\d{4,}(?:-of-\d+)?$")
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev)(?:\d+)?(?=$|[-_.])")
_NOT_ROWS = {"dataset_info.json", "dataset_dict.json", "dataset_infos.json", "state.json"}
"""What `datasets` puts beside the shards."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a source: its position, and its value or, if it is not JSON, the error."""

    where: str
    origin: Origin
    value: object
    fault: str = ""


def stem(path: Path) -> str:
    """Returns the name of a file without its endings."""
    return path.name.split(".", 1)[0]


def file_lines(path: Path, group: str, first: int = 0, split: str | None = None) -> Iterator[Line]:
    """Yields the rows of a file.

    Args:
        path: The file.
        group: The group of its rows.
        first: Number of its first row in the group.
        split: Their split, where the name of the file or its folder says one.

    Raises:
        ProblemFileError: When the file cannot be read.
        MissingExtraError: When that takes a package that is not installed.
    """
    table = path.suffix in _TABLES
    try:
        for index, (place, value, fault) in enumerate(_table_rows(path) if table else _text_rows(path)):
            yield Line(f"{path}, {place}", Origin(group, first + index, split), value, fault)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ProblemFileError(unreadable(path, error)) from error


def folder_lines(folder: Path, name: str) -> Iterator[Iterator[Line]]:
    """Yields the rows of the shards of a folder and its subfolders, a group for each file.

    Shards of one table count on; ``train``, ``test`` and the like in the name of a file or of its folder are
    the split of its rows.

    Raises:
        ProblemFileError: When there is no such file.
    """
    found = [path for path in sorted(folder.rglob("*")) if _is_shard(path)]
    if not found:
        raise ProblemFileError(f"{folder}: no files of rows in it; known endings: {', '.join(SUFFIXES)}")
    rows: Counter[str] = Counter()
    for path in found:
        split, table = _split(path, folder), _SHARD.sub("", stem(path)) or "rows"
        group = f"{name}/{table if table not in ('data', 'rows') or not split else split}"
        yield _counted(file_lines(path, group, rows[group], split), rows, group)


def _counted(lines: Iterable[Line], rows: Counter[str], group: str) -> Iterator[Line]:
    for line in lines:
        rows[group] += 1
        yield line


def _is_shard(path: Path) -> bool:
    hidden = path.name.startswith(".") or path.name in _NOT_ROWS
    return not hidden and path.name.endswith(SUFFIXES) and path.is_file()


def _split(path: Path, folder: Path) -> str | None:
    """Returns the split that the name of a file says, or that of a folder on the way to it."""
    for part in (stem(path), *reversed(path.relative_to(folder).parts[:-1])):
        if match := _SPLIT.match(part):
            return match.group(1)
    return None


def _text_rows(path: Path) -> Iterator[tuple[str, Any, str]]:
    """Yields place, value and fault of one object a line, or of the items of one JSON array."""
    with _opened(path) as stream:
        lines = enumerate(stream, start=1)
        number, line = next(((n, text) for n, text in lines if text.removeprefix(BOM_UTF8).strip()), (0, b""))
        # The first line that holds anything tells an array from JSON lines.
        line = line.removeprefix(BOM_UTF8)
        if line.lstrip().startswith(b"["):
            yield from _array_rows(path, line + stream.read())
            return
        for place, text in chain([(number, line)] if number else (), lines):
            if text.strip():
                yield f"line {place}", *_parsed(text)


def _parsed(line: bytes) -> tuple[Any, str]:
    """Returns the value of a line and its fault, if any."""
    try:
        return json.loads(line.decode()), ""
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"


def _array_rows(path: Path, text: bytes) -> Iterator[tuple[str, Any, str]]:
    try:
        items = json.loads(text.decode())
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ProblemFileError(f"{path}: not JSON: {error}") from error
    for index, item in enumerate(items, start=1):
        yield f"row {index}", item, ""


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path))
    if path.suffix == ".zst":
        _arrow()
        import pyarrow

        stream: Any = pyarrow.input_stream(str(path), compression="zstd")  # has no lines of its own
        return io.BufferedReader(stream, buffer_size=1 << 20)
    return path.open("rb")


def _table_rows(path: Path) -> Iterator[tuple[str, Any, str]]:
    """Yields place, value and fault of the rows of a Parquet or Arrow file."""
    _arrow()
    import pyarrow

    index = 0
    try:
        for batch in _parquet_batches(path) if path.suffix == ".parquet" else _arrow_batches(path):
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                for value in batch.slice(start, _ROWS_AT_ONCE).to_pylist():
                    index += 1
                    yield f"row {index}", value, ""
    except pyarrow.ArrowException as error:
        raise ProblemFileError(unreadable(path, error)) from error


def _parquet_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    # Without pre-buffering, which reads ahead by row groups: one may be larger than the memory.
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=_ROWS_AT_ONCE)


def _arrow_batches(path: Path) -> Iterator[Any]:
    """Yields the batches of an Arrow file, or of a stream, as which `datasets` keeps its tables."""
    import pyarrow.ipc

    with pyarrow.memory_map(str(path)) as source:
        # The magic bytes of an Arrow file; a stream has none.
        if source.read(6) == b"ARROW1":
            reader = pyarrow.ipc.open_file(source)
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            source.seek(0)
            yield from pyarrow.ipc.open_stream(source)


def _arrow() -> None:
    """Makes sure that pyarrow is there.

    Raises:
        MissingExtraError: When it is not.
    """
    require("data", "pyarrow")
