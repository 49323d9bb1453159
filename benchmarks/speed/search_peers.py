"""Search libraries of others, without a model, for `search_speed.py`. Each returns CPU µs a simulation.

What a peer asks its user for is answered at once and not counted. A peer that is not installed raises
ImportError.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the CPU seconds that a peer spends in its user's functions."""

    def __init__(self) -> None:
        """Starts at 0."""
        self.seconds = 0.0

    def excluded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - started

        return timed


def treequest(simulations: int, width: int, inplace: bool = True) -> float:
    """TreeQuest's StandardMCTS; a simulation makes and values one node (treequest 0.3.3)."""
    algorithms = importlib.import_module("treequest")
    generator = random.Random(0)
    watch = Stopwatch()
    generate = {"step": watch.excluded(lambda state: (generator.random(), generator.random()))}
    algorithm = algorithms.StandardMCTS(samples_per_action=width)
    state = algorithm.init_tree()
    started = time.thread_time()
    for _ in range(simulations):
        state = algorithm.step(state, generate, inplace=inplace)
    return (time.thread_time() - started - watch.seconds) / simulations * 1e6


def llm_reasoners(simulations: int, width: int, depth: int = 8) -> float:
    """llm-reasoners' MCTS; a simulation walks to the depth limit (llm-reasoners 1.0.2)."""
    reasoners = importlib.import_module("reasoners")
    algorithms = importlib.import_module("reasoners.algorithm")
    generator = random.Random(0)
    watch = Stopwatch()

    class World(reasoners.WorldModel):
        def init_state(self) -> tuple[int, ...]:
            return ()

        def step(self, state: tuple[int, ...], action: int) -> tuple[tuple[int, ...], dict[str, Any]]:
            return (*state, action), {}

        def is_terminal(self, state: tuple[int, ...]) -> bool:
            return len(state) >= depth

    class Config(reasoners.SearchConfig):
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
    search = algorithms.MCTS(n_iters=simulations, depth_limit=depth, w_exp=1.4)
    started = time.thread_time()
    search(world, config)
    return (time.thread_time() - started - watch.seconds) / simulations * 1e6
