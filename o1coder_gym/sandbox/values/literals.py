"""Constant Python expressions, evaluated without running any code.

Tests may come from a model, so their text is as untrusted as a candidate's: nothing here calls
`eval`, and every step is paid from a fixed room, which bounds time and memory.
"""

from __future__ import annotations

import ast
import io
import json
import math
import operator
import re
import sys
import tokenize
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from o1coder_gym.sandbox.values.codec import encode

ROOM = 1_000_000
"""Work that one evaluation may do, in values and in words of eight characters or 32 bits."""

_MAX_BITS = 1 << 17
_MAX_HASHED = 5_000
_MAX_EXPONENT = 5_000
_HASH_MODULUS = sys.hash_info.modulus
_MAX_SOURCE = 1 << 20
# int() refuses text of more than 4,300 digits by default; 39,000 digits are just below _MAX_BITS bits.
_SHORT_DIGITS, _MAX_DIGITS = 4_000, 39_000
_SHALLOW = 64
"""Lists in a literal read as JSON, at most: were each inside the last, Python's parser would read it too."""
_LONG_NUMBER = re.compile(r"\d{4001,}")
# A number, a string without escapes, or lists of them: the same in JSON and in Python. Atomic and possessive,
# so that a text that does not match fails in linear time.
_PLAIN = re.compile(r'(?>[\[\]0-9 \n,.eE+-]++|"[^"\\\x00-\x1f]*+")*+')


class NotConstant(ValueError):
    """Raised when an expression is not constant, or too expensive to evaluate."""


def encode_literal(source: str) -> str:
    """Encodes the value of a Python literal.

    Constant arithmetic, ``inf``, ``nan``, ``set()``, ``frozenset(…)``, ``deque(…)``, ``Fraction(…)`` and
    ``Decimal(…)`` count as literals.

    Raises:
        ValueError: When `source` is not a literal, or a larger one than the codec takes.
    """
    # The common case: JSON's parser reads it many times faster than Python's, and to the same value.
    if _PLAIN.fullmatch(source):
        try:
            return encode(_read_plain(source) if _LONG_NUMBER.search(source) else json.loads(source))
        except (ValueError, RecursionError):
            pass  # Python's grammar is wider
    try:
        return encode(Evaluator(_LITERAL_NAMES, _LITERAL_FUNCTIONS).value(parse_expression(source)))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a Python literal: {source[:80]!r}") from error


def with_short_numbers(source: str) -> str:
    """Returns Python source in which integers of thousands of digits are written in hex.

    The interpreter reads others only up to a length, which a library must not change for its host.
    """
    if not _LONG_NUMBER.search(source):
        return source
    lines = source.splitlines(keepends=True)
    try:
        tokens = [*tokenize.generate_tokens(io.StringIO(source).readline)]
    except (SyntaxError, tokenize.TokenError):
        return source
    # From the end, so that what is replaced does not move the places of what is still to be.
    for token in reversed(tokens):
        if token.type == tokenize.NUMBER and _LONG_NUMBER.fullmatch(token.string):
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:start] + hex(_integer(token.string)) + line[token.end[1] :]
    return "".join(lines)


def _integer(digits: str) -> int:
    """Reads an integer of any number of digits that a value may have.

    Raises:
        ValueError: When it has more.
    """
    if len(digits) > _MAX_DIGITS:
        raise ValueError("integer too long")
    if len(digits) <= _SHORT_DIGITS:
        return int(digits)
    # Halves: each int() below stays short, and the multiplication is Python's fast one (Karatsuba).
    half = len(digits) // 2
    return _integer(digits[:-half]) * 10**half + _integer(digits[-half:])


def _read_int(text: str) -> int:
    """Reads an integer of JSON."""
    return -_integer(text[1:]) if text.startswith("-") else _integer(text)


_read_plain = json.JSONDecoder(parse_int=_read_int).decode


