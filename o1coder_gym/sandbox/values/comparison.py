"""Equality of results, decided in the trusted process on encoded texts; nothing is rebuilt or hashed.

Two relations. `same` is that of call tests: a tolerance where the expected value is a float, True is
not 1, NaN matches an expected NaN. `equal` is Python's ``==`` on the data, as an assert means it: exact,
True equals 1, NaN equals nothing. In both 1 equals 1.0, a list is not a tuple, sets and dicts are
compared as sorted lists, and a text that no encoder wrote is simply not equal.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

DEFAULT_TOLERANCE = 1e-6
"""Absolute and relative tolerance of call tests that name none."""

Tree: TypeAlias = Any
"""A JSON value as `codec.encode` writes it, or as an attacker does."""
Number: TypeAlias = int | float | complex | Fraction

MALFORMED = (ValueError, TypeError, LookupError, OverflowError, RecursionError)
"""What reading a tree that no encoder wrote may raise."""

_MAX_RATIONAL_BITS = 1 << 16
_MAX_DECIMAL_EXPONENT = 5_000
# each digit can match in one way only: a token of a million digits must not take quadratic time
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def same(got: str | bytes, expected: str, tol: float | None = None) -> bool:
    """Whether an encoded result is the expected one of a call test.

    Args:
        got: What the candidate's process wrote; any bytes.
        expected: Written by `codec.encode` in the trusted process.
        tol: A float ``b`` accepts ``a`` if ``abs(a - b) <= tol + tol * abs(b)``; None means the default.
    """
    got = _text(got)
    if got == expected:
        return True
    return _holds(Equality(DEFAULT_TOLERANCE if tol is None else tol, strict=True), got, expected)


def equal(got: str | bytes, expected: str) -> bool:
    """Whether ``got == expected`` is true in Python; arguments as for `same`."""
    got = _text(got)
    if got == expected and "NaN" not in expected:
        return True
    return _holds(PYTHON_EQUALITY, got, expected)


def same_stdout(got: str, expected: str, tol: float | None = None) -> bool:
    """Whether two standard outputs agree: the same tokens on the same lines.

    Space within a line counts as one, trailing space and trailing blank lines as none.

    Args:
        got: What the program printed.
        expected: What it should have printed.
        tol: Absolute and relative tolerance of tokens that are written as floats in `expected`; None
            compares all tokens as text.
    """
    if got == expected:
        return True
    got_lines, expected_lines = _token_lines(got), _token_lines(expected)
    return len(got_lines) == len(expected_lines) and all(
        len(left) == len(right) and all(_same_token(a, b, tol) for a, b in zip(left, right, strict=True))
        for left, right in zip(got_lines, expected_lines, strict=True)
    )


def read_tree(text: str) -> Tree:
    """Parses an encoded text within bounded time.

    Raises:
        ValueError, RecursionError: When it is not JSON, or holds a number of absurd length.
    """
    return _decoder.decode(text)


def _text(encoded: str | bytes) -> str:
    """Returns the text of what came through a pipe; what is not ASCII becomes unreadable."""
    return encoded if isinstance(encoded, str) else encoded.decode("ascii", "replace")


def number_of(tree: Tree) -> Number | None:
    """Reads a tree as a number, bool included; None if it is something else.

    Raises:
        ValueError, TypeError: When it is tagged as a number and is none.
    """
    if isinstance(tree, int | float):
        return tree
    if type(tree) is not dict or len(tree) != 1:
        return None
    ((tag, body),) = tree.items()
    match tag:
        case "i":
            return int(body, 16)
        case "c":
            return complex(*map(float, body))
        case "f":
            numerator, denominator = map(_rational_part, body)
            return Fraction(numerator, denominator) if denominator else None
        case "m":
            coefficient, exponent = map(_rational_part, body)
            if abs(exponent) > _MAX_DECIMAL_EXPONENT:
                raise ValueError("exponent out of range")
            return coefficient * Fraction(10) ** exponent
    return None


def _parse_int(digits: str) -> int:
    """Reads an int that JSON may carry; the encoder writes longer ones in hex."""
    if len(digits) > 20:
        raise ValueError("integer too long")
    return int(digits)


_decoder = json.JSONDecoder(parse_int=_parse_int)


def _rational_part(tree: Tree) -> int:
    """Reads one int of a Fraction or Decimal."""
    value = number_of(tree)
    if type(value) is not int or value.bit_length() > _MAX_RATIONAL_BITS:
        raise ValueError("not an integer of bounded size")
    return value


@dataclass(frozen=True, slots=True)
class Equality:
    """One notion of equality of trees: `tol` as in `same`; `strict` keeps True from being 1."""

    tol: float
    strict: bool

    def trees(self, got: Tree, expected: Tree) -> bool:
        """Whether two trees stand for equal values."""
        if self.strict and (type(got) is bool or type(expected) is bool):
            return got is expected
        number = number_of(expected)
        if number is not None:
            other = number_of(got)
            return other is not None and self.numbers(other, number)
        if type(expected) is list:
            return type(got) is list and self.items(got, expected)
        if type(expected) is dict:
            return type(got) is dict and len(got) == 1 and self.tagged(got, expected)
        return type(got) is type(expected) and got == expected

    def items(self, got: Tree, expected: list[Tree]) -> bool:
        """Whether two lists have equal items in order."""
        if type(got) is not list or len(got) != len(expected):
            return False
        return all(map(self.trees, got, expected))

    def tagged(self, got: dict[str, Tree], expected: dict[str, Tree]) -> bool:
        """Whether two tagged values other than numbers are equal."""
        ((tag, body),) = expected.items()
        ((got_tag, got_body),) = got.items()
        if tag in ("s", "z"):
            alike = got_tag in ("s", "z") and len(got_body) == len(body)
            return alike and self.items(self.ordered(got_body), self.ordered(body))
        if got_tag != tag:
            return False
        match tag:
            case "t" | "q":
                return self.items(got_body, body)
            case "d":
                alike = len(got_body) == len(body)
                return alike and self.items(self.ordered_pairs(got_body), self.ordered_pairs(body))
            case "b" | "y":
                return type(got_body) is str and got_body == body
            case "r":
                return range(*got_body) == range(*body)
        return False

    def numbers(self, got: Number, expected: Number) -> bool:
        """Whether two numbers are equal, or close where the expected one is a float."""
        if got == expected:
            return True
        if isinstance(expected, complex) or isinstance(got, complex):
            left, right = complex(got), complex(expected)
            return isinstance(expected, complex) and (
                self.numbers(left.real, right.real) and self.numbers(left.imag, right.imag)
            )
        if not isinstance(expected, float):
            return False
        if math.isnan(expected):
            return self.strict and isinstance(got, float) and math.isnan(got)
        distance = abs(got - expected)
        return math.isfinite(expected) and distance <= self.tol + self.tol * abs(expected)

    def ordered(self, items: Tree) -> list[Tree]:
        """Sorts the items of a set."""
        return sorted(_list(items), key=self.key)

    def ordered_pairs(self, pairs: Tree) -> list[Tree]:
        """Sorts the pairs of a dict by their keys."""
        return sorted(_pairs(pairs), key=lambda pair: self.key(pair[0]))

    def key(self, tree: Tree) -> tuple[Any, ...]:
        """Returns a sort key: a total order of trees in which equal values have equal keys.

        The key of each part is made once, or sets within sets would take exponential time.
        """
        if type(tree) is bool and self.strict:
            return ("bool", tree)
        number = number_of(tree)
        if number is not None:
            return _number_key(number)
        if type(tree) is list:
            return ("list", *map(self.key, tree))
        if type(tree) is not dict or len(tree) != 1:
            return (type(tree).__name__, tree if type(tree) is str else "")
        ((tag, body),) = tree.items()
        match tag:
            case "s" | "z":
                return ("set", *sorted(map(self.key, _list(body))))
            case "d":
                keys = [(self.key(name), self.key(item)) for name, item in _pairs(body)]
                return ("dict", *chain.from_iterable(sorted(keys, key=itemgetter(0))))
            case _:
                return (tag, self.key(body))


PYTHON_EQUALITY = Equality(0.0, strict=False)
"""``==`` on data."""


def _holds(equality: Equality, got: str, expected: str) -> bool:
    """Whether two texts are equal; what cannot be read is not."""
    try:
        return equality.trees(read_tree(got), read_tree(expected))
    except MALFORMED:
        return False


def _list(items: Tree) -> list[Tree]:
    """Returns the items of a set.

    Raises:
        ValueError: When there are none.
    """
    if type(items) is not list:
        raise ValueError("not a list")
    return items


def _pairs(pairs: Tree) -> list[Tree]:
    """Returns the pairs of a dict.

    Raises:
        ValueError: When there are none.
    """
    if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise ValueError("not a list of pairs")
    return pairs


def _number_key(number: Number) -> tuple[Any, ...]:
    """Returns a sort key that equal numbers share, whatever their types."""
    if isinstance(number, complex) and number.imag == 0:
        number = number.real
    if isinstance(number, complex):
        return ("number~complex", *_number_key(number.real), *_number_key(number.imag))
    return ("number~nan",) if number != number else ("number", number)


def _token_lines(text: str) -> list[list[str]]:
    """Splits text into the tokens of its lines, without the blank lines at its end."""
    return [line.split() for line in text.rstrip().split("\n")]


def _same_token(got: str, expected: str, tol: float | None) -> bool:
    """Whether two tokens agree, as floats where the expected one is written as a float."""
    if got == expected:
        return True
    if tol is None or expected.lstrip("+-").isdecimal():
        return False
    if not (_DECIMAL.fullmatch(expected) and _DECIMAL.fullmatch(got)):
        return False
    left, right = float(got), float(expected)
    return math.isfinite(right) and abs(left - right) <= tol + tol * abs(right)


def brief(encoded: str | bytes, limit: int = 200) -> str:
    """Returns at most `limit` characters that show an encoded value to people; never raises."""
    encoded = _text(encoded)
    try:
        pieces = _pieces(read_tree(encoded))
        shown = ""
        while len(shown) <= limit and (piece := next(pieces, None)) is not None:
            shown += piece
    except MALFORMED:
        shown = ascii(encoded[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _pieces(tree: Tree) -> Iterator[str]:
    """Yields the repr of a tree's value bit by bit."""
    if type(tree) is list:
        yield from _listed("[", tree, "]")
    elif type(tree) is str:
        yield repr(tree[:1000])
    elif type(tree) is not dict or len(tree) != 1:
        yield repr(tree)
    else:
        ((tag, body),) = tree.items()
        yield from _tagged_pieces(tag, body)


