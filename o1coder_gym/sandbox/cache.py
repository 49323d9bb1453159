"""Verdicts by the content of what was judged, in memory and optionally on disk."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Any

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.types import CaseResult, Outcome, Submission, Verdict

_RULES = 1
"""Version of the judging rules; verdicts under other rules are not found."""


class VerdictCache:
    """Remembers verdicts; those that say nothing about the program are not taken."""

    def __init__(self, path: Path | str | None = None, capacity: int = 10_000) -> None:
        """Opens a cache.

        Args:
            path: SQLite file that keeps all verdicts, made if it is not there; None keeps them in memory.
            capacity: Most verdicts held in memory; the least recently used go first.

        Raises:
            InfrastructureError: When the file cannot be used.
        """
        self._recent: OrderedDict[str, Verdict] = OrderedDict()
        self._capacity = capacity
        self._path = path
        self._file = None if path is None else _open(path)

    def get(self, key: str) -> Verdict | None:
        """Returns the verdict kept under a key of `key_of`, None if there is none.

        Raises:
            InfrastructureError: When the file cannot be read.
        """
        if key in self._recent:
            self._recent.move_to_end(key)
            return self._recent[key]
        if self._file is None:
            return None
        try:
            row = self._file.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        if row is None:
            return None
        verdict = _from_row(json.loads(row[0]))
        self._remember(key, verdict)
        return verdict

    def put(self, key: str, verdict: Verdict) -> None:
        """Keeps a verdict, unless it is a failure of the judge.

        Raises:
            InfrastructureError: When the file cannot be written.
        """
        if verdict.outcome is Outcome.INFRASTRUCTURE:
            return
        self._remember(key, verdict)
        if self._file is None:
            return
        try:
            with self._file:
                row = (key, json.dumps(_to_row(verdict)))
                self._file.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", row)
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    def close(self) -> None:
        """Closes the file; may be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _remember(self, key: str, verdict: Verdict) -> None:
        """Holds a verdict in memory."""
        self._recent[key] = verdict
        self._recent.move_to_end(key)
        if len(self._recent) > self._capacity:
            self._recent.popitem(last=False)


def key_of(submission: Submission, *variant: object) -> str:
    """Returns the hash of all that a verdict depends on.

    Args:
        submission: Program, tests and limits.
        *variant: Settings of the judge that make a difference, by their repr.
    """
    content = ascii((_RULES, submission, variant))
    return hashlib.sha256(content.encode()).hexdigest()


def _open(path: Path | str) -> sqlite3.Connection:
    """Opens or makes the file."""
    try:
        file = sqlite3.connect(path, check_same_thread=False)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL)")
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return file


def _unusable(path: Path | str | None, error: sqlite3.Error) -> InfrastructureError:
    """Returns the error that names the file."""
    return InfrastructureError(f"cannot use the verdict cache {path}: {error}")


def _to_row(verdict: Verdict) -> dict[str, Any]:
    """Returns a JSON-able form of a verdict."""
    return {
        "outcome": verdict.outcome.value,
        "tests": [[test.outcome.value, test.got, test.error] for test in verdict.tests],
        "cpu_s": verdict.cpu_s,
        "error": verdict.error,
    }


def _from_row(row: dict[str, Any]) -> Verdict:
    """Reads what `_to_row` returned."""
    tests = tuple(CaseResult(Outcome(outcome), got, error) for outcome, got, error in row["tests"])
    return Verdict(Outcome(row["outcome"]), tests, row["cpu_s"], row["error"])
