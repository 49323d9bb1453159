"""Runs the simulations of one tree: how many, when to stop, and how many at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from o1coder_gym.agents.search.simulation import Rules, simulate
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.errors import UsageError
from o1coder_gym.types.queries import Answer, Propose, Query, Turns


def search(
    tree: Tree, rules: Rules, *, simulations: float, parallel: int = 1, early_stop: bool = True
) -> Turns:
    """Runs simulations until the limit, or (`early_stop`) until one solves the problem.

    Args:
        tree: Gets the new nodes; its earlier simulations do not count.
        rules: The strategies.
        simulations: Simulations to begin, ≥ 0; with infinity the budget ends the search.
        parallel: W, simulations at the same time.
        early_stop: Stop at the first program that passes all tests of the search.
    """
    if parallel < 1:
        raise UsageError(f"parallel must be at least 1, got {parallel}")
    last = tree.simulations + simulations

    def solved() -> bool:
        return early_stop and tree.solution is not None

    def begin() -> Turns | None:
        if solved() or tree.simulations >= last:
            return None
        return simulate(tree, rules)

    yield from concurrently(begin, parallel, solved)


Begin: TypeAlias = Callable[[], Turns | None]
"""Starts a simulation; None if none can start now."""


def concurrently(begin: Begin, parallel: int, stop: Callable[[], bool]) -> Turns:
    """Keeps up to `parallel` simulations running and merges their queries into one turn.

    Steps and scores are served first: they are cheap, and the simulations that wait to propose then
    leave in one policy batch.
    """
    running: list[_Waiting] = []
    try:
        while True:
            # One begins after the other and runs to its first question, so each sees the flights before it.
            while len(running) < parallel and (simulation := begin()) is not None:
                _resume(running, simulation, None)
            if not running or stop():
                return
            # A simulation never mixes kinds in one turn, so its first query tells what it waits for.
            cheap = [waiting for waiting in running if not isinstance(waiting[1][0], Propose)]
            asking = cheap or running
            # The turn is flat; answers come in its order, so each simulation takes as many as it asked.
            answers = iter((yield [query for _, queries in asking for query in queries]))
            running = [waiting for waiting in running if isinstance(waiting[1][0], Propose)] if cheap else []
            for simulation, queries in asking:
                _resume(running, simulation, [next(answers) for _ in queries])
    finally:
        for simulation, _ in running:
            simulation.close()  # takes its path back out of flight


_Waiting: TypeAlias = tuple[Turns, Sequence[Query]]
"""A simulation and the queries that it waits for."""


def _resume(running: list[_Waiting], simulation: Turns, answers: list[Answer] | None) -> None:
    """Runs a simulation to its next queries and appends it to `running` unless it has ended."""
    try:
        queries = next(simulation) if answers is None else simulation.send(answers)
    except StopIteration:
        return
    running.append((simulation, queries))
