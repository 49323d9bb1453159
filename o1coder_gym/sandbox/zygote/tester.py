"""The tester process: runs one assert or check test, which calls the candidate in the other child.

Test code may be generated, so it is confined like a candidate. It sees of the candidate's program only
plain values and handles; objects that lie about equality never reach it. Only a test that itself names
classes of the program gets to use their methods and operators, and trusts them as Python would.
"""

from __future__ import annotations

import builtins
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from o1coder_gym.sandbox.values.codec import Handle, HandleTable, decode, encode
from o1coder_gym.sandbox.wire import CHANNEL, RPC, FrameKind, read_job, write_frame
from o1coder_gym.sandbox.zygote.program import compile_source, describe
from o1coder_gym.sandbox.zygote.service import Port, builtin_kind, instance
from o1coder_gym.sandbox.zygote.statements import SETTLE, compile_settling

Fields = Sequence[bytes]

_BROKEN = (
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    ImportError,
)
"""What reading an answer may raise that no program of ours wrote."""


_MOST_CLASSES = 20
_MUTABLE = (list, tuple, deque, set, dict, bytearray)
_MOST_KEPT = 500
_MUCH = 50
_RARE = (b'"a"', b'"k"', b'"p"', b'"D"', b'"co"', b'"ag"')
"""Containers in what a program returned, and tags, with which it may have made what cannot be handed over."""


class CandidateGone(BaseException):
    """Raised when the candidate's process ended or sent nonsense; ``except Exception`` does not catch it."""


class Unsupported(BaseException):
    """Raised when a test passes a value that cannot cross to the candidate's process."""


