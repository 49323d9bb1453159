"""Likely preconditions: relations between the arguments that hold for every known call.

A mutated argument may break what the question takes for granted: that two lists have one length,
that ``n`` is the length of ``values``, that ``k`` is an index. Such relations are looked for in the known
calls and restored in mutated ones. One call shows an order by chance; where the question speaks of it, too,
it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from o1coder_gym.tcg.inputs.inference import is_increasing
from o1coder_gym.tcg.inputs.known import Arguments

Restore: TypeAlias = Callable[[Arguments], Arguments]
"""Returns arguments for which the relation holds; those given if it does already."""

_ENOUGH_FOR_ORDER = 3
_OF_RANGES = re.compile(r"\b(range|interval|between|low|lower|start)\b", re.IGNORECASE)
_OF_SORTED = re.compile(r"\bsorted\b", re.IGNORECASE)


def find_preconditions(calls: Sequence[Arguments], question: str = "") -> list[Restore]:
    """Returns a repair function for each relation that holds for all known calls.

    Args:
        calls: Known arguments, at least one call; all of one length.
        question: Text that may speak of sorted lists or of ranges.
    """
    enough = 1 if _OF_RANGES.search(question) else _ENOUGH_FOR_ORDER
    found: list[Restore] = []
    for left in range(len(calls[0])):
        if _OF_SORTED.search(question) and all(_increases(call[left]) for call in calls):
            found.append(_sorting(left))
        for right in range(len(calls[0])):
            if left != right:
                columns = [(call[left], call[right]) for call in calls]
                found.extend(_between(left, right, columns, enough))
    return found


def _sorting(index: int) -> Restore:
    return lambda call: _put(call, index, type(call[index])(sorted(call[index])))


def _increases(value: Any) -> bool:
    """Whether a value is a list or tuple of numbers or of texts in ascending order."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        return False
    return not any(isinstance(item, bool) for item in value) and is_increasing(value)


def _between(left: int, right: int, columns: list[tuple[Any, Any]], enough: int) -> Iterator[Restore]:
    if all(_sized(a) and _sized(b) for a, b in columns):
        # Length 1 says nothing, and each pair of arguments is looked at once.
        if left < right and all(len(a) == len(b) > 1 for a, b in columns):
            yield lambda call: _same_length(call, left, right)
    elif all(_number(a) and _number(b) for a, b in columns):
        if len(columns) >= enough and all(a <= b for a, b in columns):
            yield lambda call: _in_order(call, left, right)
    elif all(_sized(b) for _, b in columns):
        yield from _within(left, right, columns)


def _within(left: int, right: int, columns: list[tuple[Any, Any]]) -> Iterator[Restore]:
    """Yields an argument's relations to a list: its length, an index into it, or one of its items."""
    integers = all(type(a) is int for a, _ in columns)
    # The strictest relation that holds for all calls is believed: length, then index, then bound, then item.
    if integers and all(a == len(b) for a, b in columns):
        yield lambda call: _put(call, left, len(call[right]))
    elif integers and all(0 <= a < len(b) for a, b in columns):
        yield lambda call: _put(call, left, max(0, min(call[left], len(call[right]) - 1)))
    elif integers and all(0 <= a <= len(b) for a, b in columns):
        yield lambda call: _put(call, left, max(0, min(call[left], len(call[right]))))
    elif all(isinstance(b, list | tuple) and a in b for a, b in columns):
        yield lambda call: call if call[left] in call[right] else _put(call, left, call[right][0])


def _sized(value: Any) -> bool:
    return isinstance(value, list | tuple | str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _put(call: Arguments, index: int, value: Any) -> Arguments:
    return (*call[:index], value, *call[index + 1 :])


def _same_length(call: Arguments, left: int, right: int) -> Arguments:
    length = min(len(call[left]), len(call[right]))
    return _put(_put(call, left, call[left][:length]), right, call[right][:length])


def _in_order(call: Arguments, left: int, right: int) -> Arguments:
    if call[left] <= call[right]:
        return call
    return _put(_put(call, left, call[right]), right, call[left])
