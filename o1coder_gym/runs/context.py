"""The search context: run information that the driver passes to agents with a ``context`` keyword."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, takewhile
from typing import Any

from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.types import Problem, State
from o1coder_gym.types.queries import Agent, Search


@dataclass(frozen=True, slots=True)
class SearchContext:
    """Information about the current task, passed from the driver to the agent.

    Attributes:
        seed: Derived from the run's seed, the problem and the agent's name; in [0, 2^63).
        bounded: Whether a budget ends the search eventually, so that an agent needs no cap of its own.
    """

    seed: int = 0
    bounded: bool = False

    def generator(self, seed: int = 0) -> random.Random:
        """Returns a freshly seeded generator for this task; each `seed` gives an independent stream."""
        return random.Random(derive_stream(self.seed, "agent", str(seed)))

    def cap(self, asked: int | None, otherwise: int) -> float:
        """Returns the largest number of rounds that an agent may start.

        Args:
            asked: The user's cap; None if none was given.
            otherwise: Default cap, used if the user gave none and no budget ends the search.
        """
        if asked is not None:
            return asked
        return float("inf") if self.bounded else otherwise

    def rounds(self, asked: int | None, otherwise: int) -> Iterator[int]:
        """Returns an iterator over the indices of the rounds that `cap` allows."""
        cap = self.cap(asked, otherwise)
        return takewhile(lambda begun: begun < cap, count())


ALONE = SearchContext()
"""Context of an agent that runs without a driver."""


def begin(agent: Agent, problem: Problem, root: State, context: SearchContext) -> Search:
    """Starts a search; passes the context if the agent accepts one."""
    informed: Any = agent
    try:
        takes_it = _takes_context(agent)
    except (TypeError, ValueError):  # written in C, or not to be hashed
        takes_it = False
    return informed(problem, root, context=context) if takes_it else agent(problem, root)


@lru_cache(maxsize=64)
def _takes_context(agent: Agent) -> bool:
    return "context" in inspect.signature(agent).parameters
