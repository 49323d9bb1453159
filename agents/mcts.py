"""MCTS with UCT: the search by which the paper synthesises its data (section 2, MCTS data synthesis).

PUCT: tree search with priors, as in AlphaZero; values from a process reward model or from rollouts.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from o1coder_gym.agents.search.expansion import Widening, all_at_once, expand, progressive
from o1coder_gym.agents.search.leaf_values import Evaluate, rollout
from o1coder_gym.agents.search.priors import Prior, by_logprob, no_prior
from o1coder_gym.agents.search.selection import Select, uct
from o1coder_gym.agents.search.selection import puct as select_by_puct
from o1coder_gym.agents.search.simulation import Rules, search
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.parameters import AtLeastOne, Count, NonNegative, Share
from o1coder_gym.queries import Search
from o1coder_gym.types import Problem, Sampling, State


def mcts(
    problem: Problem,
    root: State,
    *,
    simulations: Count = 32,
    width: AtLeastOne = 4,
    c: NonNegative = 1.4,
    parallel: AtLeastOne = 1,
    early_stop: bool = False,
    alpha_compile: Share = 0.0,
    select: Select | None = None,
    evaluate: Evaluate = rollout,
    widening: Widening = all_at_once,
    sampling: Sampling = Sampling(),
    tree: Tree | None = None,
) -> Search:
    """Searches by UCT: all siblings are kept, v = W / N, ends are counted once, dead ends are skipped.

    The paper prints neither c, width, depth nor the number of rollouts; the defaults here are ours.

    Args:
        problem: The question.
        root: Where to start.
        simulations: Simulations at most, ≥ 0.
        width: Samples per node, ≥ 1.
        c: Exploration constant of UCT, ≥ 0.
        parallel: W, simulations at the same time, ≥ 1.
        early_stop: Stop at the first program that passes all tests of the search.
        alpha_compile: α_c of the terminal value, in [0, 1].
        select: Replaces UCT; `c` is then not read.
        evaluate: Value of a leaf: `rollout` by the policy, `scored` by the step scorer, or `mixed`, both.
        widening: How many samples a node may have; the paper's draws all siblings in one call.
        sampling: How steps are drawn.
        tree: A tree to go on with, e.g. `Tree.subtree` of an earlier one; its settings stay.

    Returns:
        The end of highest value, ties by mean log-probability; with the tree.
    """
    tree = tree if tree is not None else Tree(root, width=width, alpha_compile=alpha_compile)
    rules = Rules(
        select=select if select is not None else partial(uct, c=c),
        widen=widening,
        expand=partial(expand, sampling=sampling, prior=no_prior),
        evaluate=evaluate,
    )
    with suppress(BudgetExhausted):
        yield from search(tree, rules, simulations=simulations, parallel=parallel, early_stop=early_stop)
    return tree.result()


def puct(
    problem: Problem,
    root: State,
    *,
    simulations: Count = 32,
    width: AtLeastOne = 8,
    c: NonNegative = 1.25,
    parallel: AtLeastOne = 1,
    early_stop: bool = False,
    alpha_compile: Share = 0.0,
    prior: Prior = by_logprob,
    select: Select | None = None,
    evaluate: Evaluate = rollout,
    widening: Widening = progressive,
    sampling: Sampling = Sampling(),
    tree: Tree | None = None,
) -> Search:
    """Searches by PUCT with progressive widening.

    Args:
        problem: The question.
        root: Where to start.
        simulations: Simulations at most, ≥ 0.
        width: Samples per node at most, ≥ 1.
        c: Exploration constant, ≥ 0.
        parallel: W, simulations at the same time, ≥ 1.
        early_stop: Stop at the first program that passes all tests of the search.
        alpha_compile: α_c of the terminal value, in [0, 1].
        prior: P(step | state): `by_logprob`, `by_count`, or `by_score` of the step scorer.
        select: Replaces the selection formula; `c` is then not read.
        evaluate: Value of a leaf: `rollout` by the policy, `scored` by the step scorer, or `mixed`, both.
        widening: How many samples a node may have at so many visits.
        sampling: How steps are drawn.
        tree: A tree to go on with, e.g. `Tree.subtree` of an earlier one; its settings stay.

    Returns:
        The end of highest value, ties by mean log-probability; with the tree.
    """
    tree = tree if tree is not None else Tree(root, width=width, alpha_compile=alpha_compile)
    rules = Rules(
        select=select if select is not None else partial(select_by_puct, c=c),
        widen=widening,
        expand=partial(expand, sampling=sampling, prior=prior),
        evaluate=evaluate,
    )
    with suppress(BudgetExhausted):
        yield from search(tree, rules, simulations=simulations, parallel=parallel, early_stop=early_stop)
    return tree.result()
