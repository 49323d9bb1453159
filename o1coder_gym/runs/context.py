"""Context: what an agent may know of its run. Given to agents that have the keyword ``context``."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, takewhile
from typing import Any

from o1coder_gym.queries import Agent, Search
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.types import Problem, State


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What a driver tells an agent of the task that it runs.

    Attributes:
        seed: Derived from the run's seed, the problem and the agent's name; in [0, 2^63).
        bounded: Whether a budget ends the search, however long it goes on; then no other cap is needed.
    """

    seed: int = 0
    bounded: bool = False

    def generator(self, seed: int = 0) -> random.Random:
        """Returns a generator of the task's own, from its start; another one for each `seed`."""
        return random.Random(derive_stream(self.seed, "agent", str(seed)))

    def cap(self, asked: int | None, otherwise: int) -> float:
        """Returns how often an agent may begin anew.

        Args:
            asked: What the user asks for; None for nothing.
            otherwise: Where nobody asks and no budget ends the search.
        """
        if asked is not None:
            return asked
        return float("inf") if self.bounded else otherwise

    def rounds(self, asked: int | None, otherwise: int) -> Iterator[int]:
        """Counts the beginnings that `cap` allows."""
        cap = self.cap(asked, otherwise)
        return takewhile(lambda begun: begun < cap, count())


ALONE = SearchContext()
"""That of an agent that no driver runs."""


def begin(agent: Agent, problem: Problem, root: State, context: SearchContext) -> Search:
    """Starts a search, with the context if the agent takes one."""
    informed: Any = agent
    try:
        takes_it = _takes_context(agent)
    except (TypeError, ValueError):  # written in C, or not to be hashed
        takes_it = False
    return informed(problem, root, context=context) if takes_it else agent(problem, root)


@lru_cache(maxsize=64)
def _takes_context(agent: Agent) -> bool:
    return "context" in inspect.signature(agent).parameters
