"""Encodes values as tagged, bounded JSON text, the only form that crosses a candidate's process border.

`encode` runs beside untrusted code, `decode` only inside sandboxed children. The trusted process
never rebuilds a value from a candidate's text: it compares texts and JSON trees (`comparison.py`).
This file is also imported by the zygote as a top-level module, so it uses the standard library alone.

Plain JSON stands for None, bool, str, float, list and ints below 2**63; all else is an object of one
tag: ``i`` int (hex) · ``t`` tuple · ``N`` named tuple (names, items) · ``s`` set · ``z`` frozenset
``d`` dict (list of pairs) · ``b`` bytes (hex) · ``B`` bytearray · ``c`` complex · ``f`` Fraction
``m`` Decimal · ``q`` deque · ``r`` range · ``g`` what an iterator yields · ``v`` keys of a dict
``w`` its items · ``y`` builtin type (name) · ``D`` date or time (class, fields, zone) · ``n`` numpy bool
``a`` numpy array (type, shape, lists) · ``k`` mapping of `collections` (class, pairs, factory)
``h`` handle (a number) · ``G`` handle of an iterator · ``co`` of a coroutine · ``ag`` of an asynchronous
generator · ``p`` function of the tester (a number).
Equal values of plain types have equal texts, which lets a comparison end at the bytes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from functools import partial
from itertools import islice
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import Any

MAX_DEPTH = 100
"""Deepest nesting of containers."""
MAX_WEIGHT = 16 << 20
"""Most characters and digits in one encoded value, in which each of its parts counts as sixteen."""
MAX_YIELDED = 1_000_000
"""How many items of an iterator are written; a longer one is an error."""

_SMALL = 1 << 63
_SCALARS = frozenset((int, float, bool, str, type(None)))
# Cycles end at MAX_DEPTH in `_Encoder`, and the plain path goes two lists deep, so the encoder need not
# look for them.
_write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_read = json.JSONDecoder().decode


class Handle:
    """Stands in the tester for an object of the candidate's own classes: a number without behaviour.

    It equals only itself. Passed back to the candidate, it is resolved to the object.
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        """Args: index of the object in the candidate's `HandleTable`."""
        self.number = number

    def __eq__(self, other: object) -> bool:
        return type(other) is Handle and other.number == self.number

    def __hash__(self) -> int:
        return hash((Handle, self.number))

    def __repr__(self) -> str:
        return f"<object {self.number} of the program>"


class HandleTable:
    """Maps handle numbers to the objects that a process has handed out; lives in that process."""

    def __init__(self, limit: int = 10_000) -> None:
        """Args: largest number of objects that may be handed out."""
        self._limit = limit
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def number(self, value: Any) -> int:
        """Returns the handle number of `value`, the same one for the same object.

        Raises:
            ValueError: When the limit of objects is reached.
        """
        # By identity: two equal objects are two handles, and `is` in a test says what it would say in one
        # process. The table keeps the object alive, so its id is never reused.
        if id(value) not in self._numbers:
            if len(self._objects) >= self._limit:
                raise ValueError("too many objects returned")
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return self._numbers[id(value)]

    def value(self, number: int) -> Any:
        """Returns the object of that number.

        Raises:
            ValueError: When there is none.
        """
        if not 0 <= number < len(self._objects):
            raise ValueError(f"no object {number}")
        return self._objects[number]


