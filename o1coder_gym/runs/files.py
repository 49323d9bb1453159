"""Files of runs: JSON rows, and atomic writes: what is written is complete or absent, whenever killed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str | bytes) -> None:
    """Atomically writes or replaces a file; text as UTF-8.

    Raises:
        OSError: When it cannot be written; an existing file is left unchanged.
    """
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, row: Mapping[str, Any]) -> None:
    """Atomically writes a JSON object over several lines; errors as of `write_whole`."""
    write_whole(path, json.dumps(row, indent=2) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces `path` atomically if the block succeeds.

    A folder can only replace an empty folder. A link to a file stays one, and what is neither a file nor a
    folder (``/dev/null``, a pipe) is written to, not replaced.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    path = path.resolve() if path.is_file() else path
    part = path.with_name(f".{path.name}.part")  # beside it: only within a file system is a rename atomic
    _remove(part)  # of a process that was killed
    try:
        yield part
        part.replace(path)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def json_lines(path: Path) -> list[str]:
    r"""Returns the lines of a JSONL file, which ``"\n"`` alone ends: texts in it may hold other line ends.

    Raises:
        OSError, UnicodeDecodeError: When it cannot be read as UTF-8.
    """
    text = path.read_bytes().decode("utf-8")  # read, not measured: a pipe has no size
    return text.removesuffix("\n").split("\n") if text else []


def finite(value: Any) -> Any:
    """Returns rows with None in place of NaN and infinity, which JSON lacks."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value
