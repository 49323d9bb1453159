"""Expansion: samples steps at a node, takes them in the model, and adds the new states.

Widening: the number of samples that a node may have, given its visits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TypeAlias

from o1coder_gym.agents.search.priors import Prior
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.types import Proposal, Sampling
from o1coder_gym.types.queries import Advance, Part, Propose, advance, propose

Expand: TypeAlias = Callable[[Tree, Node, int], Part[list[Node]]]
"""Draws n samples at a node; returns the new children, in order. A part of a search."""


def expand(tree: Tree, node: Node, n: int, *, sampling: Sampling, prior: Prior) -> Part[list[Node]]:
    """Draws `n` samples at `node` and sets the priors of its children.

    Args:
        tree: Gets the new nodes.
        node: A node that is not closed.
        n: Samples to draw, ≥ 1.
        sampling: How they are drawn.
        prior: Sets the priors of the node's children.

    Returns:
        The new children, in order; terminal ones are backed up and closed already.
    """
    # `pending` is what parallel simulations read to leave this node alone; it must fall again even if the
    # budget ends in the middle of the draw.
    node.pending += n
    try:
        fresh = yield from grow(tree, [node], n, sampling=sampling)
    finally:
        node.pending -= n
    # After the draw and for all siblings: a new child changes the shares of those that were there.
    yield from prior(node, fresh)
    return fresh


def grow(tree: Tree, nodes: Sequence[Node], n: int, *, sampling: Sampling) -> Part[list[Node]]:
    """Draws `n` samples at each node in one batch, merges equal ones, and adds the others as children.

    Returns:
        The new children of all nodes, in order; terminal ones are backed up and closed already.
    """
    drawn = yield from _draw(tree, nodes, n, sampling)
    return [child for child, fresh in drawn if fresh]


def reach(tree: Tree, nodes: Sequence[Node], n: int, *, sampling: Sampling) -> Part[list[Node]]:
    """Draws samples as `grow` does.

    Returns:
        The children that the samples led to, new or known, each once and in order.
    """
    drawn = yield from _draw(tree, nodes, n, sampling)
    return list(dict.fromkeys(child for child, _ in drawn))


def _draw(tree: Tree, nodes: Sequence[Node], n: int, sampling: Sampling) -> Part[list[tuple[Node, bool]]]:
    """Returns the children that the samples led to, and whether each is new."""
    for node in nodes:
        # Booked before the first yield: simulations that start meanwhile must see these samples as taken.
        node.asked += n
    drawn = [0] * len(nodes)
    try:
        proposals = yield from propose([Propose(node.state, n, sampling) for node in nodes])
        # One batch over all nodes and all their distinct actions; `place` brings each answer back to its
        # node.
        steps = [
            (place, node, *merged) for place, node in enumerate(nodes) for merged in _merge(proposals[place])
        ]
        if not steps:
            return []
        transitions = yield from advance([Advance(node.state, first.text) for _, node, first, _ in steps])
        reached: list[tuple[Node, bool]] = []
        for (place, node, proposal, count), transition in zip(steps, transitions, strict=True):
            if len(transition.state.steps) == len(node.state.steps):
                continue  # the budget could not pay for its execution
            drawn[place] += count
            if proposal.finish == "length" and not proposal.tokens:
                node.closed = True  # the prompt does not fit: no sample will ever be drawn here
            child = tree.add(node, proposal, transition, count)
            # `add` returns None for a step that is there already: another text may have parsed to an equal
            # step.
            known = child or tree.child(node, transition.state.steps[-1])
            if known is not None:
                reached.append((known, child is not None))
        return reached
    finally:
        for node, got in zip(nodes, drawn, strict=True):
            # What the budget did not pay for is not drawn: it must not use up the node's width.
            node.asked -= n - got


def _merge(proposals: Sequence[Proposal]) -> list[tuple[Proposal, int]]:
    """Returns the first of each distinct action and how often it was drawn."""
    if len(proposals) == 1:
        return [(proposals[0], 1)]
    # Equal texts take one step in the model and one judge call; the count keeps their frequency for priors.
    merged: dict[str, tuple[Proposal, int]] = {}
    for proposal in proposals:
        first, count = merged.get(proposal.text, (proposal, 0))
        merged[proposal.text] = first, count + 1
    return list(merged.values())


Widening: TypeAlias = Callable[[int, int], int]
"""Maps (visits of the node, its width) to the number of samples it may have now, ≥ 1."""


def all_at_once(visits: int, width: int) -> int:
    """Draws all siblings in one call, at the first expansion (the paper's)."""
    return width


def progressive(visits: int, width: int, *, k: float = 1.0, alpha: float = 0.5) -> int:
    """Allows ⌈k · N^α⌉ samples (progressive widening, Coulom 2007), from 1 to `width`."""
    # At N = 0 the formula gives 0; a node without a sample could never be visited and would stay at 0.
    return min(width, max(1, ceil(k * visits**alpha)))


def growing(visits: int, width: int, *, alpha: float = 0.75) -> int:
    """Allows `width` samples at first and ⌈N^α⌉ later, without an end.

    The root is then never settled: a step that the policy takes one time in fifty is still found, and by
    α < 1 most samples go below, where values show the way. Chosen by ``benchmarks/evidence/search.py``.
    """
    return max(width, ceil(visits**alpha))
