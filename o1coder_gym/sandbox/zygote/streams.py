"""Standard streams and shutdown of a whole program, as in an interpreter of its own."""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import os
import sys
from _socket import socketpair
from collections.abc import Callable, Sequence
from typing import Any

from o1coder_gym.sandbox.wire import write_all
from o1coder_gym.sandbox.zygote.program import FILENAME, PLACE

_STREAMS = {
    f"{folder}{name}": number
    for number, (stream, digit) in enumerate((("stdin", "0"), ("stdout", "1"), ("stderr", "2")))
    for folder, name in (("/dev/", stream), ("/dev/fd/", digit), ("/proc/self/fd/", digit))
}
"""Paths of open streams, by which programs know them; the new root has neither them nor ``/proc``."""


_STANDARD = (
    ("stdin", "r", "surrogateescape"),
    ("stdout", "w", "strict"),
    ("stderr", "w", "backslashreplace"),
)
"""Names, modes and ways with what is not UTF-8."""
_FINALIZERS = (
    *(b"__del__", b"__exit__", b"finalize", b"finally", b"weakref"),
    *(b"open(1", b"fdopen(", b"fileno()", b"FileIO("),
)
"""Words of programs that print at their very end: by finalizers, suspended generators, files of their own."""


def prepare() -> None:
    """Replaces standard output and error by streams that cannot seek.

    A stream remembers what it was opened on. That of a zygote is no terminal, pipe or socket, and a program
    that wraps the buffer of its standard output would be told that it can seek.
    """
    line, far = socketpair()
    for number in (1, 2):
        kept = os.dup(number)
        os.dup2(line.fileno(), number)
        _open(number)
        os.dup2(kept, number)
        os.close(kept)
    line.close()
    far.close()


def _open(number: int) -> None:
    """Opens a standard stream on its descriptor, and puts it in its place."""
    name, mode, errors = _STANDARD[number]
    stream = io.TextIOWrapper(os.fdopen(number, f"{mode}b", closefd=False), "utf-8", errors)
    stream.buffer.raw.name = f"<{name}>"  # pyright: ignore[reportAttributeAccessIssue]
    setattr(stream, "mode", mode)  # noqa: B010 - as open() does, what typeshed takes for a property
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def renew(given: bytes, files: Sequence[int], recursion_limit: int) -> None:
    """Gives the next run of a program an input and new streams, and resets what a run may have changed.

    Args:
        given: What it reads.
        files: Descriptors of the files in memory that stand for its standard input and output.
        recursion_limit: The usual one.
    """
    for number, file in enumerate(files):
        os.dup2(file, number)  # the last run may have closed it
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
    write_all(0, given)
    os.lseek(0, 0, os.SEEK_SET)
    for number in range(len(files)):
        _open(number)
    sys.stderr = sys.__stderr__
    sys.setrecursionlimit(recursion_limit)
    sys.argv[:] = [PLACE]
    # Each run draws the numbers that it would draw in a process of its own.
    sys.modules["random"].seed(0)


def content(file: int) -> bytes:
    """Returns all that is in a file."""
    return os.pread(file, os.fstat(file).st_size, 0)


def offer(source: bytes) -> None:
    """Gives a program paths that the new root lacks: its standard streams and its own source."""
    if b"dev" in source or b"/proc/self/fd/" in source:
        # Patched only where the source names such paths: all other programs keep the interpreter's own
        # functions.
        io.open = builtins.open = _by_path(builtins.open)
        os.open = _by_path(os.open)
    if b"__file__" in source or b"argv" in source:
        with contextlib.suppress(OSError), open(PLACE, "wb") as file:
            file.write(source)
    if b"inspect" in source:
        import linecache

        lines = source.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[FILENAME] = (len(source), None, lines, FILENAME)


def _by_path(opener: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that opens as `opener` does, and streams by their paths too."""

    def open_file(file: Any, *args: Any, **kwargs: Any) -> Any:
        path = os.fspath(file) if isinstance(file, os.PathLike) else file
        number = _STREAMS.get(path) if isinstance(path, str) else None
        if number is None:
            return opener(file, *args, **kwargs)
        # A copy: closing it must not close the standard stream.
        return os.dup(number) if opener.__module__ == "posix" else opener(os.dup(number), *args, **kwargs)

    open_file.__module__ = opener.__module__
    return open_file


def flush() -> None:
    """Flushes what a program printed; it may have put other streams in place, closed or detached these."""
    for stream in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            stream.flush()  # pyright: ignore[reportOptionalMemberAccess]


def forget(namespace: dict[str, Any], source: bytes) -> None:
    """Drops all objects of a program, so that its files are closed and its finalizers run.

    Where there are finalizers that is done as the interpreter does it: private names first, then all others
    in the order of their definition, so that a finalizer still finds what was defined after it.
    """
    if not any(word in source for word in _FINALIZERS):
        namespace.clear()
        return
    for private in (True, False):
        for name in list(namespace):
            if (name[:1] == "_" and name[:2] != "__") is private and name != "__builtins__":
                namespace[name] = None
    # A file in a cycle, as of a class, may be collected behind the descriptor that it writes to.
    for file in gc.get_objects():
        if type(file) in (io.TextIOWrapper, io.BufferedWriter):
            with contextlib.suppress(ValueError, OSError):
                file.flush()
    gc.collect()