def read_json_literal(source: str) -> Any:
    """Reads a number, a string or a list that JSON writes as Python does, many times faster than its parser.

    Raises:
        ValueError: When `source` is anything else, or may be nested deeper than Python's parser reads.
    """
    if not _PLAIN.fullmatch(source) or source.count("[") > _SHALLOW:
        raise ValueError(f"not a short literal of JSON: {source[:80]!r}")
    return json.loads(source)


def parse_module(source: str, most: int = _MAX_SOURCE) -> ast.Module:
    """Parses untrusted source of at most so many characters.

    Raises:
        ValueError: When it is not Python, or of a size or nesting that the parser cannot take.
    """
    if len(source) > most:
        raise ValueError("source is too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(with_short_numbers(source))
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"not Python: {source[:80]!r}") from error


def parse_expression(source: str) -> ast.expr:
    """Parses one untrusted expression; raises as `parse_module`."""
    body = parse_module(source.strip()).body
    if len(body) == 1 and isinstance(body[0], ast.Expr):
        return body[0].value
    raise ValueError(f"not an expression: {source[:80]!r}")


class Evaluator:
    """Evaluates constant expressions over builtin types within a bounded amount of work.

    Attributes:
        names: Values of names; may be changed between evaluations.
        functions: Functions that may be called by name, unless `names` shadows them.
        room: Work that is left, in the unit of `ROOM`.
    """

    def __init__(
        self, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]], room: int = ROOM
    ) -> None:
        """Args: see the attributes."""
        self.names = dict(names)
        self.functions = functions
        self.room = room

    def value(self, node: ast.expr) -> Any:
        """Returns the value of `node`.

        Raises:
            NotConstant: When it has none here.
            RecursionError: When it is nested too deeply.
        """
        self.spend(1)
        method = _METHODS.get(type(node))
        if method is None:
            raise NotConstant(f"{type(node).__name__} is not constant")
        try:
            return method(self, node)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise NotConstant(str(error)) from error

    def spend(self, amount: int) -> None:
        """Subtracts `amount` from the room."""
        self.room -= amount
        if self.room < 0:
            raise NotConstant("too large")

    def weigh(self, value: Any) -> None:
        """Spends the cost of walking through all of `value`.

        Shared parts count each time: ``b = [a, a]; c = [b, b]; …`` is small in memory, exponential to walk.
        """
        self.spend(1)
        if isinstance(value, int):
            self.spend(value.bit_length() // 32)
        elif isinstance(value, str | bytes):
            self.spend(len(value) // 8)
        elif isinstance(value, dict):
            for pair in value.items():
                self.weigh(pair)
        elif isinstance(value, list | tuple | set | frozenset | deque):
            for item in value:
                self.weigh(item)

    def bind(self, target: ast.expr, value: Any) -> None:
        """Assigns `value` to a name or to a tuple of names."""
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets) if isinstance(value, list | tuple):
                if len(targets) != len(value):
                    raise NotConstant("cannot unpack")
                for part, item in zip(targets, value, strict=True):
                    self.bind(part, item)
            case _:
                raise NotConstant("cannot assign")

    def name(self, node: ast.Name) -> Any:
        """Returns a name's value."""
        if node.id not in self.names:
            raise NotConstant(f"{node.id} is unknown")
        return self.names[node.id]

    def _items(self, nodes: Sequence[ast.expr]) -> list[Any]:
        """Returns the values of list items or arguments, starred ones spread out."""
        values: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                values.extend(self.items_of(node.value))
            else:
                values.append(self.value(node))
        return values

    def items_of(self, node: ast.expr) -> list[Any]:
        """Returns the items of a loop over `node`, in an order that does not depend on hashing."""
        source = self._comprehension(node) if isinstance(node, ast.GeneratorExp) else self.value(node)
        if not isinstance(source, list | tuple | dict | str | range):
            raise NotConstant("cannot loop")
        self.spend(len(source))
        return list(source)

    def _hashed(self, values: list[Any]) -> list[Any]:
        """Pays for hashing `values`, of which few enough can collide to do no harm."""
        # Dicts and sets of keys with one hash take quadratic time: few such keys are harmless, and keys that
        # cannot collide at will may be as many as there is room for.
        if len(values) > _MAX_HASHED and sum(map(_may_collide, values)) > _MAX_HASHED:
            raise NotConstant("too many keys")
        self.weigh(values)
        return values

    def _list(self, node: ast.List) -> Any:
        return self._items(node.elts)

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._items(node.elts))

    def _set(self, node: ast.Set) -> Any:
        return set(self._hashed(self._items(node.elts)))

    def _dict(self, node: ast.Dict) -> Any:
        keys = [key for key in node.keys if key is not None]
        if len(keys) < len(node.keys):
            raise NotConstant("unpacked dict")
        return dict(zip(self._hashed(self._items(keys)), self._items(node.values), strict=True))

    def _unary(self, node: ast.UnaryOp) -> Any:
        operand = self.value(node.operand)
        self.weigh(operand)
        return _UNARY[type(node.op)](operand)

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        self.weigh((left, right))
        self.spend(_growth(node.op, left, right))
        return _BINARY[type(node.op)](left, right)

    def _boolean(self, node: ast.BoolOp) -> Any:
        decisive = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.value(part)
            if bool(value) is decisive:
                break
        return value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for operation, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator)
            self.weigh((left, right))
            if isinstance(operation, ast.In | ast.NotIn) and isinstance(right, range):
                self.spend(len(right))  # what is not an int is sought item by item
            if not _COMPARE[type(operation)](left, right):
                return False
            left = right
        return True

    def _choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        source = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            part = source[slice(*(end and self.value(end) for end in ends))]
            self.spend(len(part))
            return part
        return source[self.value(node.slice)]

    def _comprehension(self, node: Any) -> Any:
        # A comprehension has a scope of its own: what it binds is forgotten behind it.
        outer = dict(self.names)
        values: list[Any] = []
        self._loop(node.generators, lambda: values.append(self._element(node)))
        self.names = outer
        if isinstance(node, ast.SetComp):
            return set(self._hashed(values))
        if isinstance(node, ast.DictComp):
            self._hashed([key for key, _ in values])
            return dict(values)
        return values

    def _element(self, node: Any) -> Any:
        """Returns one item of a comprehension, a pair for a dict."""
        if isinstance(node, ast.DictComp):
            return self.value(node.key), self.value(node.value)
        return self.value(node.elt)

    def _loop(self, generators: list[ast.comprehension], body: Callable[[], None]) -> None:
        """Calls `body` with the loop variables bound, for each turn of nested loops."""
        if not generators:
            return body()
        first, *others = generators
        for item in self.items_of(first.iter):
            self.bind(first.target, item)
            if all(self.value(condition) for condition in first.ifs):
                self._loop(others, body)

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name) or node.func.id in self.names or node.keywords:
            raise NotConstant("not a known call")
        function = self.functions.get(node.func.id)
        if function is None:
            raise NotConstant(f"{node.func.id} is not a known function")
        if len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp):
            arguments = [self._comprehension(node.args[0])]
        else:
            arguments = self._items(node.args)
        for argument in arguments:
            self.spend(len(argument) if isinstance(argument, range) else 1)
            self.weigh(argument)
        if function in (set, frozenset, dict) and arguments:
            self._hashed(list(arguments[0]))
        # The order of a set depends on hashes, which differ between this process and the candidate's.
        if function in (list, tuple, str) and isinstance(
            arguments[0] if arguments else None, set | frozenset
        ):
            raise NotConstant("hash order")
        return function(*arguments)


