"""The candidate's end of the line to a tester: it answers the tester's requests in turn.

Questions: ``call`` a function by name · ``name`` something by name · ``object`` call an object · ``get`` an
attribute of one · ``next`` of an iterator · ``await`` a coroutine · ``anext`` of an asynchronous generator ·
``operate`` on objects as an operator does · ``ping``.
Answers: ``v`` a value, with the arguments as they are now where they changed · ``e`` an exception · ``stop``
the end of an iterator · ``class`` an exception class · ``none``.
While a question is open the program may in turn ask for a function of the tester: ``back``.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from o1coder_gym.sandbox.values.codec import HandleTable, decode, encode
from o1coder_gym.sandbox.wire import receive_fields, send_fields
from o1coder_gym.sandbox.zygote.program import describe, find_entry

if TYPE_CHECKING:
    import asyncio

_MESSAGE_BYTES = 64 << 20
_MESSAGE_CHARS = 1000
_NESTED = b"["


class Port:
    """One end of the line: messages of fields, each side in turn."""

    def __init__(self, descriptor: int) -> None:
        """Args: where to read and write."""
        self._descriptor = descriptor

    def send(self, fields: Sequence[bytes]) -> None:
        """Writes a message."""
        send_fields(self._descriptor, fields)

    def receive(self) -> list[bytes]:
        """Reads a message; raises as `receive_fields`."""
        return receive_fields(self._descriptor, _MESSAGE_BYTES)


class Service:
    """A loaded program that can be called by name."""

    def __init__(self, namespace: dict[str, Any], entry_point: str, port: Port) -> None:
        """Offers a program.

        Args:
            namespace: What the program defines.
            entry_point: The function under test; empty for none.
            port: Leads to the tester.

        Raises:
            NameError: When the program does not define it.
        """
        self._namespace = namespace
        # Fixed at loading; every other name is looked up when it is asked for, as a test in the same module
        # would.
        self._entries = {entry_point: find_entry(namespace, entry_point)} if entry_point else {}
        self._handles = HandleTable()
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        """Answers until the tester hangs up."""
        while True:
            try:
                question = self._port.receive()
            except EOFError:
                return
            self._port.send(self.answer(question))

    def answer(self, question: Sequence[bytes]) -> Sequence[bytes]:
        """Answers one question; what the program raises is an answer."""
        verb, target, *texts = question
        try:
            match verb:
                case b"call":
                    return self._call(self._function(target.decode()), *texts)
                case b"object":
                    return self._call(self._handles.value(int(target)), *texts)
                case b"get":
                    return self._value(getattr(self._handles.value(int(target)), texts[0].decode()))
                case b"next":
                    return self._next(int(target))
                case b"await":
                    return self._value(self._awaited(self._handles.value(int(target))))
                case b"anext":
                    item = self._awaited(_step(self._handles.value(int(target))))
                    return (b"stop",) if item is _END else self._value(item)
                case b"operate":
                    operands = decode(texts[0].decode(), self._handles, self._back)
                    return self._value(_OPERATORS[target.decode()](*operands))
                case b"name":
                    return self._named(target.decode())
            return (b"none",)
        except BaseException as error:
            classes = " ".join(base.__name__ for base in type(error).__mro__)
            return (b"e", classes.encode("utf-8", "replace"), _message(error), describe(error))

    def _call(self, function: Callable[..., Any], args: bytes, kwargs: bytes = b"") -> Sequence[bytes]:
        """Calls a function; also returns mutable arguments that the call has changed."""
        values = decode(args.decode(), self._handles, self._back)
        named = decode(kwargs.decode(), self._handles, self._back) if kwargs else {}
        result = function(*values, **named)
        return (*self._value(result), *self._changed(args, values, kwargs, named))

    def _changed(
        self, args: bytes, values: list[Any], kwargs: bytes, named: dict[str, Any]
    ) -> tuple[bytes, ...]:
        """Returns the arguments after the call; nothing if they are unchanged."""
        # Only containers can change. The arguments are a list of plain JSON: without a tag and a second
        # bracket there is none among them, which spares the common call an encoding.
        if args.find(b"{") < 0 and args.find(_NESTED, 1) < 0 and not kwargs:
            return ()
        try:
            now = [encode(part, self._handles, exact=True).encode() for part in (values, named)]
        except (TypeError, ValueError):  # the program put in what cannot cross
            return ()
        return () if now == [args, kwargs or now[1]] else (*now,)

    def _next(self, number: int) -> Sequence[bytes]:
        """Returns the next item of an iterator, or that it is exhausted."""
        iterator = self._handles.value(number)
        try:
            return self._value(next(iterator))
        except StopIteration:
            return (b"stop",)
        except TypeError:
            if hasattr(iterator, "__next__"):
                raise
        return self._value(iter(iterator))  # an iterable: its iterator takes its place

    def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine to its end, all of a program's in one event loop."""
        if self._loop is None:
            import asyncio  # where it is needed: few programs do

            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def _value(self, value: Any) -> Sequence[bytes]:
        """Returns the answer that is a value."""
        return (b"v", encode(value, self._handles, lazy=True).encode())

    def _named(self, name: str) -> Sequence[bytes]:
        """Returns what the program defines as `name`: nothing, an exception class, or a value."""
        if name not in self._namespace or name in ("__builtins__", "__name__", "__file__"):
            return (b"none",)
        value = self._namespace[name]
        if isinstance(value, type) and issubclass(value, BaseException):
            return (b"class", " ".join(base.__name__ for base in value.__mro__).encode())
        return self._value(value)

    def _function(self, name: str) -> Any:
        """Returns the entry point, or whatever else the program calls `name`."""
        return self._entries[name] if name in self._entries else self._namespace[name]

    def _back(self, tag: str, number: int) -> Callable[..., Any]:
        """Returns the program's stand-in for a function of the tester."""

        def function(*args: Any, **kwargs: Any) -> Any:
            texts = [encode(part, self._handles, lazy=True).encode() for part in (args, kwargs)]
            self._port.send((b"back", str(number).encode(), *texts))
            # The two sides take turns strictly, so a call back is a conversation within the open question.
            while (reply := self._port.receive())[0] not in (b"return", b"raise"):
                self._port.send(self.answer(reply))  # the function calls the program in turn
            if reply[0] == b"raise":
                raise instance(builtin_kind(reply[1].decode()), reply[2].decode())
            return decode(reply[1].decode(), self._handles, self._back)

        return function


