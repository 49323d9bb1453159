"""Leaf values: what a simulation finds out about the node that it came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from o1coder_gym.agents.asking import Part, score
from o1coder_gym.agents.flight import Flight
from o1coder_gym.agents.search.expansion import Expand
from o1coder_gym.agents.search.tree import Node, Tree

Evaluate: TypeAlias = Callable[[Tree, Flight, Expand], Part[float | None]]
"""Evaluates the node where a flight is. Returns its value in [0, 1], or None if there is nothing to add:
ends are counted when they are found."""


def rollout(tree: Tree, flight: Flight, expand: Expand) -> Part[float | None]:
    """Follows the policy, one sample a step, until the episode ends; keeps every step in the tree."""
    while True:
        node = flight.node
        asked = node.asked
        fresh = yield from expand(tree, node, 1)
        if not fresh:
            return _known(node) if node.asked > asked else None  # without a sample nothing has happened
        if fresh[0].ended:
            return None
        flight.enter(fresh[0])


def scored(tree: Tree, flight: Flight, expand: Expand) -> Part[float | None]:
    """Asks the step scorer for the value of the state, unless it is known."""
    node = flight.node
    if node.score is None:
        (node.score,) = yield from score([node.state])
    return node.score


def mixed(tree: Tree, flight: Flight, expand: Expand, *, estimate: Evaluate = scored) -> Part[float | None]:
    """Counts the step scorer's value, then follows the policy from the same node and counts the end too.

    Both weigh the same: AlphaGo's leaf value with λ = ½ (Silver et al. 2016, doi 10.1038/nature16961).
    """
    value = yield from estimate(tree, flight, expand)
    if value is not None:
        tree.backward(flight.node, value)
    return (yield from rollout(tree, flight, expand))


def _known(node: Node) -> float | None:
    """What is known of a node whose last sample brought nothing new: its mean, if it has one."""
    return node.mean if node.visits else None