class Line:
    """The tester's end of the line to the candidate's process.

    Attributes:
        raised: The last exception that came from the candidate; None if none did.
        complaint: One line on it.
        answered: Whether the program has answered anything, so that it must have been loaded.
        gone: Whether the line broke.
        unsupported: Why the test cannot be judged; empty if it can.
        uses_classes: Whether the test names a class of the program.
    """

    def __init__(self, ask: Callable[[Fields], Fields], uses_classes: bool = False) -> None:
        """Args: sends a question as `Service.answer` takes it, returns the answer; see the attributes."""
        self.raised: BaseException | None = None
        self.complaint = b""
        self.answered = False
        self.gone = False
        self.unsupported = ""
        self.uses_classes = uses_classes
        self._ask = ask
        self._ports = HandleTable()
        self._objects: dict[int, RemoteObject] = {}
        self._exceptions: dict[str, type[Exception]] = {}
        self._unsettled: list[tuple[Any, Any]] = []
        self._returned_much = False

    def call(self, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], verb: bytes = b"call") -> Any:
        """Calls a function of the candidate's program, or an object of it.

        Returns:
            Its result, rebuilt from plain data.

        Raises:
            CandidateGone: When the process ended or answered nonsense.
            Unsupported: When an argument cannot cross.
            Exception: The nearest kind of what the candidate raised.
        """
        texts = [self._encoded(list(args)), self._encoded(kwargs) if kwargs else b""]
        result, rest = self._answer((verb, target.encode(), *texts))
        if rest:
            try:
                changed = [*zip(args, self._decoded(rest[0]), strict=True)]
                names = self._decoded(rest[1])
                changed += [(value, names[name]) for name, value in kwargs.items()]
            except _BROKEN as error:
                raise self._broken() from error
            self._unsettled += changed
            if result is None:
                self.settle()
        return result

    def settle(self) -> None:
        """Updates arguments of earlier calls to the content of the candidate's copies.

        A function that returns nothing has its effect at once. Another's shows in the next statement: what
        a test compares a result with is worked out from what it passed.
        """
        unsettled, self._unsettled = self._unsettled, []
        for value, new in unsettled:
            _write_back(value, new)

    def ask(self, verb: bytes, target: str, *texts: bytes) -> Any:
        """Asks for a value; returns and raises as `call`."""
        return self._answer((verb, target.encode(), *texts))[0]

    def operate(self, operator: str, *operands: Any) -> Any:
        """Applies an operator to objects of the program; returns and raises as `call`."""
        return self.ask(b"operate", operator, self._encoded(list(operands)))

    def named(self, name: str) -> Any:
        """Returns what the program defines as `name`.

        Raises:
            KeyError: When it defines no such thing.
        """
        kind, *fields = self._exchange((b"name", name.encode()))
        if kind == b"class":
            return self._exception_class(fields[0].decode("utf-8", "replace"))
        if kind != b"v":
            self.raised = KeyError(name)
            self.complaint = f"NameError: the program defines no {name!r}".encode("utf-8", "replace")
            raise KeyError(name)
        value = self._decoded(fields[0])
        if type(value) is RemoteObject and _is_class_name(name):
            self.uses_classes = True
        return _function(self, name) if type(value) is RemoteObject and not self.uses_classes else value

    def await_program(self) -> None:
        """Makes sure that the program was loaded, by a question if there was no other.

        Raises:
            CandidateGone: When it was not.
        """
        if not self.answered:
            self._exchange((b"ping", b""))

    def _answer(self, question: Fields) -> tuple[Any, list[bytes]]:
        """Returns the value that answers a request, and what comes with it."""
        kind, *fields = self._exchange(question)
        # Of a call it would end the test's own loop.
        if kind == b"stop" and question[0] in (b"next", b"anext"):
            raise StopIteration
        try:
            if kind == b"v":
                return self._decoded(fields[0]), fields[1:]
            classes, message, self.complaint = fields
        except _BROKEN as error:
            raise self._broken() from error
        kind = self._exception_class(classes.decode("utf-8", "replace"))
        self.raised = instance(kind, message.decode("utf-8", "replace"))
        raise self.raised

    def _exchange(self, question: Fields) -> list[bytes]:
        """Sends a request, and runs the test's own functions as often as the program calls them first."""
        try:
            answer = self._ask(question)
            while answer[0] == b"back":
                answer = self._ask(self._call_back(*answer[1:]))
        except _BROKEN as error:
            raise self._broken() from error
        self.answered = True
        return [*answer]

    def _call_back(self, number: bytes, args: bytes, kwargs: bytes) -> Fields:
        """Calls a function of the test for the program."""
        function = self._ports.value(int(number))
        values, named = self._decoded(args), self._decoded(kwargs)
        try:
            return (b"return", encode(function(*values, **named), ports=self._ports, exact=True).encode())
        except Exception as error:
            classes = " ".join(base.__name__ for base in type(error).__mro__)
            return (b"raise", classes.encode("utf-8", "replace"), str(error).encode("utf-8", "replace"))

    def _broken(self) -> CandidateGone:
        """Notes that the line broke."""
        self.gone = True
        return CandidateGone()

    def _encoded(self, value: Any) -> bytes:
        """Encodes a value of the test."""
        try:
            return encode(value, ports=self._ports, exact=True).encode()
        except (TypeError, ValueError, RecursionError) as error:
            # `UNSUPPORTED` masks a test, so only the test may cause it: else a program could return what
            # cannot be handed back and have its failure masked.
            if self._returned_much:  # it may be of the program's making
                raise
            self.unsupported = f"the test hands over what cannot be judged: {error}"
            raise Unsupported(self.unsupported) from error

    def _decoded(self, text: bytes) -> Any:
        """Rebuilds a value of the program."""
        if text.count(b"[") > _MUCH or any(tag in text for tag in _RARE):
            self._returned_much = True
        return decode(text.decode(), make=self._remote)

    def _remote(self, tag: str, number: int) -> Any:
        """Returns the test's stand-in for an object of the program."""
        if tag == "p":  # a function of the test that comes back
            return self._ports.value(number)
        if tag in _STAND_INS:
            return _STAND_INS[tag](number, self)
        # One stand-in for each object, so that `is` means what it says.
        return self._objects.setdefault(number, RemoteObject(number, self))

    def _exception_class(self, classes: str) -> type[Exception]:
        """Returns the stand-in for an exception class of the program, made from its base classes."""
        kind = builtin_kind(classes)
        # Own classes become subclasses of the nearest builtin one, so that `except ValueError` of a test
        # works on them.
        own = [name for name in classes.split()[:_MOST_CLASSES] if not hasattr(builtins, name)]
        for name in reversed(own):
            # One class a name: `except` finds classes by identity.
            kind = self._exceptions.setdefault(name, type(name, (kind,), {}))
        return kind


