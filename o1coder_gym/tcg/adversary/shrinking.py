"""Shrinking: an input is made smaller while programs still part on it (delta debugging, Zeller 2002).

for each input that parts programs:
    run two that it parts, and no input before it, on smaller ones
    where a smaller one parts them too:
        observe all programs on it, also in other surroundings
        take it if it is no noise, and whom the inputs part so far they still part
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any, TypeAlias, TypeVar

import numpy as np

from o1coder_gym.tcg.adversary.attack import (
    EXECUTIONS,
    SURROUNDINGS,
    Attack,
    Execution,
    Executions,
    alike,
    elsewhere,
    ended,
    play,
)
from o1coder_gym.tcg.adversary.behaviour import NOT_RUN, column, is_failure, shows_address
from o1coder_gym.tcg.checking.agreement import Same
from o1coder_gym.tcg.checking.execution import Observation, OutputJudge
from o1coder_gym.tcg.reading.literals import read_literal, write_literal
from o1coder_gym.types import Problem

_ROUNDS, _WIDTH = 24, 32
"""Steps of an input, and smaller inputs tried in each."""
_TRIES = 3
"""Smaller inputs of a step that all programs are run on; steps of an input in which one of the two hangs."""
_AGAIN = 4
"""Times that all programs are run on such an input in each of the other surroundings."""
_TRIAL = 1 + _AGAIN * SURROUNDINGS
"""What it costs for each program."""

T = TypeVar("T")
_Part: TypeAlias = Generator[list[Execution], list[list[Observation]], T]
"""A part of shrinking that returns a T."""


def minimised(
    judge: OutputJudge,
    problem: Problem,
    programs: Sequence[str],
    found: Attack,
    *,
    same: Same,
    executions: int = EXECUTIONS,
) -> Attack:
    """Runs `shrink` on a judge."""
    is_function = problem.entry_point is not None
    running = shrink(found, is_function=is_function, same=same, executions=executions)
    return play(judge, problem, programs, running)


def shrink(found: Attack, *, is_function: bool, same: Same, executions: int = EXECUTIONS) -> Executions:
    """Makes the inputs small on which programs part; asks and is answered as an attack is.

    A smaller input on which a program fails is left alone unless some failed on the first input too: an
    empty list may not be an input of the question at all. So is one on which some program hangs, or does
    otherwise when it is run again. Types stay as they are.

    Args:
        found: The attack.
        is_function: Whether inputs are literals of argument lists.
        same: Which outputs are one.
        executions: Runs of a program on an input at most.

    Returns:
        The attack with small inputs. They part whom the inputs found part; each splits a class that those
        before it leave whole.
    """
    small = _Small(found, is_function, same, executions)
    for place in found.parting:
        yield from small.shrink(place)
    return replace(small.found, parting=small.needed(), shrinking=executions - small.left)


@dataclass(slots=True)
class _Small:
    """An attack whose inputs become small, step by step. Mutable.

    Attributes:
        found: The attack.
        is_function: As in `shrink`.
        same: As in `shrink`.
        left: Executions that may still be spent.
    """

    found: Attack
    is_function: bool
    same: Same
    left: int

    def shrink(self, place: int) -> _Part[None]:
        """Makes one input as small as can be paid."""
        cells = self.found.columns[place]
        silent = {*self.found.noisy, *self.found.hanging}
        runners = [one for one, name in enumerate(cells) if name != NOT_RUN and one not in silent]
        pair = self._pair(place, runners)
        if pair is None:
            return  # it parts those who hang from the others
        may_fail = any(is_failure(cells[one]) for one in runners)
        refused: set[str] = set()
        hangs = 0
        for _ in range(_ROUNDS):
            smaller = self._payable(place, len(runners), refused)
            if not smaller:
                return
            observed = yield from self._run([Execution(one, smaller) for one in pair])
            parts = [
                text
                for text, *two in zip(smaller, *observed, strict=True)
                if all(map(ended, two)) and self._differ(two, may_fail)
            ]
            taken = False
            for text in parts[:_TRIES]:
                if self.left < _TRIAL * len(runners):
                    return
                taken = yield from self._take(place, text, runners, may_fail)
                if taken:
                    break
                refused.add(text)
            # What a hanging input took along is tried again without that one.
            hung = {
                smaller[[*map(ended, seen)].index(False)] for seen in observed if not all(map(ended, seen))
            }
            refused |= hung
            hangs += bool(hung)
            if not (taken or hung) or hangs == _TRIES:
                return

    def needed(self) -> tuple[int, ...]:
        """Returns the places of the inputs that split a class which those before them leave whole."""
        kept = replace(self.found, parting=())
        for place in self.found.parting:
            more = replace(kept, parting=(*kept.parting, place))
            if len(more.partition.classes) > len(kept.partition.classes):
                kept = more
        return kept.parting

    def _pair(self, place: int, runners: Sequence[int]) -> tuple[int, int] | None:
        """Returns two programs that an input parts, and no input before it."""
        parting = self.found.parting
        before = _keys(replace(self.found, parting=parting[: parting.index(place)]))
        cells = self.found.columns[place]
        pairs = ((one, other) for one, other in combinations(runners, 2) if cells[one] != cells[other])
        return next(((one, other) for one, other in pairs if before[one] == before[other]), None)

    def _payable(self, place: int, runners: int, refused: Set[str]) -> tuple[str, ...]:
        """Returns smaller inputs for two programs, so many that one can be paid on all of them."""
        width = min((self.left - _TRIAL * runners) // 2, _WIDTH)
        fresh = (one for one in _smaller(self.found.inputs[place], self.is_function) if one not in refused)
        return tuple(islice(fresh, max(width, 0)))

    def _differ(self, two: Sequence[Observation], may_fail: bool) -> bool:
        one, other = column(two, self.same)
        return one != other and (may_fail or not (is_failure(one) or is_failure(other)))

    def _take(self, place: int, text: str, runners: Sequence[int], may_fail: bool) -> _Part[bool]:
        """Puts a smaller input into the place of one if all programs allow it; returns whether they do."""
        observed = yield from self._run([Execution(one, (text,)) for one in runners])
        seen = {one: cell for one, (cell,) in zip(runners, observed, strict=True)}
        if not all(map(ended, seen.values())) or any(map(shows_address, seen.values())):
            return False
        runs = elsewhere(runners, (text,) * _AGAIN)
        again = yield from self._run(runs)
        if not all(
            alike(seen[run.program], one) for run, cells in zip(runs, again, strict=True) for one in cells
        ):
            return False
        names = dict(zip(seen, column(list(seen.values()), self.same), strict=True))
        if any(map(is_failure, names.values())) and not may_fail:
            return False
        inputs, columns = [*self.found.inputs], [*self.found.columns]
        inputs[place] = text
        columns[place] = tuple(names.get(one, NOT_RUN) for one in range(len(self.found.weights)))
        small = replace(self.found, inputs=tuple(inputs), columns=tuple(columns))
        # Each new class lies in one old class: nobody is together who was apart.
        both = {*zip(_keys(small), _keys(self.found), strict=True)}
        if len(both) > len({*_keys(small)}):
            return False
        self.found = small
        return True

    def _run(self, runs: list[Execution]) -> _Part[list[list[Observation]]]:
        self.left -= sum(len(one.inputs) for one in runs)
        return (yield runs)


def _keys(found: Attack) -> list[tuple[str, ...] | None]:
    """Returns what each program does on the inputs that part; None for noise."""
    columns = [found.columns[place] for place in found.parting]
    whole = range(len(found.weights))
    return [None if one in found.noisy else tuple(names[one] for names in columns) for one in whole]


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