def _tagged_pieces(tag: str, body: Tree) -> Iterator[str]:
    """Yields the repr of a tagged value bit by bit."""
    match tag:
        case "t":
            yield from _listed("(", body, ",)" if len(body) == 1 else ")")
        case "s":
            yield from _listed("{", body, "}") if body else ("set()",)
        case "d":
            yield "{"
            for index, (key, value) in enumerate(body):
                yield ", " if index else ""
                yield from _pieces(key)
                yield ": "
                yield from _pieces(value)
            yield "}"
        case "i":
            yield str(int(body, 16)) if len(body) < 100 else body[:1000]
        case "b":
            yield repr(bytes.fromhex(body[:1000]))
        case "y":
            yield str(body)[:100]
        case "h":
            yield f"<object {body if type(body) is int else '?'} of the program>"
        case "c":
            yield repr(complex(*body))
        case "m":
            coefficient, exponent = body
            yield f"Decimal('{coefficient}E{exponent}')"
        case _:
            names = {"z": "frozenset", "f": "Fraction", "q": "deque", "r": "range", "g": "iterator"}
            yield from _listed(names.get(tag, "?") + "(", body, ")")


def _listed(opening: str, items: Tree, closing: str) -> Iterator[str]:
    """Yields items between brackets."""
    yield opening
    for index, item in enumerate(items):
        yield ", " if index else ""
        yield from _pieces(item)
    yield closing
