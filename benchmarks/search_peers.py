"""Search libraries of others, without a model, for `search_speed.py`. Each returns µs a simulation.

What a peer asks its user for is answered at once and not counted. A peer that is not installed raises
ImportError.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the seconds that a peer spends in its user's functions."""

    def __init__(self) -> None:
        """Starts at 0."""
        self.seconds = 0.0

    def excluded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        return timed


def treequest(simulations: int, width: int, inplace: bool = True) -> float:
    """TreeQuest's StandardMCTS; a simulation makes and values one node (treequest 0.3.3)."""
    from treequest import StandardMCTS

    generator = random.Random(0)
    watch = Stopwatch()
    generate = {"step": watch.excluded(lambda state: (generator.random(), generator.random()))}
    algorithm = StandardMCTS(samples_per_action=width)
    state = algorithm.init_tree()
    started = time.perf_counter()
    for _ in range(simulations):
        state = algorithm.step(state, generate, inplace=inplace)
    return (time.perf_counter() - started - watch.seconds) / simulations * 1e6


def llm_reasoners(simulations: int, width: int, depth: int = 8) -> float:
    """llm-reasoners' MCTS; a simulation walks to the depth limit (llm-reasoners 1.0.2)."""
    from reasoners import SearchConfig, WorldModel
    from reasoners.algorithm import MCTS

    generator = random.Random(0)
    watch = Stopwatch()

    class World(WorldModel):
        def init_state(self) -> tuple[int, ...]:
            return ()

        def step(self, state: tuple[int, ...], action: int) -> tuple[tuple[int, ...], dict[str, Any]]:
            return (*state, action), {}

        def is_terminal(self, state: tuple[int, ...]) -> bool:
            return len(state) >= depth

    class Config(SearchConfig):
        def get_actions(self, state: tuple[int, ...]) -> list[int]:
            return list(range(width))

        def fast_reward(self, state: tuple[int, ...], action: int) -> tuple[float, dict[str, Any]]:
            return generator.random(), {}

        def reward(self, state: tuple[int, ...], action: int, **details: Any) -> tuple[float, dict[str, Any]]:
            return generator.random(), {}

    world, config = World(), Config()
    for owner, names in (
        (world, ("step", "is_terminal")),
        (config, ("get_actions", "fast_reward", "reward")),
    ):
        for name in names:
            setattr(owner, name, watch.excluded(getattr(owner, name)))
    search = MCTS(n_iters=simulations, depth_limit=depth, w_exp=1.4)
    started = time.perf_counter()
    search(world, config)
    return (time.perf_counter() - started - watch.seconds) / simulations * 1e6
