"""Typed questions: `answers = yield from propose(...)` inside an agent."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias, TypeVar, cast

from o1coder_gym.queries import Advance, Answer, Propose, Query, Score
from o1coder_gym.types import Proposal, State, Transition

T = TypeVar("T")
Part: TypeAlias = Generator[Sequence[Query], list[Answer], T]
"""A part of a search that returns a T."""
Turns: TypeAlias = Part[None]
"""A part of a search that returns nothing."""


def propose(queries: Sequence[Propose]) -> Part[list[tuple[Proposal, ...]]]:
    """Asks the policy; the tuples are shorter than asked for only where the budget cut them."""
    return cast("list[tuple[Proposal, ...]]", (yield queries))


def advance(queries: Sequence[Advance]) -> Part[list[Transition]]:
    """Takes actions."""
    return cast("list[Transition]", (yield queries))


def score(states: Sequence[State]) -> Part[list[float]]:
    """Asks the step scorer; numbers in [0, 1]."""
    return cast("list[float]", (yield [Score(state) for state in states]))