def _may_collide(value: Any) -> bool:
    """Whether values of this kind can be chosen to have one hash; small ints and texts cannot."""
    # hash(n) is n modulo 2^61 − 1, so multiples of it collide at will; hashes of text are salted, those of
    # smaller ints are the ints.
    return not (isinstance(value, str) or (isinstance(value, int) and abs(value) < _HASH_MODULUS))


def _growth(operation: ast.operator, left: Any, right: Any) -> int:
    """Returns the cost of an operation's result beyond its operands.

    Raises:
        NotConstant: When the operation is not one to take here.
    """
    for sequence, times in ((left, right), (right, left)):
        if isinstance(operation, ast.Mult) and isinstance(sequence, list | tuple | str | bytes):
            # Paid before the operation is done: `[0] * 10**9` must fail here, not in the allocator.
            return len(sequence) * max(0, times)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        raise NotConstant("arithmetic of decimals, whose exponents may grow")
    if isinstance(operation, ast.Mod) and isinstance(left, str | bytes):
        raise NotConstant("string formatting")
    if isinstance(operation, ast.Pow) and not isinstance(left, int | float | complex):
        raise NotConstant("power of an unusual number")
    match operation:
        case ast.Pow() if isinstance(left, int) and isinstance(right, int):
            # The result has at most so many bits: known, and paid for, before it is computed.
            bits = left.bit_length() * max(0, right)
        case ast.LShift() if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() + right
        case _:
            bits = _bits(left) + _bits(right)
    if bits > _MAX_BITS:
        raise NotConstant("number too large")
    return bits // 32


