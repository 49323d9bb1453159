"""Tasks: one problem for one agent, what became of it, and who is told on the way.

A feed: tasks that arrive while a driver runs, and may be called off again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from o1coder_gym.errors import O1CoderError, UsageError
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


class Feed:
    """Hands tasks to a running driver: `driver.stream(feed)`. May be used by any number of threads.

    The driver ends once the feed is closed and all its tasks are over.
    """

    def __init__(self) -> None:
        """Starts open and empty."""
        self._lock = threading.Lock()
        self._waiting: deque[Task] = deque()
        self._called_off: set[str] = set()
        self._open = True
        self._wake: Callable[[], None] = _nobody

    @property
    def open(self) -> bool:
        """Whether tasks may still be put."""
        return self._open

    @property
    def waiting(self) -> int:
        """Number of tasks that the driver has not begun."""
        return len(self._waiting)

    def put(self, task: Task) -> None:
        """Gives the driver a task; its key must differ from those of all tasks that are not over.

        Raises:
            UsageError: When the feed is closed.
        """
        with self._lock:
            if not self._open:
                raise UsageError(f"the feed is closed; it takes no {task.key!r}")
            self._waiting.append(task)
        self._wake()

    def call_off(self, key: str) -> bool:
        """Ends the task of this key: one that waits is dropped, one that runs ends with its best so far.

        Returns:
            Whether it was dropped, so that no result comes.
        """
        with self._lock:
            kept = deque(task for task in self._waiting if task.key != key)
            dropped = len(kept) < len(self._waiting)
            self._waiting = kept
            if not dropped:
                self._called_off.add(key)
        self._wake()
        return dropped

    def close(self) -> None:
        """Takes no more tasks; those that it has are still done."""
        self._open = False
        self._wake()

    def attach(self, wake: Callable[[], None]) -> None:
        """Says whom to wake when something changed; for the driver."""
        self._wake = wake

    def take(self) -> Task | None:
        """Returns the next task, or None if none waits; for the driver."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def take_called_off(self) -> set[str]:
        """Returns the keys that were called off since the last time; for the driver."""
        with self._lock:
            called_off, self._called_off = self._called_off, set()
            return called_off


def _nobody() -> None:
    """Stands for the driver until there is one."""
