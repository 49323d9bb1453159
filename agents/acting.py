"""The search of an acting agent: one chain of steps, each the agent's action in its state."""

from __future__ import annotations

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.types import Problem, Sampling, State
from o1coder_gym.types.protocols import LONGEST_ACTION
from o1coder_gym.types.queries import Search

SAMPLING = Sampling(max_tokens=LONGEST_ACTION)
"""What is asked of an acting agent, which samples as it likes."""


def acting(problem: Problem, root: State, *, agent: str) -> Search:
    """Plays one episode with an acting agent and returns the program that it commits.

    The task's policy, or the driver's, has to be the agent itself (`envs.acting.ActingPolicy`), as in all
    commands that take an agent.

    Args:
        problem: The question.
        root: Where to start.
        agent: ``package.module:Class`` or ``FILE.py:Class``: what makes the acting agent.

    Returns:
        The program; its value is its pass ratio.
    """
    return (yield from best_of_n(problem, root, n=1, sampling=SAMPLING))