class RemoteObject(Handle):
    """An object of the program, as a test sees it: something to call, with plain data in attributes.

    Where the test names classes of the program, their methods and operators too.
    """

    __slots__ = ("_line",)

    def __init__(self, number: int, line: Line) -> None:
        """Args: the candidate's number of the object, the line to it."""
        super().__init__(number)
        self._line = line

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the object."""
        return self._line.call(str(self.number), args, kwargs, b"object")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Handle) and other.number == self.number:
            return True
        if isinstance(other, RemoteObject) and self._line.uses_classes:
            return self._line.operate("eq", self, other) is True
        return False

    def __hash__(self) -> int:
        return self._line.operate("hash", self) if self._line.uses_classes else super().__hash__()

    def __instancecheck__(self, value: object) -> bool:
        return self._line.uses_classes and self._line.operate("isinstance", value, self) is True

    def __subclasscheck__(self, kind: type) -> bool:
        return self._line.uses_classes and self._line.operate("issubclass", kind, self) is True

    def __repr__(self) -> str:
        return self._line.operate("repr", self) if self._line.uses_classes else super().__repr__()

    def __bool__(self) -> bool:
        """Asks the program where its classes are known; an object of another kind is just there."""
        return not self._line.uses_classes or self._line.operate("bool", self) is True

    def __str__(self) -> str:
        return self._line.operate("str", self) if self._line.uses_classes else repr(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._line.uses_classes:
            return self._line.ask(b"get", str(self.number), name.encode())
        # An object that answers everything with True must not pass for a text or a list; what only a class of
        # the program can have is asked for, and compared as data.
        if any(hasattr(kind, name) for kind in _plain_kinds()):
            raise AttributeError(name)
        value = self._line.ask(b"get", str(self.number), name.encode())
        if isinstance(value, Handle):
            raise AttributeError(name)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("number", "_line"):
            object.__setattr__(self, name, value)
        elif not self._line.uses_classes:
            raise AttributeError(name)
        else:
            self._line.operate("setattr", self, name, value)


def _operator(name: str) -> Callable[..., Any]:
    """Returns a method of objects that has the candidate apply an operator."""

    def method(self: RemoteObject, *others: Any) -> Any:
        if not self._line.uses_classes:
            raise TypeError(f"an object of the program has no {name}")
        return self._line.operate(name, self, *others)

    return method


def _reflected(name: str) -> Callable[..., Any]:
    """Returns a method for the other side of an operator."""

    def method(self: RemoteObject, other: Any) -> Any:
        return self._line.operate(name, other, self) if self._line.uses_classes else NotImplemented

    return method


def _plain_kinds() -> list[type]:
    """Returns the types of plain data, and of the arrays and tables that libraries pass for it."""
    known = ((sys.modules.get(module), name) for module, name in _TABLES)
    return [*_PLAIN, *(getattr(module, name) for module, name in known if module is not None)]


_PLAIN = (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, deque, range)
_TABLES = (
    *(("datetime", name) for name in ("datetime", "date", "time", "timedelta")),
    *(("decimal", "Decimal"), ("fractions", "Fraction")),
    *(("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series")),
)
_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift"),
    *("and", "or", "xor"),
)
for _name in (*_ARITHMETIC, "lt", "le", "gt", "ge", "neg", "pos", "invert", "abs", "round"):
    setattr(RemoteObject, f"__{_name}__", _operator(_name))
for _name in ("len", "getitem", "setitem", "delitem", "contains", "iter", "reversed", "int", "float"):
    setattr(RemoteObject, f"__{_name}__", _operator(_name))
for _name in _ARITHMETIC:
    setattr(RemoteObject, f"__r{_name}__", _reflected(_name))


class RemoteIterator(Handle):
    """An iterator of the program, whose items are asked for one by one."""

    __slots__ = ("_line", "_live")

    def __init__(self, number: int, line: Line) -> None:
        """Args: the candidate's number of the iterator, the line to it."""
        super().__init__(number)
        self._line = line
        self._live: RemoteIterator = self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = self._line.ask(b"next", str(self._live.number))
        if isinstance(item, RemoteIterator) and self._live is self and item.number != self.number:
            self._live = item  # of an iterable that is not an iterator
            return next(self)
        return item


async def _remote_coroutine(number: int, line: Line) -> Any:
    """Stands for a coroutine of the program, which runs in its own process, to its end."""
    return line.ask(b"await", str(number))


async def _remote_items(number: int, line: Line) -> AsyncIterator[Any]:
    """Stands for an asynchronous generator of the program."""
    while True:
        try:
            item = line.ask(b"anext", str(number))
        except StopIteration:
            return
        yield item


_STAND_INS: dict[str, Callable[[int, Line], Any]] = {
    "G": RemoteIterator,
    "co": _remote_coroutine,
    "ag": _remote_items,
}
"""By tag; of other objects a `RemoteObject`."""


class _Names(dict[str, Any]):
    """The builtins of a test, and behind them whatever the program defines."""

    def __init__(self, line: Line) -> None:
        # The interpreter looks a name up in the globals, then in `__builtins__`; where that is no exact dict
        # it goes through `__getitem__`, so `__missing__` sees each name that the test does not define.
        super().__init__(vars(builtins))
        self._line = line

    def __missing__(self, name: str) -> Any:
        self[name] = self._line.named(name)
        return self[name]