def _bits(value: Any) -> int:
    """Returns the size of an exact number."""
    if isinstance(value, int | Fraction):
        return value.numerator.bit_length() + value.denominator.bit_length()
    return 0


def _sum(values: Any) -> Any:
    """Adds numbers up; lists would take quadratic time."""
    return sum(values)


def _round(number: Any, digits: int | None = None) -> Any:
    """Rounds a number; an exact one to the left of the point would be divided by a power of any size."""
    if digits is not None and abs(digits) > _MAX_EXPONENT:
        raise NotConstant("too many digits")
    return round(number, digits)


def _fraction(numerator: int, denominator: int = 1) -> Fraction:
    """Returns a Fraction of ints; text could name an exponent of any size."""
    return Fraction(operator.index(numerator), operator.index(denominator))


def _decimal(value: str | int) -> Decimal:
    """Returns a Decimal of moderate exponent."""
    number = Decimal(value)
    if number.is_finite() and abs(number.adjusted()) > _MAX_EXPONENT:
        raise NotConstant("exponent too large")
    return number


_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Invert: operator.invert, ast.Not: operator.not_}
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_METHODS: dict[type[ast.expr], Callable[[Evaluator, Any], Any]] = {
    ast.Constant: lambda evaluator, node: node.value,
    ast.Name: lambda evaluator, node: evaluator.name(node),
    ast.List: Evaluator._list,
    ast.Tuple: Evaluator._tuple,
    ast.Set: Evaluator._set,
    ast.Dict: Evaluator._dict,
    ast.UnaryOp: Evaluator._unary,
    ast.BinOp: Evaluator._binary,
    ast.BoolOp: Evaluator._boolean,
    ast.Compare: Evaluator._compare,
    ast.IfExp: Evaluator._choice,
    ast.Subscript: Evaluator._subscript,
    ast.ListComp: Evaluator._comprehension,
    ast.SetComp: Evaluator._comprehension,
    ast.DictComp: Evaluator._comprehension,
    ast.Call: Evaluator._call,
}
_FUNCTIONS = (abs, bool, chr, complex, dict, float, frozenset, int, len, list, max, min, ord, range)
BUILTINS: Mapping[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (*_FUNCTIONS, set, sorted, str, tuple)},
    "round": _round,
    "sum": _sum,
}
"""The builtin functions of constant expressions."""

_LITERAL_NAMES = {"inf": math.inf, "nan": math.nan}
_LITERAL_FUNCTIONS = {**BUILTINS, "deque": deque, "Fraction": _fraction, "Decimal": _decimal}
