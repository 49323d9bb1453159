"""Corner cases: shown inputs with one or two values moved to an edge or to a constant of the programs.

A draw from the shapes that shown inputs share stays within those shapes; programs part at their edges: the
empty list, one item, equal items, signs, and the constants that a program compares with.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from o1coder_gym.tcg.adversary.packed import packed, related
from o1coder_gym.tcg.inputs.known import Arguments, compared_characters, constants
from o1coder_gym.tcg.inputs.preconditions import find_preconditions
from o1coder_gym.tcg.reading.literals import write_literal

_TWO = 0.4
"""Share of the inputs in which two arguments are put to an edge."""
_DISPUTED = 0.5
"""Share of the edges that are made of what some programs mention and others do not, where there is any."""
_WORDS = 5
"""Items of a text or a list that is put together of what programs mention, at most."""
_DRAWS = 2000


def corner_inputs(
    calls: Sequence[Arguments], programs: Sequence[str], question: str, seed: int
) -> Iterator[str]:
    """Yields distinct inputs near the edges of shown ones; ends when nothing new turns up.

    Args:
        calls: Shown inputs.
        programs: Their constants are tried.
        question: Its words say which preconditions hold (`inputs.preconditions`).
        seed: Fixes the draw.
    """
    if not calls:
        return
    rng = random.Random(seed)
    mentioned, disputed = _mentioned(programs)
    preconditions = find_preconditions(calls, question)
    known: set[str] = set()
    first = list(_first(calls[0], mentioned))
    for turn in range(_DRAWS):
        call = first[turn] if turn < len(first) else list(rng.choice(calls))
        places = range(len(call)) if turn >= len(first) else ()
        for place in rng.sample(places, min(len(places), 1 + (rng.random() < _TWO))):
            apart = disputed and rng.random() < _DISPUTED
            call[place] = rng.choice(_edges(call[place], disputed if apart else mentioned, rng))
        try:
            restored: Arguments = tuple(call)
            # Edges may break what the question takes for granted; such an input would part programs without a
            # meaning.
            for restore in preconditions:
                restored = restore(restored)
            text = write_literal(list(restored))
        except (TypeError, ValueError, IndexError):
            continue
        if text not in known:
            known.add(text)
            yield text


def _first(call: Arguments, mentioned: Sequence[Any]) -> Iterator[list[Any]]:
    """Yields the inputs before any random one: arguments at their least, packed, related to each other."""
    columns = [[*_least(one)[:1], *packed(one, mentioned), *_least(one)[1:]] for one in call]
    rows = [
        [[*call[:place], one, *call[place + 1 :]] for place, one in enumerate(row) if one is not None]
        for row in zip_longest(*columns)
    ]
    # Round-robin over the arguments, so that a short attack has seen each of them at its least.
    yield from chain(*rows[:1], related(call), *rows[1:])


def _least(value: Any) -> list[Any]:
    """Returns the least values of a value's type, which come first."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [type(value)(0), type(value)(1), type(value)(-1)]
        case str():
            return ["", value[:1]]
        case list() | tuple():
            return [type(value)(), type(value)(_least(value[0])[:1] if value else ()), value[:1]]
    return []


def _mentioned(programs: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Returns the constants of all programs, and those that some mention and others do not."""
    found = [{repr(one): one for one in _of(code)} for code in programs]
    whole = {name: one for constants in found for name, one in constants.items()}
    # What only some programs mention is where they decide differently.
    disputed = [one for name, one in whole.items() if not all(name in constants for constants in found)]
    return list(whole.values()), disputed


def _of(code: str) -> list[Any]:
    return [*constants(code), *compared_characters(code)]


def _edges(value: Any, mentioned: Sequence[Any], rng: random.Random) -> list[Any]:
    """Returns edges of a value's type, at least one, and as many constants of the programs."""
    near = [one for kind in mentioned for one in _near(kind, value)]
    usual = list(_usual(value, mentioned, rng))
    rng.shuffle(near)
    rng.shuffle(usual)
    mixed = chain.from_iterable(zip_longest(near[: len(usual)], usual))
    return [one for one in mixed if one is not None] or [value]


def _near(mentioned: Any, value: Any) -> Iterator[Any]:
    """Yields a constant and its neighbours if it has the type of a value."""
    if isinstance(mentioned, int | float) and type(value) in (int, float):
        yield from (type(value)(mentioned + step) for step in (-1, 0, 1) if mentioned == mentioned // 1)
    elif isinstance(mentioned, str) and isinstance(value, str):
        yield from (mentioned, value + mentioned, mentioned + value)


def _usual(value: Any, mentioned: Sequence[Any], rng: random.Random) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (
                0,
                1,
                2,
                -1,
                -value,
                value + 1,
                value - 1,
                2 * value,
                value * value if abs(value) < 1000 else value // 2,
                10 * value,
                rng.randrange(2, 30),
                rng.randrange(2, 200),
            )
        case float():
            yield from (0.0, 1.0, -value, value / 3, 10 * value, value + 0.5, float(np.rint(value)))
        case str():
            yield from _texts(value, mentioned, rng)
        case list() | tuple():
            yield from (type(value)(items) for items in _lists(list(value), mentioned, rng))
        case dict():
            items = list(value.items())
            yield from (dict(some) for some in ([], items[:1], items[1:], items[::-1]))
        case set() | frozenset():
            yield from (type(value)(some) for some in _lists(sorted(value, key=repr), mentioned, rng))


def _texts(value: str, mentioned: Sequence[Any], rng: random.Random) -> Iterator[str]:
    words = [one for one in mentioned if isinstance(one, str)] or value.split() or ["a"]
    yield from (
        "",
        value[:1],
        value[::-1],
        value + value,
        value + value[::-1],
        value.swapcase(),
        value.upper(),
    )
    yield from (value.lower(), f" {value}", f"{value} ", value[1:], value[:-1])
    for joint in ("", " ", "  "):
        yield joint.join(rng.choices(words, k=rng.randint(1, _WORDS)))
        yield joint.join(rng.choices(value.split() or list(value) or ["b"], k=rng.randint(1, _WORDS)))


def _lists(items: list[Any], mentioned: Sequence[Any], rng: random.Random) -> Iterator[list[Any]]:
    yield from ([], items[:1], items[::-1], items + items, items[1:], items[:-1], items * 3)
    if not items:
        return
    yield [rng.choice(items)] * rng.randint(2, 4)
    yield rng.sample(items, len(items))
    with suppress(TypeError):  # items of several types have no order
        yield from (sorted(items), sorted(items, reverse=True))
    for _ in range(4):
        place = rng.randrange(len(items))
        edge = rng.choice(_edges(items[place], mentioned, rng))
        yield [*items[:place], edge, *items[place + 1 :]]
        yield [*items, edge]
    yield [rng.choice(_edges(item, mentioned, rng)) for item in items]
    yield [rng.choice(_edges(rng.choice(items), mentioned, rng))]
    yield [rng.choice(_edges(rng.choice(items), mentioned, rng)) for _ in range(rng.randint(1, _WORDS))]