def run() -> int:
    """Runs the test of the job; returns the exit status.

    The job: the entry point, the source of the test, whether it has a ``check`` function to call, and
    whether it may look at arguments after a call.
    """
    entry, test, has_check, looks = read_job(CHANNEL)
    port = Port(RPC)

    def ask(question: Fields) -> Fields:
        port.send(question)
        return port.receive()

    kind, body = judge(test, has_check, entry, Line(ask, _is_class_name(entry)), looks)
    write_frame(CHANNEL, kind, 0, body)
    return 0


def judge(
    test: bytes, has_check: bool, entry: str, line: Line, looks: bool = False
) -> tuple[FrameKind, bytes]:
    """Runs one test; returns the kind and body of its frame.

    Args:
        test: Source of the test.
        has_check: Whether it defines a function ``check`` that takes the program.
        entry: Name of the function under test; empty for none.
        line: Leads to the program.
        looks: Whether the test may look at what it passed to a call afterwards.
    """
    try:
        namespace = _run_code(test, entry, line, looks)
        if has_check:
            namespace["check"](namespace["candidate"])
        # A test that calls nothing passes only if the program can be loaded at all.
        line.await_program()
    except CandidateGone:
        return FrameKind.GONE, b""
    except Unsupported as error:
        return FrameKind.UNSUPPORTED, describe(error)
    except MemoryError as error:
        return FrameKind.MEMORY, describe(error)
    except BaseException as error:
        if line.unsupported:
            return FrameKind.UNSUPPORTED, line.unsupported.encode("utf-8", "replace")
        # What the program raised and the test let through is the program's error, no failed assertion. An
        # unknown name is a KeyError of `_Names`, which the interpreter turns into a NameError of its own.
        if error is line.raised or (isinstance(error, NameError) and isinstance(line.raised, KeyError)):
            kind = FrameKind.MEMORY if line.complaint.startswith(b"MemoryError") else FrameKind.ERROR
            return kind, line.complaint
        return FrameKind.WRONG, describe(error.__cause__ or error)
    # A test may catch everything and continue: the line remembers what it swallowed.
    if line.gone:
        return FrameKind.GONE, b""
    if line.unsupported:
        return FrameKind.UNSUPPORTED, line.unsupported.encode("utf-8", "replace")
    return FrameKind.PASSED, b""


def _run_code(test: bytes, entry: str, line: Line, looks: bool) -> dict[str, Any]:
    """Runs the code of a test; returns its namespace."""
    code = (compile_settling if looks else compile_source)(test, "<test>")
    program = line.named(entry) if _is_class_name(entry) else _function(line, entry)
    namespace: dict[str, Any] = {"__builtins__": _Names(line), "__name__": "test", SETTLE: line.settle}
    namespace |= {entry: program, "candidate": program}
    exec(code, namespace)
    return namespace


def _function(line: Line, name: str) -> Callable[..., Any]:
    """Returns a function that calls the one of that name in the candidate's program."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return line.call(name, args, kwargs)

    function.__name__ = name
    return function


def _is_class_name(name: str) -> bool:
    """Whether a name is written like a class name."""
    return name[:1].isupper()


def _write_back(value: Any, new: Any) -> None:
    """Gives a mutable value, and the mutable values in it, the content of another one."""
    if type(value) is not type(new):
        return
    if isinstance(value, list | tuple | deque):
        items = _kept(value, new)
        if not isinstance(value, tuple):
            value.clear()
            value.extend(items)
    elif isinstance(value, dict):
        items = dict(zip(new, _kept(value.values(), new.values()), strict=True))
        value.clear()
        value.update(items)
    elif isinstance(value, set):
        value.clear()
        value.update(new)
    elif isinstance(value, bytearray) or (hasattr(value, "shape") and value.shape == new.shape != ()):
        value[:] = new  # of numpy's arrays those that can be written to came as arguments


def _kept(olds: Iterable[Any], news: Iterable[Any]) -> list[Any]:
    """Returns new items, in which old objects stay what they are: a test may hold them by other names.

    An old object of equal content takes the place of a new one; those that are left take the places of what
    has no equal, and its content.
    """
    left = [old for old in olds if isinstance(old, _MUTABLE)]
    items = [*news]
    if not left or len(left) > _MOST_KEPT:
        return items
    # Two rounds: first objects that are equal to a new one keep their place, then the rest are paired by
    # type.
    done: set[int] = set()
    for changes in (False, True):
        for place, new in enumerate(items):
            fits = (at for at, old in enumerate(left) if type(old) is type(new) and (changes or old == new))
            if place in done or (at := next(fits, None)) is None:
                continue
            done.add(place)
            items[place] = left.pop(at)
            if changes:
                _write_back(items[place], new)
    return items
