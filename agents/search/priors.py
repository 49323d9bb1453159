"""Priors: P(step | state) of the siblings at a node, from counts, log-probabilities or scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from typing import TypeAlias

from o1coder_gym.agents.search.tree import Node
from o1coder_gym.types.queries import Turns, score

Prior: TypeAlias = Callable[[Node, Sequence[Node]], Turns]
"""Sets the priors of a node's children, given those that are new. May ask for scores."""


def no_prior(node: Node, fresh: Sequence[Node]) -> Turns:
    """Leaves all priors at 0, for selection that does not read them."""
    return
    yield  # makes this a generator


def by_count(node: Node, fresh: Sequence[Node]) -> Turns:
    """Gives each step its share of the samples: the policy's own frequencies."""
    _normalise(node, [float(child.count) for child in node.children])
    return
    yield  # makes this a generator


def by_logprob(node: Node, fresh: Sequence[Node], *, temperature: float = 1.0) -> Turns:
    """Gives each step the softmax of its mean log-probability per token, times its count.

    The mean is taken because the sum favours short steps. Without log-probabilities: the counts.
    """
    weights: list[float] = []
    for child in node.children:
        if child.logprob is None:
            yield from by_count(node, fresh)
            return
        # exp of the mean is the geometric mean of the token probabilities, which does not depend on length.
        weights.append(child.count * exp(child.logprob / max(child.kept, 1) / temperature))
    _normalise(node, weights)


def by_score(node: Node, fresh: Sequence[Node], *, temperature: float = 0.25) -> Turns:
    """Gives each step the softmax of its score; asks the step scorer for the new ones, ends left out."""
    # Only new children are asked for: the old ones have their score from the expansion that made them.
    unscored = [child for child in fresh if not child.ended]
    if unscored:
        scores = yield from score([child.state for child in unscored])
        for child, value in zip(unscored, scores, strict=True):
            child.score = value
    # Terminal steps have an exact value; the scorer is never asked about them.
    known = [child.value if child.score is None else child.score for child in node.children]
    _normalise(node, [exp((value or 0.0) / temperature) for value in known])


def _normalise(node: Node, weights: Sequence[float]) -> None:
    # Over all children, not the new ones alone: priors stay a distribution as the node widens.
    total = sum(weights) or 1.0
    for child, weight in zip(node.children, weights, strict=True):
        child.prior = weight / total
