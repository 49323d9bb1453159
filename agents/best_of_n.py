"""Best of n: independent rollouts, one chosen; and the control that chooses at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from o1coder_gym.agents.search.rollouts import Rollout, follow
from o1coder_gym.errors import BudgetExhausted, UsageError
from o1coder_gym.rewards import standing
from o1coder_gym.runs.context import ALONE, SearchContext
from o1coder_gym.specs.parameters import AtLeastOne
from o1coder_gym.types import Problem, Sampling, SearchResult, State
from o1coder_gym.types.queries import Search, Turns

ROLLOUTS = 8
"""Rollouts where neither the user nor a budget says how many."""

Choice: TypeAlias = Callable[[Sequence[Rollout]], Rollout]
"""Chooses one of the rollouts that committed code, ≥ 1 of them."""


def best_of_n(
    problem: Problem,
    root: State,
    *,
    n: AtLeastOne | None = None,
    width: AtLeastOne = 1,
    early_stop: bool = False,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Samples n rollouts and returns the program that passes the most visible tests.

    Ties go to the higher mean log-probability per token.

    Args:
        problem: The question.
        root: Where to start.
        n: Rollouts, ≥ 1; by default as many as the budget pays for, 8 without one.
        width: Rollouts at the same time, ≥ 1. With 1 a budget that ends early cuts one rollout only; more is
            faster for a single problem.
        early_stop: End at the first program that passes all tests that the search may see.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The chosen program; its value is its pass ratio.
    """
    rollouts: list[Rollout] = []
    with suppress(BudgetExhausted):
        yield from _sample(rollouts, root, context.cap(n, ROLLOUTS), width, early_stop, sampling)
    return chosen(rollouts, by_tests)


def best_of_n_random(
    problem: Problem,
    root: State,
    *,
    n: AtLeastOne | None = None,
    width: AtLeastOne = 1,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    context: SearchContext = ALONE,
) -> Search:
    """Samples n rollouts as `best_of_n` does and chooses one at random: a control for the value of choosing.

    Args:
        problem: The question.
        root: Where to start.
        n: Rollouts, ≥ 1; by default as many as the budget pays for, 8 without one.
        width: Rollouts at the same time, ≥ 1.
        seed: Fixes the choice, together with the run's seed and the problem.
        sampling: How steps are drawn.
        context: Of the task.

    Returns:
        The chosen program; its value is its pass ratio, which did not enter the choice.
    """
    rollouts: list[Rollout] = []
    with suppress(BudgetExhausted):
        yield from _sample(rollouts, root, context.cap(n, ROLLOUTS), width, False, sampling)
    return chosen(rollouts, context.generator(seed).choice)


def by_tests(rollouts: Sequence[Rollout]) -> Rollout:
    """Returns the rollout of highest value, ties by log-probability; judge failures rank last.

    Without tests all programs that load tie.
    """
    return max(rollouts, key=lambda r: (standing(r.value, r.outcome), r.mean_logprob))


def chosen(rollouts: Sequence[Rollout], choice: Choice) -> SearchResult:
    """Returns the choice among the rollouts that committed code; an empty result if none did."""
    programs = [rollout for rollout in rollouts if rollout.program is not None]
    if not programs:
        return SearchResult(None)
    rollout = choice(programs)
    return SearchResult(rollout.program, rollout.value or 0.0)


def _sample(
    rollouts: list[Rollout], root: State, n: float, width: int, early_stop: bool, sampling: Sampling
) -> Turns:
    """Samples rollouts into `rollouts`, `width` at a time."""
    if min(n, width) < 1:
        raise UsageError(f"n and width must be at least 1, got {n} and {width}")
    while len(rollouts) < n:
        wave = [Rollout(root) for _ in range(int(min(width, n - len(rollouts))))]
        # Before the first yield: when the budget ends in the middle, the finished ones of this batch still
        # count.
        rollouts += wave
        yield from follow(wave, sampling)
        if early_stop and any(rollout.solved for rollout in wave):
            return
