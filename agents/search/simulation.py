"""One simulation of Monte Carlo tree search: select → expand → evaluate → backup.

The verbs stand below in the order in which a simulation does them (Browne et al. 2012, section 3.1). What
differs from one algorithm to another comes in as functions (`Rules`); `scheduler` runs many simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.agents.search.expansion import Expand, Widening
from o1coder_gym.agents.search.leaf_values import Evaluate
from o1coder_gym.agents.search.selection import Select
from o1coder_gym.agents.search.tree import Flight, Node, Tree
from o1coder_gym.types.queries import Part, Turns


@dataclass(frozen=True, slots=True)
class Rules:
    """The strategies of a tree search.

    Attributes:
        select: Chooses a child on the way down.
        select_to_widen: Likewise, where a node can only be sampled beyond its width. It explores less,
            because the new samples explore already.
        widen: Number of samples that a node may have.
        expand: Draws samples and adds children.
        evaluate: Returns the value of the leaf.
    """

    select: Select
    select_to_widen: Select
    widen: Widening
    expand: Expand
    evaluate: Evaluate


def simulate(tree: Tree, rules: Rules) -> Turns | None:
    """Begins a simulation of MCTS: select → expand → evaluate → backup.

    Returns:
        A generator that runs the rest of it after selection; None if no node can be selected.
    """
    # Selection asks nobody, so it is done at once: the next simulation then sees this one in flight (WU-UCT).
    flight = select(tree, rules)
    if flight is None:
        return None
    tree.simulations += 1

    def rest() -> Turns:
        try:
            # A new node is evaluated as it is; an old one is expanded first and its most probable new child
            # evaluated.
            if is_leaf(flight) or (yield from expand(tree, flight, rules)):
                value = yield from rules.evaluate(tree, flight, rules.expand)
                backup(tree, flight, value)
        finally:
            flight.leave()  # also when the search is closed or the budget ends in the middle

    return rest()


def select(tree: Tree, rules: Rules) -> Flight | None:
    """Walks down by `rules.select` to a node that is new or may be sampled, or else to the one to widen.

    Returns:
        The flight to it; None if all nodes are closed or wait for samples in flight.
    """
    # The hottest loop of a search: attributes are kept in locals.
    node, width, select_child = tree.root, tree.width, rules.select
    path = [node]
    while not _wants_samples(node, rules.widen, width):
        child = select_child(node)
        if child is None:
            # Samples in flight here may open a way down; until they are back nothing is sampled beyond the
            # width.
            return None if node.pending or tree.root.closed else Flight(to_widen(tree, rules.select_to_widen))
        path.append(child)
        node = child
        if not (node.visits or node.asked or node.unobserved):
            break  # never tried
    return Flight(path)


def to_widen(tree: Tree, select_child: Select) -> list[Node]:
    """Returns the path to the node to sample beyond its width.

    It is the node with the fewest samples on the best path by `select_child`, the first of equals. So a good
    path is widened level by level, and each of its steps is tried as often as the others.
    """
    path = [tree.root]
    while (child := select_child(path[-1])) is not None:
        path.append(child)
    return path[: fewest_samples(path) + 1]


def fewest_samples(path: Sequence[Node]) -> int:
    """Returns the index of the node with the fewest samples on a path, the first of equals."""
    return min(range(len(path)), key=lambda place: path[place].asked)


def is_leaf(flight: Flight) -> bool:
    """Whether the selected node is new: then it is evaluated, and expanded by a later simulation."""
    node = flight.node
    if node.asked or node.visits or node.unobserved > 1:  # 1 is this simulation
        return False
    return node.parent is not None  # the root is the question: no step has led there to evaluate


def expand(tree: Tree, flight: Flight, rules: Rules) -> Part[bool]:
    """Adds children to the selected node and enters the most probable.

    Returns:
        Whether a new child was entered, a leaf to evaluate.
    """
    node = flight.node
    others = node.unobserved - 1  # simulations in flight through this node, this one left out
    # Visits that are on their way count as visits, or parallel simulations would all ask for the same sample.
    allowed = rules.widen(node.visits + others, tree.width)
    # A node may be selected beyond its allowance (`to_widen`): then one sample, so that the simulation
    # progresses.
    fresh = yield from rules.expand(tree, node, max(1, allowed - node.asked))
    leaves = [child for child in fresh if not child.closed]
    if not leaves:
        # Ends were backed up when they were attached. Beyond the width a step that was known counts as a
        # visit, so that selection comes to other paths too; within the width it is nothing new.
        if not fresh and node.asked > tree.width and node.visits:
            tree.backward(node, node.mean)
        return False
    flight.enter(max(leaves, key=lambda child: child.prior))  # the first of equals
    return True


def backup(tree: Tree, flight: Flight, value: float | None) -> None:
    """Adds the leaf's value to all nodes on the path: N += 1, W += v; v^j = W / N."""
    if value is not None:  # None: an end, counted when it was found, or nothing found out
        tree.backward(flight.node, value)


def _wants_samples(node: Node, widen: Widening, width: int) -> bool:
    """Whether a node may be sampled now: widening allows it, or all its children are closed."""
    if node.asked < widen(node.visits + node.unobserved, width):
        return node.asked < width or not node.pending  # beyond the width one after the other
    # All children may be closed before widening allows another: waiting would never end.
    return node.asked < width and not node.pending and all(child.closed for child in node.children)
