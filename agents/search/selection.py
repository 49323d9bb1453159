"""Selection: which child a simulation goes to. Pure functions of the statistics of one node.

N visits, W summed value, O unobserved simulations, P prior. Closed children are never chosen. A child
that was never tried has the mean of its parent (first-play value) as its Q.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, sqrt
from typing import TypeAlias

from o1coder_gym.agents.search.tree import Node

Select: TypeAlias = Callable[[Node], Node | None]
"""Chooses a child; None if there is none yet or all are closed."""


def uct(node: Node, *, c: float = 1.4) -> Node | None:
    """Chooses by UCT (Kocsis & Szepesvári 2006) with WU-UCT's counts (arXiv 1810.11755, equation 4).

    W_i / N_i + c √(2 ln(N + O) / (N_i + O_i)) / √2; with nothing in flight it is plain UCT with
    constant c. Untried children go first, in order.
    """
    # c is the constant of UCT in the usual form c √(ln N / N_i): the √2 of the paper and its inverse cancel.
    # At least ln 1: at the first simulation of a fresh tree nothing is counted yet.
    scale = c * sqrt(log(max(node.visits + node.unobserved, 1)))
    # First-play value: a child that is in flight but not yet evaluated has no mean, and 0 would call it a
    # failure.
    first_play = node.total / node.visits if node.visits else 0.0
    best, best_score = None, -inf
    for child in node.children:
        if child.closed:
            continue
        visits = child.visits
        tried = visits + child.unobserved
        if tried == 0:
            return child
        # Unobserved simulations shrink the exploration term only: the mean stays that of the values seen
        # (WU-UCT).
        score = (child.total / visits if visits else first_play) + scale / sqrt(tried)
        if score > best_score:
            best, best_score = child, score
    return best


def uct_virtual_loss(node: Node, *, c: float = 1.4, loss: float = 1.0) -> Node | None:
    """Chooses by UCT with plain virtual loss: each simulation in flight counts as `loss` lost visits."""
    # The losses count as visits of the parent too, or the exploration term would not see them.
    scale = c * sqrt(log(max(node.visits + loss * node.unobserved, 1)))
    best, best_score = None, -inf
    for child in node.children:
        if child.closed:
            continue
        tried = child.visits + loss * child.unobserved
        if tried == 0:
            return child
        # Here they enter the mean too, each as a value of 0: what makes virtual loss pessimistic.
        score = child.total / tried + scale / sqrt(tried)
        if score > best_score:
            best, best_score = child, score
    return best


def puct(node: Node, *, c: float = 1.25) -> Node | None:
    """Chooses by Q + c P √(N + O) / (1 + N_i + O_i) (AlphaZero), with WU-UCT's unobserved counts."""
    # Nothing is added under the root: at N = 0 all scores equal the first-play value and the first child
    # wins.
    scale = c * sqrt(node.visits + node.unobserved)
    first_play = node.total / node.visits if node.visits else 0.0
    best, best_score = None, -inf
    for child in node.children:
        if child.closed:
            continue
        visits = child.visits
        value = child.total / visits if visits else first_play
        score = value + scale * child.prior / (1 + visits + child.unobserved)
        if score > best_score:
            best, best_score = child, score
    return best
