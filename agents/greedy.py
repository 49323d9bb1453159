"""Greedy: follow the policy's most likely step until it commits code."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from o1coder_gym.agents.search.rollouts import Rollout, follow
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.parameters import AtLeastOne
from o1coder_gym.queries import Search
from o1coder_gym.types import GREEDY, Problem, SearchResult, State


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
