"""Packed inputs: values that hold many cases at once, so that one run of a program tries them all.

A text with every number word, or a list with every threshold that some program compares with, parts programs
that differ in a single one of them; a draw would have to meet that one.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

from o1coder_gym.tcg.inputs.known import Arguments

_MOST = 10
"""Mentioned values that are packed; pairs of texts are made of fewer."""
_PAIRED = 5
_KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)


def packed(value: Any, mentioned: Sequence[Any]) -> Iterator[Any]:
    """Yields values of the type of a shown one, fullest first.

    Args:
        value: A shown value; other types than texts and sequences have nothing to pack.
        mentioned: Constants of the programs.
    """
    match value:
        case str():
            yield from _texts(value, [one for one in mentioned if isinstance(one, str) and one][:_MOST])
        case list() | tuple() if value:
            yield from (type(value)(items) for items in _lists(list(value), mentioned))


def related(call: Arguments) -> Iterator[list[Any]]:
    """Yields calls in which one argument depends on the others: equal, their sum, their difference.

    Programs compare arguments with each other, and values drawn one by one are seldom equal.
    """
    for place, value in enumerate(call):
        others = [*call[:place], *call[place + 1 :]]
        alike = [one for one in others if type(one) is type(value)]
        found = alike[:1]
        if type(value) in (int, float) and alike:
            found += [sum(alike), abs(alike[0] - sum(alike[1:]))]
        yield from ([*call[:place], one, *call[place + 1 :]] for one in found if one != value)


def _texts(value: str, words: Sequence[str]) -> Iterator[str]:
    if len(words) > 1:
        yield " ".join(words)
        yield " ".join(words[::-1])
        # Each text behind each other one: separators next to what they separate.
        yield "".join(one + other for one, other in product(words[:_PAIRED], repeat=2))
    # Only kinds of characters that the question shows; others may be no input of it.
    if found := "".join(kind for kind in _KINDS if any(one in kind for one in value)):
        yield found


def _lists(items: list[Any], mentioned: Sequence[Any]) -> Iterator[list[Any]]:
    if near := _near(items[0], mentioned):
        yield near
    yield items[-1:]
    yield [item for item in items for _ in range(2)]
    with suppress(TypeError):  # items of several types have no order
        yield sorted([*items, *items], reverse=True)


def _near(item: Any, mentioned: Sequence[Any]) -> list[Any]:
    """Returns the mentioned values of the type of an item; numbers with their neighbours."""
    if isinstance(item, str):
        return [one for one in mentioned if isinstance(one, str)][:_MOST]
    if type(item) not in (int, float):
        return []
    numbers = [one for one in mentioned if isinstance(one, int | float)][:_MOST]
    step = 1 if type(item) is int else 0.1
    return [type(item)(one + place * step) for one in numbers for place in (0, 1, -1)]
