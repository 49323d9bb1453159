"""A candidate's program in its own process: loading it, finding its entry point, reporting its failure."""

from __future__ import annotations

import errno
import sys
import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from o1coder_gym.sandbox.wire import FrameKind

FILENAME = "<solution>"
PLACE = "solution.py"
"""What a program finds as its ``__file__``."""
_MESSAGE_CHARS = 300


class CompileFailure(Exception):
    """Raised when a source does not compile; the cause says why."""


def load(source: bytes, name: str, prelude: bytes = b"", entry: str = "") -> dict[str, Any]:
    """Compiles a source and runs it as a new module that holds what the prelude defines, or nothing.

    Args:
        source: UTF-8 text, lone surrogates included.
        name: The module's ``__name__``, also its key in ``sys.modules``.
        prelude: Source that is run before it, as the platform of the problem does.
        entry: A name that the prelude cannot define for the program.

    Returns:
        The module's namespace.

    Raises:
        CompileFailure: When it does not compile.
        BaseException: Whatever the program raises.
    """
    module = types.ModuleType(name)
    # Registered before it runs: dataclasses and pickle look a class's module up by name.
    sys.modules[name] = module
    namespace = module.__dict__
    namespace["__file__"] = PLACE
    if prelude:
        exec(compile_source(prelude, "<prelude>"), namespace)
        # A platform's prelude may hold a stub of the function that is asked for: it must not stand in for it.
        namespace.pop(entry, None)
    exec(compile_source(source, FILENAME), namespace)
    return namespace


@lru_cache(maxsize=4)  # a program may be run for one input after the other
def compile_source(source: bytes, filename: str) -> types.CodeType:
    """Compiles a source.

    Raises:
        CompileFailure: When it does not compile, for whatever reason but memory.
        MemoryError: When that ran out.
    """
    try:
        text = source.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
        # Else this file's `from __future__ import annotations` would hold in the program too.
        return compile(text, filename, "exec", dont_inherit=True)
    except MemoryError:
        raise
    except Exception as error:
        raise CompileFailure from error


def find_entry(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    """Returns what the program defines as `name`: a top-level callable, or a method of ``Solution``.

    Raises:
        NameError: When it defines neither.
    """
    function = namespace.get(name)
    if callable(function):
        return function
    solution = namespace.get("Solution")
    if isinstance(solution, type) and callable(getattr(solution, name, None)):
        # A fresh object for each call, as the platforms do: state of an earlier test must not help or harm.
        return lambda *args, **kwargs: getattr(solution(), name)(*args, **kwargs)
    raise NameError(f"the program defines no function {name!r}")


def failure(error: BaseException) -> tuple[FrameKind, bytes]:
    """Returns the kind and body of the frame that reports an exception."""
    if isinstance(error, CompileFailure):
        return FrameKind.COMPILE, describe(error.__cause__ or error)
    out_of_memory = isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    )
    return FrameKind.MEMORY if out_of_memory else FrameKind.ERROR, describe(error)


def describe(error: BaseException) -> bytes:
    """Returns one bounded line on an exception: type, message, line of the program."""
    try:
        text = f"{type(error).__name__[:100]}: {str(error)[:_MESSAGE_CHARS]}{_place(error)}"
    except BaseException:  # the message of a foreign exception is foreign code
        text = "exception without a readable message"
    return text.encode("utf-8", "backslashreplace")


def _place(error: BaseException) -> str:
    """Names the line of the program in which an exception arose, if it arose there."""
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" (line {line})" if line is not None else ""
