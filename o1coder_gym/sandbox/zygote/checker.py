"""The process of a checker: a program of the test, confined like the program that it checks."""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
from typing import Any

from o1coder_gym.sandbox.wire import CHANNEL, FrameKind, read_job, write_frame
from o1coder_gym.sandbox.zygote.program import describe, load

FILES = ("input.txt", "correct_output.txt", "solution_output.txt")
"""What a script is given by name: in this order as its arguments."""
_ACCEPTING = ("true", "ok", "ac", "accepted", "yes", "pass", "passed", "correct")


def run() -> int:
    """Writes whether an output is right; returns the exit status.

    The job: the checker's source, the input, the output to be checked, and a right one.
    """
    source, *texts = read_job(CHANNEL)
    given, output, expected = (text.decode("utf-8", "replace") for text in texts)
    try:
        right, said = judge(source, given, output, expected)
    except BaseException as error:
        right, said = False, b"checker: " + describe(error)
    write_frame(CHANNEL, FrameKind.PASSED if right else FrameKind.WRONG, 0, said)
    return 0


def judge(source: bytes, given: str, output: str, expected: str) -> tuple[bool, bytes]:
    """Returns whether the checker accepts an output, and its message.

    Raises:
        BaseException: Whatever the checker raises.
    """
    files: dict[str, str] = dict(zip(FILES, (given, expected, output), strict=True))
    printed = io.StringIO()
    sys.argv[1:] = FILES
    # A script expects to be run, a module to be imported; which one it is shows in its text.
    name = "__main__" if b"__main__" in source or b"argv" in source else "checker"
    with _offered(files), contextlib.redirect_stdout(printed):
        try:
            namespace = load(source, name)
        except SystemExit as end:
            namespace = {}
            if end.code not in (None, 0):
                return False, f"checker left with status {end.code}".encode()
        check = namespace.get("check")
        # Two forms are known: a function ``check``, or a script that prints its judgement; one that does both
        # is a script.
        if callable(check) and not printed.getvalue().strip():
            return _accepts(check(given, output, expected)), b""
    said = printed.getvalue().split()
    return bool(said) and _accepts(said[-1]), printed.getvalue()[:1000].encode("utf-8", "replace")


def _accepts(answer: Any) -> bool:
    """Whether an answer means that the output is right: true, a full score, or a word for it."""
    if isinstance(answer, tuple) and answer:
        answer = answer[0]
    if not isinstance(answer, str):
        # True is 1; other numbers are scores, of which only a full one accepts.
        return answer in (1, 100)
    try:
        return float(answer) in (1.0, 100.0)
    except ValueError:
        return answer.strip(".:!").lower() in _ACCEPTING


@contextlib.contextmanager
def _offered(files: dict[str, str]) -> Any:
    """Has ``open`` find texts by name: there may be no folder to write files to."""
    opener = builtins.open

    def open_file(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        text = files.get(str(file))
        if text is None:
            return opener(file, mode, *args, **kwargs)
        return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text, newline=None)

    io.open = builtins.open = open_file
    try:
        yield
    finally:
        io.open = builtins.open = opener
