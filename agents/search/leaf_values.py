"""Leaf values: how a simulation evaluates the node that it selected.

Path scores: the step scores r^{1:m} of a chain of m steps, aggregated to one number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from o1coder_gym.agents.search.expansion import Expand
from o1coder_gym.agents.search.tree import Flight, Node, Tree
from o1coder_gym.types import ActionType, State
from o1coder_gym.types.queries import Part, score

Evaluate: TypeAlias = Callable[[Tree, Flight, Expand], Part[float | None]]
"""Evaluates the last node of a flight. Returns its value in [0, 1], or None if there is nothing to back up:
terminal nodes are backed up when they are found."""


def rollout(tree: Tree, flight: Flight, expand: Expand) -> Part[float | None]:
    """Follows the policy, one sample a step, until the episode ends; keeps every step in the tree."""
    while True:
        node = flight.node
        if node.asked >= tree.width:
            return None  # others drew here while this simulation waited for a score
        # If nothing fresh comes back although a sample was drawn, it was a duplicate: backed up at the known
        # mean.
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
    # A prior by score has asked already, and a second answer would cost scorer tokens again.
    if node.score is None:
        (node.score,) = yield from score([node.state])
    return node.score


def mixed(tree: Tree, flight: Flight, expand: Expand, *, estimate: Evaluate = scored) -> Part[float | None]:
    """Backs up the step scorer's value of the leaf, then rolls out from it and backs up the end's too.

    Both weigh the same: AlphaGo's leaf value with λ = ½ (Silver et al. 2016, doi 10.1038/nature16961).
    """
    # Two separate evaluations instead of (1 − λ)·v + λ·z: W / N averages them, and with equal weights that is
    # λ = ½.
    value = yield from estimate(tree, flight, expand)
    if value is not None:
        tree.backward(flight.node, value)
    return (yield from rollout(tree, flight, expand))


def _known(node: Node) -> float | None:
    """Returns the mean of a node whose last sample was a duplicate, None before its first visit."""
    return node.mean if node.visits else None


Aggregate: TypeAlias = Callable[[Sequence[float]], float]
"""Maps r^{1:m} in [0, 1], m ≥ 1, to one number in [0, 1]."""


def last(scores: Sequence[float]) -> float:
    """Returns the last score: a PRM trained on values W / N predicts the value of the whole prefix."""
    return scores[-1]


def product(scores: Sequence[float]) -> float:
    """Returns the probability that all steps are right if independent (Lightman et al., arXiv 2305.20050)."""
    return math.prod(scores)


def mean(scores: Sequence[float]) -> float:
    """Returns the mean, which does not penalise length as the product does."""
    return sum(scores) / len(scores)


AGGREGATES: Mapping[str, Aggregate] = MappingProxyType(
    {"last": last, "min": min, "product": product, "mean": mean}
)


def scored_path(tree: Tree, flight: Flight, expand: Expand, *, aggregate: Aggregate) -> Part[float | None]:
    """Evaluates a leaf by the aggregated scores of all steps on its path; an `Evaluate`."""
    (scores,) = yield from _scores_of_nodes([flight.node])
    return aggregate(scores)


def by_path_scores(nodes: Sequence[Node], *, aggregate: Aggregate) -> Part[list[float]]:
    """Ranks nodes by the scores of all steps on their paths; a `Rank`."""
    found = yield from _scores_of_nodes(nodes)
    return [aggregate(scores) for scores in found]


def scores_of_states(states: Sequence[State]) -> Part[list[list[float]]]:
    """Scores every step of some chains, asking for each prefix once; malformed steps have score 0."""
    # Prefixes of lengths 1 … m of each chain: r^j is the score of S^{1:j}, not of the step alone.
    prefixes = [
        [State(state.problem_id, state.steps[:j]) for j in range(1, state.depth + 1)] for state in states
    ]
    asked = [prefix for chain in prefixes for prefix in chain if _readable(prefix)]
    # Chains of one search share their first steps, so most prefixes come up more than once.
    asked = list(dict.fromkeys(asked))
    known: dict[State, float] = {}
    if asked:
        known = dict(zip(asked, (yield from score(asked)), strict=True))
    return [[known.get(prefix, 0.0) for prefix in chain] for chain in prefixes]


def _scores_of_nodes(nodes: Sequence[Node]) -> Part[list[list[float]]]:
    """Returns the scores of all steps on the path to each node; asks the scorer for missing ones."""
    paths = [[node for node in found.path() if node.parent is not None][::-1] for found in nodes]
    # By index: siblings share their ancestors, which one batch must score once.
    missing = {node.index: node for path in paths for node in path if node.score is None}
    readable = [node for node in missing.values() if _readable(node.state)]
    if readable:
        scores = yield from score([node.state for node in readable])
        for node, value in zip(readable, scores, strict=True):
            node.score = value
    return [[node.score or 0.0 for node in path] or [0.0] for path in paths]


def _readable(state: State) -> bool:
    return state.steps[-1].type is not ActionType.MALFORMED
