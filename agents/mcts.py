"""Monte Carlo tree search: UCT, by which the paper synthesises its data, and PUCT, as in AlphaZero.

An algorithm is an assembly of strategies (`Rules`): how a child is selected, a node widened and expanded, a
leaf evaluated. One simulation is in `search/simulation.py`, many of them are in `search/scheduler.py`, the
formulas are in `search/selection.py`. The arguments, alike in both, are described in `search/arguments.py`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from o1coder_gym.agents.search.arguments import (
    SIMULATIONS,
    AlphaCompile,
    ChildSelection,
    EarlierTree,
    EarlyStop,
    Exploration,
    LeafValue,
    NodePrior,
    NodeWidening,
    Parallel,
    Simulations,
    StepSampling,
    Width,
)
from o1coder_gym.agents.search.expansion import Widening, all_at_once, expand, growing, progressive
from o1coder_gym.agents.search.leaf_values import rollout
from o1coder_gym.agents.search.priors import by_logprob, no_prior
from o1coder_gym.agents.search.scheduler import search
from o1coder_gym.agents.search.selection import puct as puct_formula
from o1coder_gym.agents.search.selection import uct as uct_formula
from o1coder_gym.agents.search.simulation import Rules
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.types import Problem, Sampling, State
from o1coder_gym.types.queries import Search

WIDENING_C = 0.3
"""Exploration constant of UCT on the path to a node that is sampled beyond its width."""


def mcts(
    problem: Problem,
    root: State,
    *,
    simulations: Simulations = None,
    width: Width = None,
    c: Exploration = 1.4,
    parallel: Parallel = 1,
    early_stop: EarlyStop = False,
    alpha_compile: AlphaCompile = 0.0,
    select: ChildSelection = None,
    evaluate: LeafValue = rollout,
    widening: NodeWidening = None,
    sampling: StepSampling = Sampling(),
    tree: EarlierTree = None,
    context: SearchContext = ALONE,
) -> Search:
    """Searches by UCT: all siblings are kept, v = W / N, ends are counted once, dead ends are skipped.

    The paper (MCTS data synthesis, Algorithm 1, step 2) draws a node's siblings at once, as here with a
    width, and prints neither c, width, depth nor the number of rollouts; the defaults are ours. What each
    argument means: `agents.search.arguments`.

    Returns:
        The end of highest value, ties by mean log-probability; with the tree.
    """
    samples, widen = _widening(width, widening, all_at_once, 4)
    rules = Rules(
        select=select or partial(uct_formula, c=c),
        select_to_widen=partial(uct_formula, c=WIDENING_C),
        widen=widen,
        expand=partial(expand, sampling=sampling, prior=no_prior),
        evaluate=evaluate,
    )
    tree = tree or Tree(root, width=samples, alpha_compile=alpha_compile)
    return (yield from _searched(tree, rules, context.cap(simulations, SIMULATIONS), parallel, early_stop))


def puct(
    problem: Problem,
    root: State,
    *,
    simulations: Simulations = None,
    width: Width = None,
    c: Exploration = 1.25,
    parallel: Parallel = 1,
    early_stop: EarlyStop = False,
    alpha_compile: AlphaCompile = 0.0,
    prior: NodePrior = by_logprob,
    select: ChildSelection = None,
    evaluate: LeafValue = rollout,
    widening: NodeWidening = None,
    sampling: StepSampling = Sampling(),
    tree: EarlierTree = None,
    context: SearchContext = ALONE,
) -> Search:
    """Searches by PUCT (AlphaZero, arXiv 1712.01815) with progressive widening.

    It is `mcts` with priors: which step is likely decides where to look first. What each argument means:
    `agents.search.arguments`.

    Returns:
        The end of highest value, ties by mean log-probability; with the tree.
    """
    samples, widen = _widening(width, widening, progressive, 8)
    rules = Rules(
        select=select or partial(puct_formula, c=c),
        select_to_widen=select or partial(puct_formula, c=c),
        widen=widen,
        expand=partial(expand, sampling=sampling, prior=prior),
        evaluate=evaluate,
    )
    tree = tree or Tree(root, width=samples, alpha_compile=alpha_compile)
    return (yield from _searched(tree, rules, context.cap(simulations, SIMULATIONS), parallel, early_stop))


def _widening(
    width: int | None, widening: Widening | None, bounded: Widening, usual: int
) -> tuple[int, Widening]:
    """Returns the width of a tree and its widening rule; fills in the one that the caller left out."""
    if widening is None:
        widening = growing if width is None else bounded
    if width is None:
        # `growing` never allows fewer than its width, so 1 leaves the number of samples to the visits alone.
        width = 1 if widening is growing else usual
    return width, widening


def _searched(tree: Tree, rules: Rules, simulations: float, parallel: int, early_stop: bool) -> Search:
    """Searches until the simulations or the budget end; returns the best program found by then."""
    with suppress(BudgetExhausted):
        yield from search(tree, rules, simulations=simulations, parallel=parallel, early_stop=early_stop)
    return tree.result()
