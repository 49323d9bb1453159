"""What runs in the tester: assert and check tests, calling the candidate in the other child.

Test code may be generated, so it is confined like a candidate. It sees of the candidate's program only
plain values and opaque handles; objects that lie about equality never reach it.
"""

from __future__ import annotations

import builtins
import types
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from o1coder_gym.sandbox.codec import decode, encode
from o1coder_gym.sandbox.program import compile_source, describe
from o1coder_gym.sandbox.wire import (
    CHANNEL,
    RPC,
    FrameKind,
    read_job,
    receive_fields,
    send_fields,
    write_frame,
)

_REPLY_BYTES = 64 << 20


class CandidateGone(BaseException):
    """Raised when the candidate's process ended or answered nonsense; tests do not catch it by habit."""


class Line:
    """The tester's end of the line to the candidate's process.

    Attributes:
        raised: The last exception that came from the candidate; None if none did.
        complaint: One line on it.
        gone: Whether the line broke.
    """

    def __init__(self, ask: Callable[[Sequence[bytes]], Sequence[bytes]]) -> None:
        """Args: sends a question as `Service.answer` takes it, returns the answer."""
        self.raised: BaseException | None = None
        self.complaint = b""
        self.gone = False
        self._ask = ask

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a function of the candidate's program.

        Returns:
            Its result, rebuilt from plain data.

        Raises:
            CandidateGone: When the process ended or answered nonsense.
            Exception: The nearest builtin kind of what the candidate raised.
        """
        values = list(args)
        question = (name.encode(), encode(values).encode(), encode(kwargs).encode() if kwargs else b"")
        try:
            kind, first, *rest = self._ask(question)
            if kind == b"v":
                result = decode(first.decode())
                if rest:
                    _write_back(values, decode(rest[0].decode()))
                return result
            message, self.complaint = rest
        except (EOFError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            self.gone = True
            raise CandidateGone from error
        self.raised = _builtin_exception(first.decode("utf-8", "replace"), message.decode("utf-8", "replace"))
        raise self.raised


def run() -> int:
    """Runs all tests of the job; returns the exit status.

    The job: the entry point, the other names of the program that the tests use, the source of each test.
    """
    entry, names, tests = read_job(CHANNEL)
    for index, test in enumerate(tests):
        kind, body = judge(test, entry, names, Line(_ask))
        write_frame(CHANNEL, kind, index, body)
    return 0


def _ask(question: Sequence[bytes]) -> Sequence[bytes]:
    """Asks the candidate's process."""
    send_fields(RPC, question)
    return receive_fields(RPC, _REPLY_BYTES)


def judge(test: bytes, entry: str, names: Sequence[str], line: Line) -> tuple[FrameKind, bytes]:
    """Runs one test; returns the kind and body of its frame.

    Args:
        test: Source of the test.
        entry: Name of the function under test; empty for none.
        names: What else of the program the test may use.
        line: Leads to the program.
    """
    try:
        _run_test(test, entry, names, line)
    except CandidateGone:
        return FrameKind.GONE, b""
    except MemoryError as error:
        return FrameKind.MEMORY, describe(error)
    except BaseException as error:
        if error is line.raised:
            kind = FrameKind.MEMORY if line.complaint.startswith(b"MemoryError") else FrameKind.ERROR
            return kind, line.complaint
        return FrameKind.WRONG, describe(error.__cause__ or error)
    if line.gone:
        return FrameKind.GONE, b""
    return FrameKind.PASSED, b""


def _run_test(test: bytes, entry: str, names: Sequence[str], line: Line) -> None:
    """Runs the code of a test, then its ``check`` function if it defines one."""
    code = compile_source(test, "<test>")
    candidate = _proxy(line, entry)
    namespace: dict[str, Any] = {name: _proxy(line, name) for name in (entry, *names)}
    namespace |= {"__name__": "test", "candidate": candidate}
    exec(code, namespace)
    check = namespace.get("check")
    if isinstance(check, types.FunctionType) and check.__globals__ is namespace:
        check(candidate)


def _proxy(line: Line, name: str) -> Any:
    """Returns a function that calls the one of that name in the candidate's program."""

    def proxy(*args: Any, **kwargs: Any) -> Any:
        return line.call(name, args, kwargs)

    proxy.__name__ = name
    return proxy


def _builtin_exception(classes: str, message: str) -> Exception:
    """Returns an exception of the first builtin kind in a class's line of descent.

    Never one that ends a loop: ``all(map(candidate, cases))`` would take it for the end of the cases.
    """
    for name in classes.split():
        kind = getattr(builtins, name, None)
        if kind in (StopIteration, StopAsyncIteration):
            continue
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(message)
            except TypeError:
                continue  # a kind that wants more than a message
    return RuntimeError(message)


def _write_back(values: list[Any], changed: Any) -> None:
    """Gives mutable arguments the content that the candidate left in its copies of them."""
    if not isinstance(changed, list) or len(changed) != len(values):
        raise ValueError("arguments changed in number")
    for value, new in zip(values, changed, strict=True):
        if type(value) is not type(new):
            continue
        if isinstance(value, list):
            value[:] = new
        elif isinstance(value, set | dict | deque):
            value.clear()
            value.update(new) if not isinstance(value, deque) else value.extend(new)
