"""Run folders: the configuration of a run in `config.json`, its results in append-only JSONL files.

A row is written by one system call, so a kill at any moment loses at most the row being written; the torn
line is cut off when the folder is opened again. Where several rows are one piece of work, whoever resumes it
looks whether all are there, and drops the others by `RunFolder.keep`. A lock allows one process at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import platform
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import o1coder_gym
from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.runs.files import replacing, write_whole
from o1coder_gym.runs.provenance import config_hash, continuing, file_hashes, input_hashes, noted

_LOG = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the folder's layout."""


FILES = "files"
"""Key of a configuration: hashes of the files that it names. Folders of earlier versions lack it."""

INPUTS = "inputs"
"""Key of a configuration: hashes of the artefacts that its specs name, see `input_hashes`."""

_OF_A_START = {"config.json", ".lock"}
"""Files of a run folder before its first row."""


class RunFolder:
    """One run on disk, locked until it is closed; a context manager.

    Attributes:
        path: The folder.
        config: Configuration of the run, as given to `open`.
        resumed: Whether the folder already held this run.
        begun_elsewhere: Whether another version of this project started it.
    """

    def __init__(
        self, path: Path, config: Mapping[str, Any], lock: int, fsync_s: float, resumed: bool
    ) -> None:
        """Use `RunFolder.open`."""
        self.path = path
        self.config = config
        self.resumed = resumed
        self.begun_elsewhere = resumed and _begun_by(path) != o1coder_gym.__version__
        self._lock = lock
        self._fsync_s = fsync_s
        self._files: dict[str, int] = {}
        self._unsynced: dict[str, float] = {}
        self._indices: dict[tuple[str, str], RowIndex] = {}

    @classmethod
    def open(
        cls, path: str | Path, config: Mapping[str, Any], *, resume: bool = False, fsync_s: float = 1.0
    ) -> RunFolder:
        """Creates a run folder, or resumes the run in it.

        Args:
            path: The folder; created with its parents.
            config: JSON-able description of everything that the results depend on.
            resume: Whether to resume a run with an equal config; in an empty folder a new run starts.
            fsync_s: Longest time in seconds that appended rows stay unflushed, checked at each append; 0
                flushes each append. A killed process loses nothing either way, a power cut at most this
                much.

        Raises:
            JournalError: When the folder cannot be written, is in use, holds a run and `resume` is
                false, or holds a run of another config.
        """
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # The kernel releases a flock when the process dies, however it dies: no lock goes stale.
            lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            _take(lock, folder)
            resumed = _claim(folder, config, resume)
        except BaseException:
            os.close(lock)
            raise
        _LOG.info("run folder %s: %s", folder, "resumed" if resumed else "begun")
        return cls(folder, config, lock, fsync_s, resumed)

    def append(self, name: str, *rows: Mapping[str, Any]) -> None:
        """Appends rows to the file `name`.jsonl, by one write.

        Raises:
            JournalError: When the disk is full or the file cannot be written; rows before these
                are safe.
        """
        if not rows:
            return
        # One write() of whole lines to an O_APPEND file: a kill between two writes cannot tear them.
        data = "".join(_dumps(row) + "\n" for row in rows).encode()
        try:
            descriptor = self._files.get(name)
            if descriptor is None:
                descriptor = self._files[name] = _open_for_append(self.path / f"{name}.jsonl")
            _write_all(descriptor, data)
            self._unsynced.setdefault(name, time.monotonic())
            self._sync()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def keep(self, name: str, whole: Callable[[Mapping[str, Any]], bool]) -> None:
        """Drops rows of `name`.jsonl, all at once: a kill leaves the old file or the new one.

        Args:
            name: Of the file, which may be missing.
            whole: Returns whether a row stays, as it was written. Of work that was half written none does: it
                is done again.

        Raises:
            JournalError: When the file cannot be read or written, and then it is unchanged.
        """
        path = self.path / f"{name}.jsonl"
        found = [(line, whole(row)) for line, row in _lines(path)]
        if all(stays for _, stays in found):
            return
        try:
            with replacing(path) as part, part.open("wb") as file:
                file.writelines(line for line, stays in found if stays)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error
        # What was open or indexed is the old file, which has no name any more.
        if name in self._files:
            os.close(self._files.pop(name))
        self._unsynced.pop(name, None)
        for key in [key for key in self._indices if key[0] == name]:
            del self._indices[key]

    def _sync(self) -> None:
        """Flushes the files whose oldest unflushed row has waited long enough."""
        now = time.monotonic()
        for name in [name for name, since in self._unsynced.items() if now - since >= self._fsync_s]:
            os.fdatasync(self._files[name])
            del self._unsynced[name]

    def index(self, name: str, field: str) -> RowIndex:
        """Returns an index of the rows of `name`.jsonl by a text field, the first field of each row.

        The index is kept: a later call returns the same one and reads only the rows added since.

        Raises:
            JournalError: When the file cannot be read, or a row has no such field.
        """
        # One index per file and field, shared by all who ask: a long journal is read once, then only what was
        # added.
        index = self._indices.setdefault((name, field), RowIndex(self.path / f"{name}.jsonl", field))
        index.refresh()
        return index

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yields the rows of `name`.jsonl in order; none if there is no such file.

        Raises:
            JournalError: When a line other than a torn last one is not a JSON object.
        """
        return read_rows(self.path / f"{name}.jsonl")

    def close(self) -> None:
        """Flushes all files and unlocks the folder; may be called again."""
        for descriptor in self._files.values():
            with contextlib.suppress(OSError):
                os.fdatasync(descriptor)
            os.close(descriptor)
        self._files.clear()
        self._unsynced.clear()
        # The lock last: whoever takes the folder next finds all rows on disk.
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> RunFolder:
        """Returns the folder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it; a new run that failed before its first row is removed, so that it blocks no retry."""
        if error is not None and not self.resumed and {*os.listdir(self.path)} <= _OF_A_START:
            for name in _OF_A_START:
                (self.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()
        self.close()


def optional_folder(
    out: Path | None, config: Mapping[str, Any], *, resume: bool = False
) -> contextlib.AbstractContextManager[RunFolder | None]:
    """Opens a run folder as `RunFolder.open` does; the context has None where no folder is wanted."""
    return contextlib.nullcontext() if out is None else RunFolder.open(out, config, resume=resume)


def require_folder(folder: Path, made_by: str = "bench") -> None:
    """Raises `UsageError` when a run folder to read is not there; `made_by` names commands that make one."""
    if not folder.exists():
        raise UsageError(f"{folder}: no such folder; give the --out of an earlier o1coder {made_by}")


def begun_with(folder: Path, *needed: str) -> Mapping[str, Any]:
    """Returns the configuration that the run in a folder began with; empty where there is none.

    Args:
        folder: The run folder.
        needed: Keys without which it is not the run that the caller asks for.

    Raises:
        JournalError: When it cannot be read.
        UsageError: When a key is missing; names it.
    """
    config = (read_config(folder) or {}).get("config") or {}
    if missing := [name for name in needed if name not in config]:
        raise UsageError(f"{folder}: holds no run with {', '.join(missing)} in its config.json")
    return config


def require_unchanged(folder: Path, config: Mapping[str, Any], *names: str, otherwise: str) -> None:
    """Checks that what a run was begun with is what its configuration names today.

    Args:
        folder: The run folder, for messages.
        config: As `begun_with` returns it; of what an earlier version has not written down nothing is known.
        names: Problem sets, files and specs of artefacts, as the configuration has them.
        otherwise: What it means that one has changed, or what to do then.

    Raises:
        UsageError: When one has changed; names it.
    """
    for begun, now in ((FILES, file_hashes(*names)), (INPUTS, input_hashes(*names))):
        known = config.get(begun) or {}
        for name, digest in now.items():
            if known.get(name, digest) != digest:
                raise UsageError(f"{folder}: {name} has changed since the run began; {otherwise}")


def read_config(folder: Path) -> dict[str, Any] | None:
    """Returns what config.json says of the run in a folder; None without the file.

    Returns:
        ``schema``, ``hash`` and ``config``, and ``versions`` of what began it.

    Raises:
        JournalError: When it cannot be read.
    """
    file = folder / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {**found, "schema": found["schema"], "hash": found["hash"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{file}: not the config of a run") from error


class RowIndex:
    """Byte offsets of the rows of a JSONL file by a text field, 16 bytes a row. Mutable."""

    def __init__(self, path: Path, field: str) -> None:
        """Args: the file, which may be missing; the field, the first of each row."""
        self._path = path
        self._field = field
        # The bytes of a line up to its key, such as `{"task": "`.
        self._opening = json.dumps({field: ""})[:-2].encode()
        self._places: dict[str, array[int]] = {}
        self._known: dict[bytes, array[int]] = {}  # by the bytes of the key, where these are the key itself
        self._end = self._lines = 0

    def refresh(self) -> None:
        """Indexes the rows added since the last call.

        Raises:
            JournalError: When it cannot be read, or a line other than a torn last one has no such field.
        """
        opening, first, known = self._opening, len(self._opening), self._known
        try:
            with self._path.open("rb", buffering=1 << 18) as file:
                file.seek(self._end)
                for line in file:
                    # The last row is being written, or was torn by a kill: it is read when it is whole.
                    if not line.endswith(b"\n"):
                        return
                    self._lines += 1
                    # The hot loop of a resume: of a line whose key was seen before nothing else is looked at.
                    last = line.find(b'"', first)
                    plain = last >= 0 and line.startswith(opening)
                    places = known.get(line[first:last]) if plain else None
                    if places is None:
                        places = self._noted(line, first, last)
                    places.append(self._end)
                    places.append(len(line))
                    self._end += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{self._path}: cannot be read: {error.strerror}") from error

    def rows(self, key: str) -> Iterator[dict[str, Any]]:
        """Yields the rows whose field has this value, in order.

        Raises:
            JournalError: When one of them is not a JSON object.
        """
        places = self._places.get(key)
        if not places:
            return
        with self._path.open("rb") as file:
            for start, size in zip(places[::2], places[1::2], strict=True):
                yield _read_row(os.pread(file.fileno(), size, start), self._path, "byte", start)

    def _noted(self, line: bytes, first: int, last: int) -> array[int]:
        """Returns the positions of a line's key; parses the whole line if the key is not plain text."""
        written = line[first:last]
        plain = line.startswith(self._opening) and last >= 0 and b"\\" not in written
        key = written.decode() if plain else _read_row(line, self._path, "line", self._lines).get(self._field)
        if not isinstance(key, str):
            raise JournalError(f"{self._path}: line {self._lines} has no text {self._field!r}")
        places = self._places.setdefault(key, array("q"))
        if plain:
            self._known[written] = places
        return places


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects of a JSONL file, which may still be written to.

    Args:
        path: The file; may be missing, and may begin with a byte order mark.

    Raises:
        JournalError: When a line other than a torn last one is not a JSON object.
    """
    return (row for _, row in _lines(path))


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yields the whole lines of a JSONL file, which may be missing, with the row that each holds."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield line, _read_row(line, path, "line", number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error


def _read_row(line: bytes, path: Path, unit: str, number: int) -> dict[str, Any]:
    try:
        row = _decode(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{path}: {unit} {number} is not JSON") from error
    if not isinstance(row, dict):
        raise JournalError(f"{path}: {unit} {number} is not a JSON object")
    return row


def _decode(line: bytes) -> Any:
    """Reads a line of JSON: by msgspec, four times as fast as `json`, where the two agree to the last bit."""
    try:
        return _strict_decoder()(line)
    except ValueError:
        # A byte order mark, NaN and halves of surrogate pairs, which models write, are read by `json` alone.
        return json.loads(line.decode("utf-8-sig"))


@cache
def _strict_decoder() -> Callable[[bytes], Any]:
    import msgspec  # here, for most programs read no run

    return msgspec.json.Decoder().decode


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise JournalError(
            f"{folder}: in use by another process; wait for it, or choose another --out"
        ) from error


def _claim(folder: Path, config: Mapping[str, Any], resume: bool) -> bool:
    """Writes config.json, or checks that of the run there; returns whether there was one.

    A start that was killed before it wrote anything else is not a run, and blocks none.
    """
    file = folder / "config.json"
    found = read_config(folder)
    if found is None or {*os.listdir(folder)} <= _OF_A_START:
        digest = config_hash(config)
        row = {"schema": SCHEMA, "hash": digest, "config": dict(config), "versions": _versions()}
        _write_config(file, row)
        return False
    if not resume:
        raise JournalError(
            f"{folder}: already holds a run; add --resume to continue it, or choose another --out"
        )
    if found["schema"] != SCHEMA:
        raise JournalError(f"{folder}: has layout {found['schema']}, this version reads {SCHEMA}")
    config = _as_known(config, found.get("config") or {})
    # By hash: two configurations are one run only if everything that results depend on is equal.
    if found["hash"] != config_hash(config):
        changed = ", ".join(_changed(found.get("config"), config))
        raise JournalError(
            f"{folder}: holds a run with another configuration (differs in: {changed}); "
            "repeat its settings to resume, or choose another --out"
        )
    return True


def _as_known(config: Mapping[str, Any], begun: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a configuration without what the version that began a run did not note; see `continuing`."""
    config = continuing(config, begun)
    if FILES not in begun:
        config = {name: value for name, value in config.items() if name != FILES}
    if INPUTS in config and INPUTS in begun:
        before = begun[INPUTS]
        # None and no inputs were written down as they are, and are compared so.
        config = {**config, INPUTS: noted(config[INPUTS] or {}, before) if before else before}
    return config