def encode(
    value: Any,
    handles: HandleTable | None = None,
    *,
    ports: HandleTable | None = None,
    lazy: bool = False,
    exact: bool = False,
) -> str:
    """Writes a value of builtin, numeric or numpy type as tagged JSON text.

    Subclasses count as their builtin base and are read by the methods of that base; overridden methods
    are never called. Generators and other iterators are consumed and written as their items.

    Args:
        value: The value to write.
        handles: Table for objects without an encoding; None makes such objects an error.
        ports: Table for functions that the other side may call; None treats them as objects.
        lazy: Hands iterators and coroutines out as handles, to be advanced one item at a time.
        exact: Refuses what would not decode to the same type, such as instances of subclasses.

    Returns:
        ASCII text; lone surrogates are escaped.

    Raises:
        TypeError: When a value has no encoding.
        ValueError: When it is nested deeper than `MAX_DEPTH` or weighs more than `MAX_WEIGHT`.
    """
    if type(value) is int and -_SMALL <= value < _SMALL:
        return int.__repr__(value)
    if _is_plain(value):
        return _write(value)
    return _write(_Encoder(handles, ports, lazy, exact).tree(value, 0))


def decode(
    text: str,
    handles: HandleTable | None = None,
    make: Callable[[str, int], Any] | None = None,
) -> Any:
    """Decodes a text that `encode` wrote; for sandboxed children only.

    Args:
        text: Encoded value.
        handles: Resolves handles to objects; None leaves them `Handle`.
        make: Builds the stand-in for an object of the other side from its tag and number; None
            leaves handles as `Handle` and refuses every other kind.

    Raises:
        ValueError, TypeError, KeyError, RecursionError: When `encode` did not write it.
    """
    return _rebuild(_read(text), handles, make)


def _is_plain(value: Any) -> bool:
    """Whether JSON alone can write it: a small scalar, a list of such, or a list of such lists."""
    if type(value) is list:
        return all(map(_is_flat, value)) if set(map(type, value)) == {list} else _is_flat(value)
    return type(value) in _SCALARS and _weight(value) <= MAX_WEIGHT


def _is_flat(values: list[Any]) -> bool:
    """Whether a list holds only small scalars, within the weight."""
    kinds = set(map(type, values))
    # The smallest and the largest stand for all: two passes in C instead of one test an item in Python.
    if kinds == {int}:
        return min(values) >= -_SMALL and max(values) < _SMALL
    return kinds <= _SCALARS and sum(map(_weight, values)) <= MAX_WEIGHT


def _weight(value: Any) -> int:
    """Characters of a scalar; more than allowed for an int that needs its tag."""
    if type(value) is str:
        return 1 + len(value)
    if type(value) is int and not -_SMALL <= value < _SMALL:
        return MAX_WEIGHT + 1
    return 1


