"""Domains: the values that an argument may take, inferred from known values.

A domain generalises a few observed values the way a careful reader would (in the spirit of Daikon's
likely invariants, Ernst et al. 2001): numbers keep the sign that was seen, strings their alphabet,
lists their order, distinctness and shape. `mutate` changes a value a little and stays inside; `sample`
makes a new one. Values are plain Python data; a mutation never changes its argument in place.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from o1coder_gym.tcg.inputs import edits

_ROOM = 8
"""Items (or characters) that a mutated value may have beyond twice the longest one seen."""


class Domain(Protocol):
    """A set of plausible values."""

    def sample(self, rng: random.Random) -> Any:
        """Draws a value."""
        ...

    def mutate(self, value: Any, rng: random.Random) -> Any:
        """Returns a value near `value`, which lies in the domain."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A few values without structure: None, booleans, bytes and other types."""

    values: tuple[Any, ...]

    def sample(self, rng: random.Random) -> Any:
        """Draws one of them."""
        return rng.choice(self.values)

    def mutate(self, value: Any, rng: random.Random) -> Any:
        """Draws one of them."""
        return rng.choice(self.values)


@dataclass(frozen=True, slots=True)
class Integers:
    """Whole numbers.

    Attributes:
        low: Least value.
        high: Largest value that is sampled often.
        special: Values of interest: constants of the program and their neighbours.
        zero: Whether 0 may come.
    """

    low: int
    high: int
    special: tuple[int, ...] = ()
    zero: bool = True

    def sample(self, rng: random.Random) -> int:
        """Draws from the range, from its small end, or a special value."""
        kind = rng.random()
        # A quarter constants of the program, a quarter small numbers, half the range: bugs sit at the first
        # two.
        if kind < 0.25 and self.special:
            return rng.choice(self.special)
        if kind < 0.5:
            return self._settle(self.low + rng.randrange(12) if self.low >= 0 else rng.randrange(-6, 7))
        return self._settle(rng.randint(self.low, self.high))

    def mutate(self, value: int, rng: random.Random) -> int:
        """Takes a small step, scales, changes the sign, or draws a new value."""
        step = rng.choice((-1, 1, -2, 2, -10, 10))
        changed = rng.choice((value + step, value + step, value * 2, value // 2, -value, None))
        return self.sample(rng) if changed is None else self._settle(changed)

    def _settle(self, value: int) -> int:
        """Returns the nearest value of the domain."""
        if value == 0 and not self.zero:
            return 1 if self.high > 0 else -1
        # Mutations of mutations may leave the sampled range, but not grow without bound: inputs must stay
        # quick.
        return max(self.low, min(value, max(4 * self.high, self.high + 20, 20)))


@dataclass(frozen=True, slots=True)
class Reals:
    """Floats.

    Attributes:
        low: Least value.
        high: Largest value that is sampled.
        seen: Observed values.
        digits: Decimals that the observed values have.
    """

    low: float
    high: float
    seen: tuple[float, ...]
    digits: int = 1

    def sample(self, rng: random.Random) -> float:
        """Draws from the range, or an observed value."""
        if rng.random() < 0.2:
            return rng.choice(self.seen)
        return round(rng.uniform(self.low, self.high), self.digits)

    def mutate(self, value: float, rng: random.Random) -> float:
        """Takes a small step, scales, changes the sign, rounds, or draws a new value."""
        step = rng.choice((1.0, -1.0, 10.0**-self.digits, -(10.0**-self.digits)))
        changed = rng.choice((value + step, value * 2, value / 2, -value, float(np.rint(value)), None))
        if changed is None:
            return self.sample(rng)
        return max(self.low, min(round(changed, self.digits + 1), 4 * max(self.high, 1.0)))


class TextForm(enum.Enum):
    """What the strings of an argument have in common."""

    FREE = enum.auto()
    """Nothing: any character of the alphabet may stand anywhere."""
    PATTERN = enum.auto()
    """Dates, times, codes: digits and letters stand where they stand."""
    WORDS = enum.auto()
    """Words of a vocabulary, with spaces between."""
    BALANCED = enum.auto()
    """Brackets match."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Strings.

    Attributes:
        seen: Observed strings.
        alphabet: Characters that may occur.
        shortest: Least length.
        longest: Largest observed length.
        form: The form that all observed strings share and edits keep; see `TextForm`.
        words: The words to draw from.
        joints: Characters that only join others; see `edits.only_joins`.
        special: Characters of interest: those that the program compares with.
    """

    seen: tuple[str, ...]
    alphabet: str
    shortest: int
    longest: int
    form: TextForm = TextForm.FREE
    words: tuple[str, ...] = ()
    joints: str = ""
    special: str = ""

    def sample(self, rng: random.Random) -> str:
        """Draws an observed string and mutates it a few times, or draws characters."""
        if self.form is not TextForm.FREE or rng.random() < 0.6:
            text = rng.choice(self.seen)
            for _ in range(rng.randint(1, 3)):
                text = self.mutate(text, rng)
            return text
        length = rng.randint(max(self.shortest, 1), max(self.longest, 2))
        drawn = "".join(rng.choices(self.alphabet, k=length))
        return drawn if self._keeps_form(drawn) else self.mutate(rng.choice(self.seen), rng)

    def mutate(self, value: str, rng: random.Random) -> str:
        """Edits one place, or reorders, repeats or joins parts."""
        edited = self._edit(value, rng)[: 2 * self.longest + _ROOM]
        return edited if len(edited) >= self.shortest and self._keeps_form(edited) else value

    def _edit(self, value: str, rng: random.Random) -> str:
        if self.form is TextForm.PATTERN:
            return edits.edit_within_kind(value, rng)
        kind = rng.random()
        if self.form is TextForm.BALANCED and kind < 0.6:
            return edits.edit_brackets(value, rng)
        if self.form is TextForm.WORDS or (kind > 0.75 and " " in self.alphabet):
            return edits.edit_words(value, self.words, rng)
        if kind < 0.85:
            drawn = self.special if self.special and rng.random() < 0.5 else self.alphabet
            return edits.edit_characters(value, drawn, rng)
        return edits.join_texts(value, rng.choice(self.seen), rng)

    def _keeps_form(self, text: str) -> bool:
        if not all(edits.only_joins(joint, text) for joint in self.joints):
            return False
        groups = text.split(" ") if " " in self.joints else [text]
        return self.form is not TextForm.BALANCED or all(map(edits.is_balanced, groups))


@dataclass(frozen=True, slots=True)
class Sequences:
    """Lists, tuples, sets and frozensets of like items.

    Attributes:
        kind: The type.
        item: Domain of the items.
        shortest: Least length.
        longest: Largest observed length.
        increasing: Whether items are in ascending order.
        distinct: Whether no item occurs twice.
        rectangular: Whether items are lists of one length.
        length: The only length that was seen, if it must be kept.
    """

    kind: type
    item: Domain
    shortest: int
    longest: int
    increasing: bool = False
    distinct: bool = False
    rectangular: bool = False
    length: int | None = None

    def sample(self, rng: random.Random) -> Any:
        """Draws items; short, medium or long."""
        length = self.length if self.length is not None else rng.randint(self.shortest, 2 * self.longest + 2)
        return self._settle([self.item.sample(rng) for _ in range(length)], rng)

    def mutate(self, value: Any, rng: random.Random) -> Any:
        """Drops, repeats, inserts, changes or reorders items."""
        items = _ordered(value)
        # A fixed length (a row of a matrix, a pair) is part of the type: only edits that keep it.
        choices = edits.LIST_EDITS if self.length is None else edits.LENGTH_KEEPING_EDITS
        edited = rng.choice(choices)(items, self._fill(rng), rng)[: 2 * self.longest + _ROOM]
        return self._settle(edited if len(edited) >= self.shortest else items, rng)

    def _fill(self, rng: random.Random) -> edits.Fill:
        return lambda near: self.item.sample(rng) if near is None else self.item.mutate(near, rng)

    def _settle(self, items: list[Any], rng: random.Random) -> Any:
        """Restores the properties that all observed values share."""
        if self.distinct or self.kind in (set, frozenset):
            items = _without_repeats(items)
            # Refilled after repeats were removed; bounded, for a small item domain may have too few distinct
            # values.
            for _ in range(20 * ((self.length or 0) > len(items))):
                items = _without_repeats([*items, self.item.sample(rng)])[: self.length]
        if self.increasing:
            items = sorted(items)
        if self.rectangular and items:
            # Edits changed single rows; the shortest one sets the width again.
            width = min(len(row) for row in items)
            items = [row[:width] for row in items]
        return self.kind(items)


@dataclass(frozen=True, slots=True)
class Records:
    """Tuples or lists of a fixed length whose places differ in type."""

    kind: type
    places: tuple[Domain, ...]

    def sample(self, rng: random.Random) -> Any:
        """Draws every place."""
        return self.kind(place.sample(rng) for place in self.places)

    def mutate(self, value: Any, rng: random.Random) -> Any:
        """Changes one place."""
        index = rng.randrange(len(self.places))
        return self.kind(
            place.mutate(item, rng) if position == index else item
            for position, (place, item) in enumerate(zip(self.places, value, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Mappings:
    """Dicts of like keys and like values."""

    key: Domain
    item: Domain
    shortest: int
    longest: int

    def sample(self, rng: random.Random) -> dict[Any, Any]:
        """Draws pairs."""
        length = rng.randint(self.shortest, self.longest + 2)
        return {self.key.sample(rng): self.item.sample(rng) for _ in range(length)}

    def mutate(self, value: dict[Any, Any], rng: random.Random) -> dict[Any, Any]:
        """Drops or adds a pair, or changes a value."""
        changed = dict(value)
        edit = rng.random()
        if edit < 0.3 and len(changed) > self.shortest:
            del changed[rng.choice(list(changed))]
        elif edit < 0.6 or not changed:
            changed[self.key.sample(rng)] = self.item.sample(rng)
        else:
            key = rng.choice(list(changed))
            changed[key] = self.item.mutate(changed[key], rng)
        return changed


@dataclass(frozen=True, slots=True)
class Either:
    """Values of several types; each has its own domain."""

    options: tuple[tuple[type, Domain], ...]

    def sample(self, rng: random.Random) -> Any:
        """Draws a type, then a value."""
        return rng.choice(self.options)[1].sample(rng)

    def mutate(self, value: Any, rng: random.Random) -> Any:
        """Mutates within the type of `value`, now and then draws another type."""
        for kind, domain in self.options:
            if type(value) is kind and rng.random() < 0.8:
                return domain.mutate(value, rng)
        return self.sample(rng)


def _ordered(value: Any) -> list[Any]:
    """Returns the items; those of a set in the order of their repr, which no hash seed changes."""
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)


def _without_repeats(items: Iterable[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept
