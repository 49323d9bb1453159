"""Beam search over reasoning steps.

Diverse beam: beams in separate subtrees, as in DVTS (diverse verifier tree search).

Both restart when all paths have ended, while a budget lasts; all beams share one tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from o1coder_gym.agents.search.expansion import reach
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.errors import BudgetExhausted, UsageError
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.specs.parameters import AtLeastOne, Share
from o1coder_gym.types import Problem, Sampling, State
from o1coder_gym.types.queries import Part, Search, score

Rank: TypeAlias = Callable[[Sequence[Node]], Part[list[float]]]
"""Ranks unfinished nodes: one number each, higher is better. May ask for scores."""


def by_likelihood(nodes: Sequence[Node]) -> Part[list[float]]:
    """Ranks by the mean log-probability per token of the whole path."""
    return [node.mean_logprob() for node in nodes]
    yield  # makes this a generator


def by_scorer(nodes: Sequence[Node]) -> Part[list[float]]:
    """Ranks by the step scorer's value of the last step."""
    unscored = [node for node in nodes if node.score is None]
    if unscored:
        scores = yield from score([node.state for node in unscored])
        for node, value in zip(unscored, scores, strict=True):
            node.score = value
    return [node.score or 0.0 for node in nodes]


def beam(
    problem: Problem,
    root: State,
    *,
    width: AtLeastOne = 2,
    branch: AtLeastOne = 2,
    beams: AtLeastOne | None = None,
    alpha_compile: Share = 0.0,
    rank: Rank = by_likelihood,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Keeps the `width` best unfinished paths at each depth; ends are kept aside.

    Args:
        problem: The question.
        root: Where to start.
        width: Paths kept, ≥ 1.
        branch: Samples per path and depth, ≥ 1.
        beams: Beams, one after the other, ≥ 1; by default as many as the budget pays for, or one.
        alpha_compile: α_c of the terminal value, in [0, 1].
        rank: How paths are ranked: `by_likelihood`, or `by_scorer` (PRM).
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The end of highest value on the model's tests, ties by mean log-probability; with the tree.
    """
    if branch < 1:
        raise UsageError(f"branch must be at least 1, got {branch}")
    tree = Tree(root, width=branch * width, alpha_compile=alpha_compile)
    with suppress(BudgetExhausted):
        for _ in context.rounds(beams, 1):
            # The root alone must fill a beam: `width` paths with `branch` samples each, as at every later
            # depth.
            found = yield from reach(tree, [tree.root], branch * width, sampling=sampling)
            while kept := (yield from best(found, width, rank)):
                found = yield from reach(tree, kept, branch, sampling=sampling)
    return tree.result()


def best(nodes: Sequence[Node], width: int, rank: Rank) -> Part[list[Node]]:
    """Returns the `width` unfinished nodes of highest rank, in order of creation; ties go to the older."""
    nodes = [node for node in nodes if not node.ended]
    if len(nodes) <= width:
        return list(nodes)
    # Asked for only where something has to go: a step scorer costs budget.
    ranks = yield from rank(nodes)
    # The index breaks ties, so results do not depend on how a sort treats equals.
    order = sorted(range(len(nodes)), key=lambda i: (-ranks[i], i))[:width]
    return [nodes[i] for i in sorted(order)]


def diverse_beam(
    problem: Problem,
    root: State,
    *,
    groups: AtLeastOne = 2,
    width: AtLeastOne = 1,
    branch: AtLeastOne = 2,
    beams: AtLeastOne | None = None,
    alpha_compile: Share = 0.0,
    rank: Rank = by_likelihood,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Searches by beams in `groups` subtrees apart, as DVTS does (Beeching et al. 2024).

    A group starts at a first step of its own, so that one promising first step cannot crowd out the
    others; all groups move on in the same batch.

    Args:
        problem: The question.
        root: Where to start.
        groups: Subtrees, ≥ 1.
        width: Paths kept per group, ≥ 1.
        branch: Samples per path and depth, ≥ 1.
        beams: Beams, one after the other, ≥ 1; by default as many as the budget pays for, or one.
        alpha_compile: α_c of the terminal value, in [0, 1].
        rank: How paths are ranked: `by_likelihood`, or `by_scorer` (PRM).
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The end of highest value on the model's tests, ties by mean log-probability; with the tree.
    """
    if min(groups, branch) < 1:
        raise UsageError(f"groups and branch must be at least 1, got {groups} and {branch}")
    tree = Tree(root, width=branch * width * groups, alpha_compile=alpha_compile)
    with suppress(BudgetExhausted):
        for _ in context.rounds(beams, 1):
            first = yield from reach(tree, [tree.root], branch * groups, sampling=sampling)
            kept = yield from best(first, groups, rank)
            while kept:
                found = yield from reach(tree, kept, branch, sampling=sampling)
                kept = yield from _best_of_each(found, width, rank)
    return tree.result()


def _best_of_each(nodes: Sequence[Node], width: int, rank: Rank) -> Part[list[Node]]:
    """Returns the `width` nodes of highest rank in each group, a group being all paths of one first step."""
    groups: dict[Node, list[Node]] = {}
    for node in nodes:
        groups.setdefault(_first_step(node), []).append(node)
    kept: list[Node] = []
    for group in groups.values():
        kept += yield from best(group, width, rank)
    return kept


def _first_step(node: Node) -> Node:
    """Returns the child of the root that a node lies under."""
    path = list(node.path())
    # `path` runs from the node to the root, so the last but one is the first step.
    return path[-2]