class _Encoder:
    """Builds the JSON tree of one value within a weight."""

    def __init__(
        self, handles: HandleTable | None, ports: HandleTable | None, lazy: bool, exact: bool
    ) -> None:
        self.handles = handles
        self.ports = ports
        self.lazy = lazy
        self.exact = exact
        self.room = MAX_WEIGHT

    def tree(self, value: Any, depth: int) -> Any:
        """Returns the tree of `value`, found `depth` containers deep."""
        if depth > MAX_DEPTH:
            raise ValueError("value is nested too deeply")
        self.spend(16)
        kind = type(value)
        if kind in (bool, float, type(None)):
            return value
        write = _WRITERS.get(kind)
        if write is None and self.exact:
            write = _Encoder.collection if kind.__module__ == "collections" else _Encoder.other
        elif write is None:
            write = next((_WRITERS[base] for base in _BASES if issubclass(kind, base)), _Encoder.other)
        return write(self, value, depth + 1)

    def spend(self, weight: int) -> None:
        """Subtracts `weight` from the room."""
        self.room -= weight
        if self.room < 0:
            raise ValueError("value is too large")

    def items(self, iterator: Any, depth: int) -> list[Any]:
        """Returns the trees of all items."""
        return [self.tree(item, depth) for item in iterator]

    # The writers call methods of the base class unbound (`int.__int__(value)`): a `__int__`, `__iter__` or
    # `items` that the candidate's subclass overrides has no say in what is written.
    def integer(self, value: Any, depth: int) -> Any:
        exact = int.__int__(value)
        if -_SMALL <= exact < _SMALL:
            return exact
        # Hex takes linear time. Decimal text of more than 4,300 digits is refused by the interpreter, and
        # takes quadratic time where it is not.
        self.spend(exact.bit_length() // 4)
        return {"i": hex(exact)}

    def real(self, value: Any, depth: int) -> Any:
        return float.__float__(value)

    def text(self, value: Any, depth: int) -> Any:
        self.spend(str.__len__(value))
        return str.__str__(value)

    def binary(self, value: Any, depth: int) -> Any:
        return self.hexadecimal(bytes.hex(value))

    def byte_array(self, value: Any, depth: int) -> Any:
        return {"B": self.hexadecimal(bytearray.hex(value))["b"]}

    def hexadecimal(self, digits: str) -> Any:
        self.spend(len(digits))
        return {"b": digits}

    def complex_number(self, value: Any, depth: int) -> Any:
        exact = complex.__pos__(value)
        return {"c": [exact.real, exact.imag]}

    def sequence(self, value: Any, depth: int) -> Any:
        return self.items(list.__iter__(value), depth)

    def row(self, value: Any, depth: int) -> Any:
        items = self.items(tuple.__iter__(value), depth)
        # Names matter only to a tester, which may ask for them; a comparison sees a tuple.
        fields = getattr(type(value), "_fields", None) if self.lazy and type(value) is not tuple else None
        return {"N": [[*map(str, fields)], items]} if type(fields) is tuple else {"t": items}

    def unordered(self, value: Any, depth: int) -> Any:
        return {"s": self.items(set.__iter__(value), depth)}

    def frozen(self, value: Any, depth: int) -> Any:
        return {"z": self.items(frozenset.__iter__(value), depth)}

    def mapping(self, value: Any, depth: int) -> Any:
        return {"d": [[self.tree(key, depth), self.tree(item, depth)] for key, item in dict.items(value)]}

    def queue(self, value: Any, depth: int) -> Any:
        return {"q": self.items(deque.__iter__(value), depth)}

    def span(self, value: Any, depth: int) -> Any:
        return {"r": self.items((value.start, value.stop, value.step), depth)}

    def fraction(self, value: Any, depth: int) -> Any:
        return {"f": self.items((value.numerator, value.denominator), depth)}

    def decimal(self, value: Any, depth: int) -> Any:
        from decimal import Decimal

        sign, digits, exponent = Decimal.as_tuple(value)
        if not isinstance(exponent, int):
            return {"F": float("inf"), "n": float("nan"), "N": float("nan")}[exponent] * (-1) ** sign
        coefficient = int("".join(map(str, digits)))
        return {"m": self.items((-coefficient if sign else coefficient, exponent), depth)}

    def moment(self, value: Any, depth: int) -> Any:
        """Writes a date, a time, both or a difference; of a zone its offset in seconds, True for UTC."""
        name, fields = next(
            (name, fields) for name, fields in _MOMENTS if all(hasattr(value, field) for field in fields)
        )
        zone: bool | float = getattr(value, "tzinfo", None) is not None
        if zone and str(value.tzinfo) != "UTC":
            if (offset := value.utcoffset()) is None:
                raise TypeError("a time of a zone without an offset cannot be judged")
            zone = offset.total_seconds()
        return {"D": [name, [getattr(value, field) for field in fields], zone]}

    def collection(self, value: Any, depth: int) -> Any:
        """Writes a mapping of `collections` with its type."""
        name = type(value).__name__
        if name not in ("Counter", "OrderedDict", "defaultdict"):
            return self.other(value, depth)
        factory = getattr(value, "default_factory", None)
        return {"k": [name, self.mapping(value, depth)["d"], self.tree(factory, depth)]}

    def iterator(self, value: Any, depth: int) -> Any:
        """Writes an iterator's items, or a handle of it."""
        if self.lazy and self.handles is not None:
            return {"G": self.handles.number(value)}
        # Bounded, for an iterator may have no end; one item more says whether that was all.
        items = self.items(islice(value, MAX_YIELDED), depth)
        if len(items) == MAX_YIELDED and next(iter(value), self) is not self:
            raise ValueError(f"an iterator of more than {MAX_YIELDED:,} items")
        return {"g": items}

    def array(self, value: Any, depth: int) -> Any:
        """Writes a numpy array or scalar."""
        plain = value.tolist()
        if getattr(value, "ndim", 0):
            if value.dtype.kind not in "biufcSUO":
                raise TypeError(f"an array of {value.dtype} cannot be judged")
            return {"a": [value.dtype.str, list(value.shape), self.tree(plain, depth)]}
        if type(plain) is bool:
            return {"n": plain}
        if type(plain) is type(value):
            raise TypeError(f"a result of type {type(value).__name__} cannot be judged")
        return self.tree(plain, depth)

    def other(self, value: Any, depth: int) -> Any:
        """Writes an iterator, a rare number or a builtin type, else gives the object away as a handle."""
        kind = type(value)
        if isinstance(value, Handle):
            return {"h": value.number}
        if kind in _VIEWS:
            return {_VIEWS[kind]: self.items(value, depth)}
        # Behind handles: the tester's `RemoteIterator` can be looped over too, and must not be run here.
        if kind in _ITERATORS or kind.__module__ == "itertools" or _is_only_iterable(kind):
            return self.iterator(value, depth)
        for module, name, write in _RARE_WRITERS:
            # Looked up, not imported: an instance can exist only where its module is loaded already.
            base = getattr(sys.modules.get(module), name, None)
            if isinstance(base, type) and (kind is base if self.exact else issubclass(kind, base)):
                return write(self, value, depth)
        if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
            return self.array(value, depth)
        if kind is type and value.__name__ in _TYPES and _TYPES[value.__name__] is value:
            return {"y": value.__name__}
        if self.ports is not None and kind in _FUNCTIONS:
            return {"p": self.ports.number(value)}
        if self.handles is not None:
            tag = _AWAITED.get(kind, "h") if self.lazy else "h"
            return {tag: self.handles.number(value)}
        raise TypeError(f"a value of type {kind.__name__} cannot be judged")


def _is_only_iterable(kind: type) -> bool:
    """Whether instances can be looped over, and have neither length nor truth value of their own."""
    return hasattr(kind, "__iter__") and not (hasattr(kind, "__len__") or hasattr(kind, "__bool__"))


_WRITERS = {
    int: _Encoder.integer,
    float: _Encoder.real,
    str: _Encoder.text,
    list: _Encoder.sequence,
    tuple: _Encoder.row,
    dict: _Encoder.mapping,
    set: _Encoder.unordered,
    frozenset: _Encoder.frozen,
    bytes: _Encoder.binary,
    bytearray: _Encoder.byte_array,
    complex: _Encoder.complex_number,
    deque: _Encoder.queue,
    range: _Encoder.span,
}
_DAY, _CLOCK = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_MOMENTS = (
    ("timedelta", ("days", "seconds", "microseconds")),
    ("datetime", (*_DAY, *_CLOCK)),
    ("time", _CLOCK),
    ("date", _DAY),
)
_RARE_WRITERS = (
    ("fractions", "Fraction", _Encoder.fraction),
    ("decimal", "Decimal", _Encoder.decimal),
    *(("datetime", name, _Encoder.moment) for name, _ in _MOMENTS),
)
"""For classes of modules that few programs load, and whose memory would burden each child."""
_BASES = tuple(_WRITERS)
_AWAITED = {CoroutineType: "co", AsyncGeneratorType: "ag"}
_FUNCTIONS = {FunctionType, BuiltinFunctionType, MethodType, partial}
_TYPES = {kind.__name__: kind for kind in (bool, *_BASES[:11], type(None), object)}
_VIEWS = {type({}.keys()): "v", type({}.items()): "w"}
"""They have an order, and equal sets."""
_ITERABLES = ([], reversed([]), (), "", set(), range(0), {}, {}.values(), {}.items())
_ITERATORS = {GeneratorType, map, filter, zip, enumerate, reversed, type({}.values())}
_ITERATORS |= {type(iter(source)) for source in _ITERABLES}


def _rebuild(tree: Any, handles: HandleTable | None, make: Callable[[str, int], Any] | None) -> Any:
    """Returns the value of a JSON tree."""
    if type(tree) is list:
        return [_rebuild(item, handles, make) for item in tree]
    if type(tree) is not dict:
        return tree
    ((tag, body),) = tree.items()
    match tag:
        case "i":
            return int(body, 16)
        case "b":
            return bytes.fromhex(body)
        case "B":
            return bytearray.fromhex(body)
        case "c":
            return complex(*body)
        case "y":
            return _TYPES[body]
        case "h" | "G" | "co" | "ag" | "p":
            if handles is not None and tag != "p":
                return handles.value(int(body))
            return make(tag, int(body)) if make is not None else _handle(tag, int(body))
        case "D":
            return _moment(*body)
        case "n" | "a":
            return _of_numpy(tag, body)
        case "d":
            return {_rebuild(key, handles, make): _rebuild(item, handles, make) for key, item in body}
        case "N":
            fields, items = body
            items = _rebuild(items, handles, make)
            # Data has names, behaviour has none: else a field `startswith` could pass for a text.
            return tuple(items) if any(map(callable, items)) else namedtuple("Row", fields)(*items)
        case "k":
            name, pairs, factory = body
            plain = _rebuild({"d": pairs}, handles, make)
            if name == "defaultdict":
                return defaultdict(_rebuild(factory, handles, make), plain)
            return {"Counter": Counter, "OrderedDict": OrderedDict}[name](plain)
    return _of_items(tag, [_rebuild(item, handles, make) for item in body])


def _handle(tag: str, number: int) -> Handle:
    """Returns a handle.

    Raises:
        ValueError: When it is something else of the other side.
    """
    if tag != "h":
        raise ValueError(f"nobody to ask for {tag!r}")
    return Handle(number)


def _moment(name: str, fields: list[int], aware: bool | float) -> Any:
    """Returns a date, a time, both or a difference."""
    import datetime

    zone: dict[str, Any] = {}
    if aware is True:
        zone = {"tzinfo": datetime.UTC}
    elif aware is not False:
        zone = {"tzinfo": datetime.timezone(datetime.timedelta(seconds=aware))}
    if name not in dict(_MOMENTS):
        raise ValueError(f"unknown kind of time {name!r}")
    return getattr(datetime, name)(*fields, **zone)


def _of_numpy(tag: str, body: Any) -> Any:
    """Returns a numpy array, or numpy's bool."""
    import numpy

    if tag == "n":
        return numpy.bool_(body)
    kind, shape, lists = body
    return numpy.array(_rebuild(lists, None, None), dtype=kind).reshape(shape)


def _of_items(tag: str, items: list[Any]) -> Any:
    """Returns the value that is made of rebuilt items."""
    match tag:
        case "t":
            return tuple(items)
        case "s":
            return set(items)
        case "z":
            return frozenset(items)
        case "v":
            return dict.fromkeys(items).keys()
        case "w":
            return dict(items).items()
        case "g":
            return iter(items)
        case "q":
            return deque(items)
        case "r":
            return range(*items)
        case "f":
            from fractions import Fraction

            return Fraction(*items)
        case "m":
            from decimal import Decimal

            coefficient, exponent = items
            digits = tuple(map(int, str(abs(coefficient))))
            return Decimal((int(coefficient < 0), digits, exponent))
    raise ValueError(f"unknown tag {tag!r}")
