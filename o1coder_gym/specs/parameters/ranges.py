"""Ranges of numbers, and meanings, that annotations carry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Le


@dataclass(frozen=True, slots=True)
class Range(GroupedMetadata):
    """Finite numbers from `low` to `high`; with `above`, `low` itself is left out. Goes into `Annotated`.

    To libraries that read annotated-types, Hypothesis for instance, it is the bounds that it has.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        """Returns whether a number lies in it; NaN and the infinities never do."""
        begins = self.low < value if self.above else self.low <= value
        return -math.inf < value < math.inf and begins and value <= self.high

    def __iter__(self) -> Iterator[BaseMetadata]:
        """Yields its bounds."""
        if self.low > -math.inf:
            yield Gt(self.low) if self.above else Ge(self.low)
        if self.high < math.inf:
            yield Le(self.high)

    def __str__(self) -> str:
        """Returns it in words: ``at least 1``, ``in [0, 1]``."""
        if self.high < math.inf:
            return f"in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"
        if self.low == -math.inf:
            return "finite"
        return f"{'above' if self.above else 'at least'} {self.low:g}"

    @property
    def short(self) -> str:
        """Returns it in signs: ``≥ 1``, ``in [0, 1]``."""
        return str(self).replace("at least", "≥").replace("above", ">")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a parameter means, for one that several functions share. Goes into `Annotated`."""

    text: str


AtLeastOne: TypeAlias = Annotated[int, Range(1)]
Count: TypeAlias = Annotated[int, Range(0)]
NonNegative: TypeAlias = Annotated[float, Range(0)]
Positive: TypeAlias = Annotated[float, Range(0, above=True)]
Share: TypeAlias = Annotated[float, Range(0, 1)]
