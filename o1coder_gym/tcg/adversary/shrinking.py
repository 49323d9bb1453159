"""Shrinking: an input is made smaller while two programs still part on it (delta debugging, Zeller 2002)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from o1coder_gym.tcg.adversary.attack import Attack, Execution
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, column, is_failure
from o1coder_gym.tcg.checking.agreement import Same
from o1coder_gym.tcg.checking.execution import Observation, OutputJudge, Program, observe
from o1coder_gym.tcg.reading.literals import read_literal, write_literal
from o1coder_gym.types import Problem

_ROUNDS, _WIDTH = 24, 32
"""Steps of an input, and smaller inputs tried in each."""

Shrinking: TypeAlias = Generator[list[Execution], list[list[Observation]], str]
"""Shrinking in progress; asks and is answered as an attack is, and returns the small input."""


def shrink(one: int, other: int, given: str, *, is_function: bool, same: Same) -> Shrinking:
    """Makes an input smaller on which two programs part.

    A smaller input on which either fails is left alone unless one failed on the first input too: an empty
    list may not be an input of the question at all. Types stay as they are.

    Args:
        one: Index of a program.
        other: Index of another one.
        given: An input on which they part.
        is_function: Whether inputs are literals of argument lists.
        same: Which outputs are one.
    """
    allowed = None
    for _ in range(_ROUNDS):
        smaller = (given, *islice(_smaller(given, is_function), _WIDTH))
        # forwards in one process, backwards in the other run: what changes is noise
        turns = [Execution(program, order) for order in (smaller, smaller[::-1]) for program in (one, other)]
        observed = yield turns
        forth = [column(pair, same) for pair in zip(observed[0], observed[1], strict=True)]
        back = [column(pair, same) for pair in zip(observed[2][::-1], observed[3][::-1], strict=True)]
        # From the first turn, of the unshrunk input: may a smaller one fail?
        if allowed is None:
            allowed = any(map(is_failure, forth[0]))
        found = next(
            (
                text
                for text, names, again in zip(smaller[1:], forth[1:], back[1:], strict=True)
                if names[0] != names[1] and names == again and (allowed or not any(map(is_failure, names)))
            ),
            None,
        )
        if found is None:
            break
        given = found
    return given


def minimised(
    judge: OutputJudge, problem: Problem, programs: Sequence[str], found: Attack, *, same: Same
) -> Attack:
    """Returns an attack with small confirmed inputs and all programs' behaviour on them.

    An input stays as it is where the small one would part fewer programs.
    """
    inputs, columns = list(found.inputs), list(found.columns)
    for place in found.parting:
        runners = [one for one, name in enumerate(columns[place]) if name != NOT_RUN]
        runners = [one for one in runners if one not in found.noisy and one not in found.hanging]
        # One program per behaviour, the first of each: shrinking by two of them is enough, the rest is
        # checked below.
        names = {columns[place][one]: one for one in reversed(runners)}
        if len(names) < 2:
            continue
        pair = sorted(names.values())[:2]
        small = shrunk(judge, problem, (programs[pair[0]], programs[pair[1]]), inputs[place], same=same)
        runs = [Program(problem, programs[one], (small,)) for one in runners]
        seen = column([one for (one,) in observe(judge, runs)], same)
        if small != inputs[place] and len({*seen}) >= len(names):
            known = dict(zip(runners, seen, strict=True))
            inputs[place] = small
            columns[place] = tuple(known.get(one, NOT_RUN) for one in range(len(programs)))
    shorter = replace(found, inputs=tuple(inputs), columns=tuple(columns))
    finer = len(shorter.partition.classes) >= len(found.partition.classes)
    return shorter if finer else found


def shrunk(judge: OutputJudge, problem: Problem, programs: tuple[str, str], given: str, *, same: Same) -> str:
    """Runs `shrink` on a judge; returns the small input."""
    shrinking = shrink(0, 1, given, is_function=problem.entry_point is not None, same=same)
    try:
        wanted = next(shrinking)
        while True:
            runs = [Program(problem, programs[one.program], one.inputs) for one in wanted]
            wanted = shrinking.send(observe(judge, runs))
    except StopIteration as end:
        return end.value


def _smaller(given: str, is_function: bool) -> Iterator[str]:
    """Yields smaller inputs, largest cuts first."""
    if not is_function:
        lines = given.rstrip("\n").split("\n")
        yield from ("\n".join(shorter) + "\n" for shorter in _shorter(lines) if shorter)
        return
    known = {given}
    for arguments in _one_changed(list(read_literal(given))):
        text = write_literal(arguments)
        if text not in known:
            known.add(text)
            yield text


def _one_changed(items: list[Any]) -> Iterator[list[Any]]:
    """Yields lists with one item smaller, a step at each item in turn."""
    # Round-robin over the items: the limit on tries must not be spent on the first argument alone.
    streams = [(place, _reduced(item)) for place, item in enumerate(items)]
    while streams:
        alive = []
        for place, stream in streams:
            smaller = next(stream, _END)
            if smaller is not _END:
                yield [*items[:place], smaller, *items[place + 1 :]]
                alive.append((place, stream))
        streams = alive


_END = object()


def _reduced(value: Any) -> Iterator[Any]:
    """Yields smaller values of the type of a value."""
    match value:
        case bool() | None:
            return
        case int():
            sign = -1 if value < 0 else 1
            steps = (0, sign, sign * (abs(value) // 2), sign * (abs(value) - 1), abs(value))
            yield from (one for one in steps if (abs(one), one < 0) < (abs(value), value < 0))
        case float():
            yield from (one for one in (0.0, 1.0, float(np.rint(value))) if abs(one) < abs(value))
        case str() | list() | tuple():
            yield from _shorter(value)
            if not isinstance(value, str):
                yield from (type(value)(items) for items in _one_changed(list(value)))
        case dict():
            yield from (dict(items) for items in _shorter(list(value.items())))
        case set() | frozenset():
            yield from (type(value)(items) for items in _shorter(sorted(value, key=repr)))


def _shorter(items: Any) -> Iterator[Any]:
    """Yields sequences without a half, a quarter, … an item."""
    length = len(items)
    size = length
    while size:
        for start in range(0, length, size):
            yield items[:start] + items[start + size :]
        size //= 2
