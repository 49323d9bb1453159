"""What the end of an episode is worth to a search: v in [0, 1], or nothing where the judge failed."""

from __future__ import annotations

import math

from o1coder_gym.rewards import terminal_value
from o1coder_gym.types import Outcome, Transition


def end_value(transition: Transition, alpha_compile: float = 0.0) -> float | None:
    """Returns v^m of a finished episode (paper, MCTS data synthesis), whatever the model's reward mode.

    Args:
        transition: The last one of an episode.
        alpha_compile: α_c in [0, 1].

    Returns:
        The terminal value of the committed program on the model's tests; 0 for an episode that ended
        without code; None where there is no verdict to be had (the judge failed, there are no tests, or
        the budget could not pay for it), which must be masked and never counted as 0.
    """
    if transition.verdict is not None:
        value = terminal_value(transition.verdict, alpha_compile)
        return None if math.isnan(value) else value
    return None if math.isnan(transition.reward) else 0.0


def standing(value: float | None, outcome: Outcome | None) -> float:
    """Ranks the ends of one problem for its answer, highest first.

    Without tests every program that loads stands alike and above those that do not, so that the next merit
    decides among them; one on which the judge failed comes last.
    """
    if outcome is Outcome.NO_TESTS:
        return 1.0
    return -1.0 if value is None else value


def passes(transition: Transition) -> bool:
    """Whether the episode ended with a program that passes at least one test, and all of them."""
    verdict = transition.verdict
    return verdict is not None and verdict.total > 0 and verdict.passed == verdict.total
