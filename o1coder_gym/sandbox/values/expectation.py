"""Expectations of call tests: the arguments of one call, and a predicate on its encoded result.

The predicates run in the trusted process. Those of asserts answer as Python would on the same data;
an object of the candidate's own classes comes as a handle, which is true, and equal to nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from o1coder_gym.sandbox.values.comparison import (
    MALFORMED,
    PYTHON_EQUALITY,
    Number,
    Tree,
    number_of,
    read_tree,
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One call of the entry point and the predicate that its result must satisfy.

    Attributes:
        args: Encoded list of positional arguments.
        met_by: Predicate on an encoded result; takes any text, never raises.
        wanted: Human-readable description of the expected result.
        size: Bytes of the encoded expected result; 0 if it is short.
        printed: Whether the result is standard output rather than an encoded value.
    """

    args: str
    met_by: Callable[[str], bool]
    wanted: str
    size: int = 0
    printed: bool = False


def truth(got: str, expected: bool) -> bool:
    """Whether ``bool(got) is expected``."""
    try:
        return _truth(read_tree(got)) is expected
    except MALFORMED:
        return False


def identity(got: str, expected: str) -> bool:
    """Whether ``got is`` the constant None, True or False, encoded."""
    # None, True and False have one text each, so equal texts mean the same object.
    return got == expected


def near(got: str, center: complex, bound: float, inclusive: bool = False) -> bool:
    """Whether ``abs(got - center) < bound``, or ``<=``."""
    try:
        tree = read_tree(got)
        number = number_of(tree)
        # Decimal − float is a TypeError in Python: there the assert would fail, so it does here.
        if number is None or (_is_decimal(tree) and not isinstance(center, int)):
            return False
        distance = abs(number - center)
        return distance <= bound if inclusive else distance < bound
    except MALFORMED:
        return False


def isclose(got: str, expected: float, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> bool:
    """Whether ``math.isclose(got, expected, …)``."""
    try:
        number = _real(read_tree(got))
        return number is not None and math.isclose(number, expected, rel_tol=rel_tol, abs_tol=abs_tol)
    except MALFORMED:
        return False


def equal_as_sequence(got: str, expected: str) -> bool:
    """Whether the items that `got` yields equal those of the encoded sequence `expected`, in order.

    That is ``tuple(got) == expected`` for a tuple, ``list(got) == expected`` for a list.
    """
    try:
        wanted = _items(read_tree(expected))
        return PYTHON_EQUALITY.items(_items(read_tree(got), len(wanted)), wanted)
    except MALFORMED:
        return False


def equal_as_set(got: str, expected: str) -> bool:
    """Whether ``set(got) == expected``, an encoded set."""
    try:
        # Sorted keys and bisection, no set: foreign values may be chosen to collide in every hash table.
        wanted = sorted(map(PYTHON_EQUALITY.key, _items(read_tree(expected))))
        found = [False] * len(wanted)
        for item in _items(read_tree(got), len(wanted)):
            key = PYTHON_EQUALITY.key(item)
            place = bisect_left(wanted, key)
            # Beyond the last place this raises IndexError, one of MALFORMED: an item larger than all wanted.
            if wanted[place] != key:
                return False
            found[place] = True
        return all(found)
    except MALFORMED:  # an item beyond all that are wanted, too
        return False


def _truth(tree: Tree) -> bool:
    """Returns the truth value of a tree."""
    number = number_of(tree)
    if number is not None:
        return number != 0
    if type(tree) is not dict:
        return bool(tree)
    ((tag, body),) = tree.items()
    match tag:
        case "t" | "s" | "z" | "v" | "w" | "d" | "b" | "q":
            return len(body) > 0
        case "r":
            return len(range(*body)) > 0
    # Iterators, types and objects without a truth value of their own are true.
    return tag in ("g", "y", "h")


def _items(tree: Tree, longest_range: int = 0) -> list[Tree]:
    """Returns what iterating over the value of a tree gives.

    Args:
        tree: Any tree.
        longest_range: Most items of a range, which is short however much it yields.

    Raises:
        ValueError: When it cannot be iterated over.
    """
    if type(tree) is list:
        return tree
    if type(tree) is str:
        return list(tree)
    if type(tree) is dict and len(tree) == 1:
        ((tag, body),) = tree.items()
        if tag in ("t", "s", "z", "v", "w", "q", "g") and type(body) is list:
            return body
        if tag == "d":
            return [key for key, _ in body]
        if tag == "b":
            return list(bytes.fromhex(body))
        # Thirty bytes of range may stand for 10^18 items: one longer than what is expected is not spelt out.
        if tag == "r" and len(range(*body)) <= longest_range:
            return list(range(*body))
    raise ValueError("not iterable")


def _is_decimal(tree: Tree) -> bool:
    """Whether a tree stands for a Decimal, which does not mix with floats."""
    return type(tree) is dict and "m" in tree


def _real(tree: Tree) -> float | Fraction | None:
    """Reads a tree as a real number."""
    number: Number | None = number_of(tree)
    return None if isinstance(number, complex) else number
