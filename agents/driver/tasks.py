"""Tasks: one problem for one agent, what became of it, and who is told on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from o1coder_gym.errors import O1CoderError
from o1coder_gym.queries import Agent, Answer, Query
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.types import SearchResult, Usage


@dataclass(frozen=True, slots=True)
class Task:
    """One problem for one agent.

    Attributes:
        task_id: A problem of the driver's model.
        agent: The search strategy.
        budget: Its limits on this problem.
        name: The agent's name, e.g. its spec; with `task_id` and `seed` unique in a run.
        seed: Replaces the driver's seed; None keeps it.
    """

    task_id: str
    agent: Agent
    budget: Budget = UNLIMITED
    name: str = "agent"
    seed: int | None = None

    @property
    def key(self) -> str:
        """Names the task in a journal."""
        return f"{self.name} {self.task_id}" + ("" if self.seed is None else f" seed={self.seed}")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of a task.

    Attributes:
        task: The task.
        result: What the agent returned; its best so far if a request failed; None if it failed itself
            or did not answer to `BudgetExhausted`.
        usage: What was spent. Answers from a cache or journal count as if they had been computed,
            so that equal budgets stay equal.
        exhausted: Whether the budget ended the search.
        error: What went wrong, None if nothing did; the journal keeps all that was paid for.
    """

    task: Task
    result: SearchResult | None
    usage: Usage
    exhausted: bool = False
    error: O1CoderError | None = None


Observer = Callable[[Task, Query, Answer, Usage], None]
"""Told of each answered query, in the agent's order, before the agent is; usage is the task's.

Of a `Propose` it is told all samples that were paid for: those that the budget cut (`Proposal.finish`), which
the agent does not get, too.
"""
