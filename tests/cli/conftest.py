"""A problem file, a script that solves part of it, and a way to call the command line."""

import contextlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from o1coder_gym.runs.progress import silence
from tests.command_line import call

Run = Callable[..., subprocess.CompletedProcess[str]]

PROBLEMS = [
    {
        "task_id": "toy/double",
        "prompt": "def double(x):\n    'Return twice x.'\n",
        "entry_point": "double",
        "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
        "tests": [
            {"kind": "call", "args": "[3]", "expected": "6"},
            {"kind": "assert", "code": "assert double(0) == 0"},
        ],
        "reference": "def double(x):\n    return 2 * x",
        "meta": {},
    },
    {
        "task_id": "toy/square",
        "prompt": "def square(x):\n    'Return x times x.'\n",
        "entry_point": "square",
        "public_tests": [{"kind": "call", "args": "[2]", "expected": "4"}],
        "tests": [{"kind": "call", "args": "[3]", "expected": "9"}],
        "reference": "def square(x):\n    return x * x",
        "meta": {},
    },
]

SCRIPT = {
    "draw": "random",
    "problems": {
        "toy/double": [
            {
                "type": "define",
                "text": "Double it.",
                "then": [{"type": "code", "text": "def double(x):\n    return 2 * x"}],
            },
            {"raw": "no step at all", "then": [{"type": "code", "text": "def double(x):\n    return x"}]},
        ],
        "*": [{"type": "code", "text": "def square(x):\n    return 2 * x"}],
    },
}


@pytest.fixture(autouse=True)
def loud() -> None:
    """Shows progress and remarks, as a command does; some tests call what commands are made of."""
    silence(False)


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return path


@pytest.fixture
def o1coder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls the command line as a user does, in an empty folder.

    In this process, for importing anew is most of what a short command costs; in one of its own where the
    process is what is tested.
    """
    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: object, preexec_fn: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        if preexec_fn is None:
            monkeypatch.setattr(sys, "argv", ["o1coder", *map(str, arguments)])  # runs note their command
            with _warnings_as_lines():
                done = call(*arguments)
            return subprocess.CompletedProcess(sys.argv, done.exit_code, done.stdout, done.stderr)
        command = [sys.executable, "-m", "o1coder_gym.cli.main", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, preexec_fn=preexec_fn
        )

    return run


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Has warnings end on standard error, as outside of tests, where they are errors."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = _print_warning
        yield


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)