def _write_config(file: Path, row: Mapping[str, Any]) -> None:
    try:
        write_whole(file, _dumps(row, indent=2) + "\n")
    except OSError as error:
        raise _unwritable(file.parent, error) from error


def _changed(old: Any, new: Mapping[str, Any]) -> list[str]:
    before = old if isinstance(old, dict) else {}
    # Through JSON, so that tuples and lists compare as they were stored.
    after = json.loads(_dumps(new))
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _begun_by(folder: Path) -> str:
    """Returns the version of this project that made a run folder; empty if the folder has none."""
    versions = (read_config(folder) or {}).get("versions")
    return str(versions.get("o1coder_gym", "")) if isinstance(versions, Mapping) else ""


def _versions() -> dict[str, str]:
    return {"o1coder_gym": o1coder_gym.__version__, "python": platform.python_version()}


def _open_for_append(path: Path) -> int:
    """Opens a JSONL file for appending and cuts off a torn last line."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        # Backwards from the end, 64 KiB at a time: the rest of a long journal is never read.
        start = max(0, end - (1 << 16))
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, or nothing: a partial write (full disk) is truncated again."""
    before = os.fstat(descriptor).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        # A full disk takes half a row: cut it off, or the next row would be appended to it.
        os.ftruncate(descriptor, before)
        raise


def _dumps(value: Any, **options: Any) -> str:
    # NaN is not JSON: other readers would refuse the file.
    return json.dumps(value, allow_nan=False, **options)


def _unwritable(folder: Path, error: OSError) -> JournalError:
    return JournalError(f"{folder}: cannot be written: {error.strerror or error}")
