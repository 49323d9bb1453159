"""What runs in the tester: assert and check tests, calling the candidate in the other child.

Test code may be generated, so it is confined like a candidate. It sees of the candidate's program only
plain values and opaque handles; objects that lie about equality never reach it.
"""

from __future__ import annotations

import builtins
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from o1coder_gym.sandbox.values.codec import decode, encode
from o1coder_gym.sandbox.wire import (
    CHANNEL,
    RPC,
    FrameKind,
    read_job,
    receive_fields,
    send_fields,
    write_frame,
)
from o1coder_gym.sandbox.zygote.program import compile_source, describe

_REPLY_BYTES = 64 << 20
_BROKEN = (
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What reading an answer may raise that no program of ours wrote."""


class CandidateGone(BaseException):
    """Raised when the candidate's process ended or answered nonsense; tests do not catch it by habit."""


class Line:
    """The tester's end of the line to the candidate's process.

    Attributes:
        raised: The last exception that came from the candidate; None if none did.
        complaint: One line on it.
        answered: Whether the program has answered anything, so that it must have been loaded.
        gone: Whether the line broke.
    """

    def __init__(self, ask: Callable[[Sequence[bytes]], Sequence[bytes]]) -> None:
        """Args: sends a question as `Service.answer` takes it, returns the answer."""
        self.raised: BaseException | None = None
        self.complaint = b""
        self.answered = False
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
            self.answered = True
            if kind == b"v":
                result = decode(first.decode())
                if rest:
                    _write_back(values, decode(rest[0].decode()))
                return result
            message, self.complaint = rest
        except _BROKEN as error:
            self.gone = True
            raise CandidateGone from error
        self.raised = _builtin_exception(first.decode("utf-8", "replace"), message.decode("utf-8", "replace"))
        raise self.raised

    def await_program(self) -> None:
        """Makes sure that the program was loaded, by a call of nothing if there was no other.

        Raises:
            CandidateGone: When it was not.
        """
        if self.answered:
            return
        try:
            self._ask((b"", b"[]", b""))
        except _BROKEN as error:
            raise CandidateGone from error


def run() -> int:
    """Runs the test of the job; returns the exit status.

    The job: the entry point, the other names of the program that the test uses, the source of the test, and
    whether it has a ``check`` function to call.
    """
    entry, names, test, has_check = read_job(CHANNEL)
    kind, body = judge(test, has_check, entry, names, Line(_ask))
    write_frame(CHANNEL, kind, 0, body)
    return 0


def _ask(question: Sequence[bytes]) -> Sequence[bytes]:
    """Asks the candidate's process."""
    send_fields(RPC, question)
    return receive_fields(RPC, _REPLY_BYTES)


def judge(
    test: bytes, has_check: bool, entry: str, names: Sequence[str], line: Line
) -> tuple[FrameKind, bytes]:
    """Runs one test; returns the kind and body of its frame.

    Args:
        test: Source of the test.
        has_check: Whether it defines a function ``check`` that takes the program.
        entry: Name of the function under test; empty for none.
        names: What else of the program the test may use.
        line: Leads to the program.
    """
    try:
        namespace = _run_code(test, entry, names, line)
        if has_check:
            namespace["check"](namespace["candidate"])
        line.await_program()
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


def _run_code(test: bytes, entry: str, names: Sequence[str], line: Line) -> dict[str, Any]:
    """Runs the code of a test; returns its namespace."""
    code = compile_source(test, "<test>")
    namespace: dict[str, Any] = {name: _proxy(line, name) for name in (entry, *names)}
    namespace |= {"__name__": "test", "candidate": _proxy(line, entry)}
    exec(code, namespace)
    return namespace


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
            except TypeError:  # a kind that wants more than a message
                return kind.__new__(kind, message, [Exception(message)])
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
