"""Greedy, ε-greedy and random steps: the baselines that look one step ahead."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random

from o1coder_gym.agents.beam import Rank, beam, by_likelihood
from o1coder_gym.agents.search.rollouts import Rollout, follow
from o1coder_gym.agents.search.tree import Node
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.specs.parameters import AtLeastOne, Share
from o1coder_gym.types import GREEDY, Problem, Sampling, SearchResult, State
from o1coder_gym.types.queries import Part, Search


def greedy(problem: Problem, root: State, *, max_tokens: AtLeastOne = GREEDY.max_tokens) -> Search:
    """Follows the policy at temperature 0 until the episode ends.

    Args:
        problem: The question.
        root: Where to start.
        max_tokens: Upper bound of generated tokens per step, ≥ 1.

    Returns:
        The program, if one was committed; its value is its pass ratio on the tests of the model.
    """
    rollout = Rollout(root)
    with suppress(BudgetExhausted):
        yield from follow([rollout], replace(GREEDY, max_tokens=max_tokens))
    return SearchResult(rollout.program, rollout.value or 0.0)


def random_steps(
    problem: Problem,
    root: State,
    *,
    branch: AtLeastOne = 4,
    episodes: AtLeastOne | None = None,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Takes one of `branch` sampled steps at random, whatever its likelihood or score.

    Equal samples are one step, so that this is not the policy itself: that is `best_of_n`.

    Args:
        problem: The question.
        root: Where to start.
        branch: Samples per step, ≥ 1.
        episodes: Chains, one after the other, ≥ 1; by default as many as a budget pays for, one without it.
        seed: Fixes the choices, together with the run's seed and the problem.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The program of highest value on the model's tests that was found on the way; with the tree.
    """
    rank = partial(_by_chance, dice=context.generator(seed))
    return (
        yield from beam(
            problem,
            root,
            width=1,
            branch=branch,
            beams=episodes,
            rank=rank,
            sampling=sampling,
            context=context,
        )
    )


def epsilon_greedy(
    problem: Problem,
    root: State,
    *,
    epsilon: Share = 0.1,
    branch: AtLeastOne = 4,
    episodes: AtLeastOne | None = None,
    rank: Rank = by_likelihood,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Takes the best of `branch` sampled steps, and with probability ε a random one.

    Sutton and Barto, section 2.2, with the rank in the place of the value: ε = 1 is `random_steps`, ε = 0
    looks one step ahead.

    Args:
        problem: The question.
        root: Where to start.
        epsilon: ε, the chance of a random step, in [0, 1].
        branch: Samples per step, ≥ 1.
        episodes: Chains, one after the other, ≥ 1; by default as many as a budget pays for, one without it.
        rank: How steps are ranked: `by_likelihood`, or `by_scorer` (PRM).
        seed: Fixes the choices, together with the run's seed and the problem.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The program of highest value on the model's tests that was found on the way; with the tree.
    """
    mixed = partial(_mixed, rank=rank, epsilon=epsilon, dice=context.generator(seed))
    return (
        yield from beam(
            problem,
            root,
            width=1,
            branch=branch,
            beams=episodes,
            rank=mixed,
            sampling=sampling,
            context=context,
        )
    )


def _by_chance(nodes: Sequence[Node], *, dice: Random) -> Part[list[float]]:
    return [dice.random() for _ in nodes]
    yield  # makes this a generator


def _mixed(nodes: Sequence[Node], *, rank: Rank, epsilon: float, dice: Random) -> Part[list[float]]:
    # Drawn once a depth, before any ranking: with ε = 1 no scorer is ever asked.
    by_chance = dice.random() < epsilon
    return (yield from (_by_chance(nodes, dice=dice) if by_chance else rank(nodes)))
