"""Many simulations of one tree: how many, when to stop, and which of them run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from o1coder_gym.agents.search.simulation import Rules, simulate
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.errors import UsageError
from o1coder_gym.queries import Answer, Propose, Query, Turns

FRUITLESS_ROUNDS = 4
"""Rounds of samples at an exhausted root without anything new, after which a search gives up."""


def search(
    tree: Tree, rules: Rules, *, simulations: int, parallel: int = 1, early_stop: bool = True
) -> Turns:
    """Runs simulations until there are enough, nothing is left to try, or (`early_stop`) one solves it.

    A root whose subtree is exhausted is sampled for another round, until `FRUITLESS_ROUNDS` of them in a
    row have brought nothing new.

    Args:
        tree: Grows; its earlier simulations do not count.
        rules: The strategies.
        simulations: Simulations to begin, ≥ 0.
        parallel: W, simulations at the same time.
        early_stop: Stop at the first program that passes all tests of the search.
    """
    if parallel < 1:
        raise UsageError(f"parallel must be at least 1, got {parallel}")
    last = tree.simulations + simulations
    rounds = _Rounds()

    def solved() -> bool:
        return early_stop and tree.solution is not None

    def begin() -> Turns | None:
        if solved() or tree.simulations >= last or not rounds.open(tree):
            return None
        return simulate(tree, rules)

    yield from concurrently(begin, parallel, solved)


@dataclass(slots=True)
class _Rounds:
    """Rounds of samples at the root of an exhausted tree. Mutable.

    Attributes:
        size: Nodes of the tree when the last round began.
        fruitless: Rounds in a row that have added none.
    """

    size: int = 0
    fruitless: int = 0

    def open(self, tree: Tree) -> bool:
        """Opens an exhausted root for another round; false if that has been fruitless too often."""
        if not tree.root.closed:
            return True
        # Samples differ from round to round, so an exhausted tree may still grow: by steps not drawn before.
        self.fruitless = self.fruitless + 1 if len(tree.nodes) == self.size else 0
        self.size = len(tree.nodes)
        if self.fruitless == FRUITLESS_ROUNDS:
            return False
        tree.reopen()
        return True


Begin: TypeAlias = Callable[[], Turns | None]
"""Starts a simulation; None if none can start now."""


def concurrently(begin: Begin, parallel: int, stop: Callable[[], bool]) -> Turns:
    """Keeps up to `parallel` simulations running, and asks for all of them at once.

    Steps and scores are asked for first: their answers are cheap, and the simulations that wait to
    propose then leave in one batch.
    """
    running: list[_Waiting] = []
    try:
        while True:
            # One begins after the other and runs to its first question, so each sees the flights before it.
            while len(running) < parallel and (simulation := begin()) is not None:
                _resume(running, simulation, None)
            if not running or stop():
                return
            cheap = [waiting for waiting in running if not isinstance(waiting[1][0], Propose)]
            asking = cheap or running
            answers = iter((yield [query for _, queries in asking for query in queries]))
            running = [waiting for waiting in running if isinstance(waiting[1][0], Propose)] if cheap else []
            for simulation, queries in asking:
                _resume(running, simulation, [next(answers) for _ in queries])
    finally:
        for simulation, _ in running:
            simulation.close()  # takes its path back out of flight


_Waiting: TypeAlias = tuple[Turns, Sequence[Query]]
"""A simulation and what it asks."""


def _resume(running: list[_Waiting], simulation: Turns, answers: list[Answer] | None) -> None:
    """Lets a simulation run to its next question; it leaves `running` at its end."""
    try:
        queries = next(simulation) if answers is None else simulation.send(answers)
    except StopIteration:
        return
    running.append((simulation, queries))