async def _step(items: AsyncIterator[Any]) -> Any:
    """Returns the next item of an asynchronous iterator, `_END` behind the last."""
    return await anext(items, _END)


_END = object()


def builtin_kind(classes: str) -> type[Exception]:
    """Returns the first builtin kind of exception in a class's line of descent.

    Never one that ends a loop: ``all(map(candidate, cases))`` would take it for the end of the cases.
    """
    for name in classes.split():
        kind = getattr(builtins, name, None)
        if kind in (StopIteration, StopAsyncIteration):
            continue
        if isinstance(kind, type) and issubclass(kind, Exception):
            return kind
    return RuntimeError


def instance(kind: type[Exception], message: str) -> Exception:
    """Returns an exception of a kind with a message."""
    try:
        return kind(message)
    except TypeError:  # a kind that wants more than a message
        return kind.__new__(kind, message, [Exception(message)])


_PLAIN_NAMES = (
    *("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("lshift", "rshift", "xor", "neg", "pos", "invert", "getitem", "setitem", "delitem", "contains"),
)
_BUILTINS = (len, iter, reversed, str, repr, bool, hash, abs, int, float, round, isinstance, issubclass)
_OPERATORS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in _PLAIN_NAMES},
    **{function.__name__: function for function in _BUILTINS},
    "and": operator.and_,
    "or": operator.or_,
    "setattr": setattr,
}
"""What a tester may do with objects of the program."""


def _message(error: BaseException) -> bytes:
    """Returns the bounded message of an exception."""
    try:
        return str(error)[:_MESSAGE_CHARS].encode("utf-8", "backslashreplace")
    except BaseException:  # the message of a foreign exception is foreign code
        return b""
