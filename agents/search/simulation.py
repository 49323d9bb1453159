"""The simulation: select, expand, evaluate, backward; and many of them at the same time.

Everything that `mcts` and `puct` have in common. What differs comes in as functions (`Rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from o1coder_gym.agents.search.expansion import Expand, Widening
from o1coder_gym.agents.search.leaf_values import Evaluate
from o1coder_gym.agents.search.selection import Select
from o1coder_gym.agents.search.tree import Flight, Node, Tree
from o1coder_gym.errors import UsageError
from o1coder_gym.queries import Answer, Propose, Query, Turns

FRUITLESS_ROUNDS = 4
"""Rounds of samples at an exhausted root without anything new, after which a search gives up."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The strategies of a tree search.

    Attributes:
        select: Chooses a child on the way down.
        widen: How many samples a node may have.
        expand: Draws samples and adds children.
        evaluate: Finds the value of the leaf.
    """

    select: Select
    widen: Widening
    expand: Expand
    evaluate: Evaluate


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
    size, fruitless = 0, 0

    def solved() -> bool:
        return early_stop and tree.solution is not None

    def begin() -> Turns | None:
        nonlocal size, fruitless
        if solved() or tree.simulations >= last:
            return None
        if tree.root.closed:
            fruitless = fruitless + 1 if len(tree.nodes) == size else 0
            size = len(tree.nodes)
            if fruitless == FRUITLESS_ROUNDS:
                return None
            tree.reopen()
        flight = descend(tree, rules)
        if flight is None:
            return None
        tree.simulations += 1
        return simulate(tree, flight, rules)

    yield from concurrently(begin, parallel, solved)


def descend(tree: Tree, rules: Rules) -> Flight | None:
    """Selects from the root to a node that is new or may be sampled again.

    Returns:
        The flight there; None if every way is closed or waits for samples in flight.
    """
    node, width, select = tree.root, tree.width, rules.select
    path = [node]
    while not (node.asked < width and _wants_samples(node, rules.widen, width)):
        child = select(node)
        if child is None:
            return None
        path.append(child)
        node = child
        if not (node.visits or node.asked or node.unobserved):
            break
    return Flight(path)


def simulate(tree: Tree, flight: Flight, rules: Rules) -> Turns:
    """Expands the node where the flight is, unless it is new; evaluates a new one; and backs up."""
    node = flight.node
    try:
        others = node.unobserved - 1
        if node.asked or node.visits or others or node.parent is None:
            count = rules.widen(node.visits + others, tree.width) - node.asked
            fresh = yield from rules.expand(tree, node, max(1, count))
            open_nodes = [child for child in fresh if not child.closed]
            if not open_nodes:
                return
            flight.enter(max(open_nodes, key=lambda child: child.prior))  # the first of equals
        value = yield from rules.evaluate(tree, flight, rules.expand)
        if value is not None:
            tree.backward(flight.node, value)
    finally:
        flight.leave()


Begin: TypeAlias = Callable[[], Turns | None]
"""Starts a simulation; None if none can start now."""


def concurrently(begin: Begin, parallel: int, stop: Callable[[], bool]) -> Turns:
    """Keeps up to `parallel` simulations going, and asks for all of them at once.

    Steps and scores are asked for first: their answers are cheap, and the simulations that wait to
    propose then leave in one batch.
    """
    going: list[_Waiting] = []
    try:
        while True:
            while len(going) < parallel and (simulation := begin()) is not None:
                _go_on(going, simulation, None)
            if not going or stop():
                return
            cheap = [waiting for waiting in going if not isinstance(waiting[1][0], Propose)]
            asking = cheap or going
            answers = iter((yield [query for _, queries in asking for query in queries]))
            going = [waiting for waiting in going if isinstance(waiting[1][0], Propose)] if cheap else []
            for simulation, queries in asking:
                _go_on(going, simulation, [next(answers) for _ in queries])
    finally:
        for simulation, _ in going:
            simulation.close()


_Waiting: TypeAlias = tuple[Turns, Sequence[Query]]
"""A simulation and what it asks."""


def _go_on(going: list[_Waiting], simulation: Turns, answers: list[Answer] | None) -> None:
    """Lets a simulation run to its next question; it leaves `going` at its end."""
    try:
        queries = next(simulation) if answers is None else simulation.send(answers)
    except StopIteration:
        return
    going.append((simulation, queries))


def _wants_samples(node: Node, widen: Widening, width: int) -> bool:
    """Whether a node that is not full may be sampled now: it is due, or has no other way on."""
    if node.asked < widen(node.visits + node.unobserved, width):
        return True
    return not node.pending and all(child.closed for child in node.children)
