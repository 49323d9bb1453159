"""Equality of results, decided in the trusted process on encoded texts; nothing is rebuilt or hashed.

Two relations. `same` is that of call tests: a tolerance where the expected value is a float, True is
not 1, NaN matches an expected NaN. `equal` is Python's ``==`` on the data, as an assert means it: exact,
True equals 1, NaN equals nothing. In both 1 equals 1.0, a list is not a tuple, sets and dicts are
compared as sorted lists, and a text that no encoder wrote is simply not equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
"""Exceptions that a forged tree can cause; such a tree is unequal to everything."""

_MAX_RATIONAL_BITS = 1 << 16
_MAX_DECIMAL_EXPONENT = 5_000
_MAX_MATCHED = 200
"""Largest set whose items are matched one by one if sorting does not pair them."""


def same(got: str | bytes, expected: str, tol: float | None = None) -> bool:
    """Returns whether an encoded result matches the expected result of a call test.

    Args:
        got: The answer of the candidate's process; any bytes.
        expected: Written by `codec.encode` in the trusted process.
        tol: A float ``b`` accepts ``a`` if ``abs(a - b) <= tol + tol * abs(b)``; None means the default.
    """
    return Equality(DEFAULT_TOLERANCE if tol is None else tol, strict=True).texts(got, expected)


def equal(got: str | bytes, expected: str) -> bool:
    """Returns whether ``got == expected`` holds in Python; arguments as for `same`."""
    return PYTHON_EQUALITY.texts(got, expected)


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
        case "n":
            return bool(body)
        case "c":
            return complex(*map(float, body))
        case "f":
            numerator, denominator = map(_rational_part, body)
            return Fraction(numerator, denominator) if denominator else None
        case "m":
            # Bounded before the power is taken: 10 to an exponent of 18 digits would never end.
            coefficient, exponent = map(_rational_part, body)
            if abs(exponent) > _MAX_DECIMAL_EXPONENT:
                raise ValueError("exponent out of range")
            return coefficient * Fraction(10) ** exponent
    return None


def _parse_int(digits: str) -> int:
    """Reads an int that JSON may carry; the encoder writes longer ones in hex."""
    # 19 digits and a sign: `encode` writes no longer int in decimal. Python takes quadratic time for one.
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
    """One notion of equality of trees.

    Attributes:
        tol: Absolute tolerance where the expected value is a float; 0 means exact.
        strict: Keeps True from being 1, and has NaN match an expected NaN.
        relative: Relative tolerance; None means `tol`.
        rows: Whether a tuple counts as a list, at any depth.
        outer_row: Whether an outermost tuple counts as a list.
        keys: Whether a key counts as its text, for expected dicts that come from JSON.
        unordered: Whether the items of the outermost list may come in any order.
    """

    tol: float
    strict: bool
    relative: float | None = None
    rows: bool = False
    outer_row: bool = False
    keys: bool = False
    unordered: bool = False

    def texts(self, got: str | bytes, expected: str) -> bool:
        """Returns whether two encoded values are equal; malformed text equals nothing."""
        got = _text(got)
        # Equal texts are equal values, except that Python's NaN equals nothing, not even itself.
        if got == expected and (self.strict or "NaN" not in expected):
            return True
        return self._holds(self.outermost, got, expected)

    def wrapped_texts(self, got: str | bytes, expected: str) -> bool:
        """Whether one encoded value is a list whose only item is the other."""
        return self._holds(self._wrapped, _text(got), expected)

    def outermost(self, got: Tree, expected: Tree) -> bool:
        """Whether two whole trees stand for equal values."""
        if self.unordered or self.outer_row:
            got, expected = _as_list(got), _as_list(expected)
        if self.unordered and type(got) is list and type(expected) is list:
            return self._matched(got, expected, self.key, replace(self, unordered=False).trees)
        return self.trees(got, expected)

    def _wrapped(self, got: Tree, expected: Tree) -> bool:
        """Does the work of `wrapped_texts`."""
        got, expected = _as_list(got), _as_list(expected)
        return (type(expected) is list and len(expected) == 1 and self.trees(got, expected[0])) or (
            type(got) is list and len(got) == 1 and self.trees(got[0], expected)
        )

    def _holds(self, relation: Callable[[Tree, Tree], bool], got: str, expected: str) -> bool:
        """Whether a relation holds of two texts."""
        try:
            return relation(read_tree(got), read_tree(expected))
        except MALFORMED:
            return False

    def trees(self, got: Tree, expected: Tree) -> bool:
        """Whether two trees stand for equal values."""
        if self.rows:
            got, expected = _as_list(got), _as_list(expected)
        # Numbers first: 1, 1.0, True and Fraction(1) are one value in four kinds of trees.
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
        # A set, a frozenset and a view of a dict are equal in Python, and so are bytes and a bytearray.
        if tag in _SETS:
            return got_tag in _SETS and self._matched(_list(got_body), _list(body), self.key, self.trees)
        if tag in _BYTES:
            return got_tag in _BYTES and type(got_body) is str and got_body == body
        if got_tag != tag:
            return False
        match tag:
            case "t" | "q":
                return self.items(got_body, body)
            case "d":
                pairs, wanted = _pairs(got_body), _pairs(body)
                if self.keys:
                    pairs, wanted = _with_text_keys(pairs), _with_text_keys(wanted)
                return self._matched(pairs, wanted, lambda pair: self.key(pair[0]), self.trees)
            case "y" | "D":
                return got_body == body
            # As Python compares ranges: by what they yield, without yielding it.
            case "r":
                return range(*got_body) == range(*body)
        return False

    def _matched(
        self,
        got: list[Tree],
        expected: list[Tree],
        key: Callable[[Tree], tuple[Any, ...]],
        same: Callable[[Tree, Tree], bool],
    ) -> bool:
        """Whether the items of two collections without order can be paired.

        Sorting pairs them unless floats within the tolerance come in another order; then each expected item
        takes the first that is left, in collections small enough for that.
        """
        if len(got) != len(expected):
            return False
        # Sorting takes n log n whatever the values; a set of them would have to hash what a candidate has
        # chosen.
        got, expected = sorted(got, key=key), sorted(expected, key=key)
        if all(map(same, got, expected)):
            return True
        # What follows takes quadratic time, which a hostile set must not buy. Where equality is exact,
        # sorting has paired all that can be paired.
        if not self.tol or len(got) > _MAX_MATCHED:
            return False
        for wanted in expected:
            place = next((place for place, item in enumerate(got) if same(item, wanted)), None)
            if place is None:
                return False
            del got[place]
        return True

    def numbers(self, got: Number, expected: Number) -> bool:
        """Whether two numbers are equal, or close where the expected one is a float."""
        if self.strict and (type(got) is bool) is not (type(expected) is bool):
            return False
        if got == expected:
            return True
        if isinstance(expected, float) and math.isnan(expected):
            return self.strict and isinstance(got, float) and math.isnan(got)
        if not self.tol and not self.relative:
            return False  # a difference in floats may be 0 where == says that there is one
        # By part: a tolerance of the distance would let a large real part hide a wrong imaginary one.
        if isinstance(expected, complex) or isinstance(got, complex):
            left, right = complex(got), complex(expected)
            return isinstance(expected, complex) and (
                self.numbers(left.real, right.real) and self.numbers(left.imag, right.imag)
            )
        if not isinstance(expected, float):
            return False
        relative = self.tol if self.relative is None else self.relative
        # As `numpy.isclose`: |a − b| ≤ tol + rel · |b|, where b is the expected one. Infinity is near to
        # nothing but itself.
        return math.isfinite(expected) and abs(got - expected) <= self.tol + relative * abs(expected)

    def key(self, tree: Tree) -> tuple[Any, ...]:
        """Returns a sort key: a total order of trees in which equal values have equal keys.

        The key of each part is made once, or sets within sets would take exponential time.
        """
        number = number_of(tree)
        # The kind stands first in each key, so bodies of different kinds, which Python cannot order, are
        # never compared.
        if type(number) is bool and self.strict:
            return ("bool", number)
        if number is not None:
            return _number_key(number)
        if self.rows:
            tree = _as_list(tree)
        if type(tree) is list:
            return ("list", *map(self.key, tree))
        if type(tree) is not dict or len(tree) != 1:
            return (type(tree).__name__, tree if type(tree) is str else "")
        ((tag, body),) = tree.items()
        match tag:
            case "s" | "z" | "v" | "w":
                return ("set", *sorted(map(self.key, _list(body))))
            case "d":
                keys = [(self.key(name), self.key(item)) for name, item in _pairs(body)]
                return ("dict", *chain.from_iterable(sorted(keys, key=itemgetter(0))))
            case _:
                return (tag, self.key(body))


PYTHON_EQUALITY = Equality(0.0, strict=False)
"""``==`` on data."""


_SETS, _BYTES = ("s", "z", "v", "w"), ("b", "B")


def _as_list(tree: Tree) -> Tree:
    """Returns the items of a tuple, or the tree itself."""
    if type(tree) is dict and len(tree) == 1 and "t" in tree:
        return tree["t"]
    return tree


def _with_text_keys(pairs: list[Tree]) -> list[Tree]:
    """Returns the pairs of a dict with small ints among the keys as text."""
    return [[str(key) if type(key) is int else key, value] for key, value in pairs]


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
    # NaN gets a key of its own: it compares false with everything and would break the order of a sort.
    return ("number~nan",) if number != number else ("number", number)


def brief(encoded: str | bytes, limit: int = 200) -> str:
    """Returns at most `limit` characters that show an encoded value to people; never raises."""
    encoded = _text(encoded)
    try:
        # Bit by bit: of a value of many megabytes only what is shown is written.
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
        case "n":
            yield f"numpy.{bool(body)}_"
        case "B":
            yield f"bytearray({bytes.fromhex(body[:1000])!r})"
        case "D":
            yield f"{body[0]}{tuple(body[1])}"[:200]
        case "a":
            yield "array("
            yield from _pieces(body[2])
            yield ")"
        case "h":
            yield f"<object {body if type(body) is int else '?'} of the program>"
        case "c":
            yield repr(complex(*body))
        case "m":
            coefficient, exponent = body
            yield f"Decimal('{coefficient}E{exponent}')"
        case _:
            names = {"z": "frozenset", "f": "Fraction", "q": "deque", "r": "range", "g": "iterator"}
            names |= {"v": "dict_keys", "w": "dict_items"}
            yield from _listed(names.get(tag, "?") + "(", body, ")")


def _listed(opening: str, items: Tree, closing: str) -> Iterator[str]:
    """Yields items between brackets."""
    yield opening
    for index, item in enumerate(items):
        yield ", " if index else ""
        yield from _pieces(item)
    yield closing
