"""Tasks: one problem for one agent, its result, and the observer of its queries.

A feed: tasks that arrive while a driver runs, and may be cancelled.

A profile: where the time of a run went.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.runs.budget import UNKNOWN_SIZES, UNLIMITED, Budget, ModelSizes
from o1coder_gym.runs.context import SearchContext, begin
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.types import Problem, SearchResult, State, Usage
from o1coder_gym.types.protocols import Policy
from o1coder_gym.types.queries import Agent, Answer, Query, Search


@dataclass(frozen=True, slots=True)
class Task:
    """One problem for one agent.

    Attributes:
        task_id: A problem of the driver's model.
        agent: The search strategy.
        budget: Its limits on this problem.
        name: The agent's name, e.g. its spec; with `task_id` and `seed` unique in a run.
        seed: Replaces the driver's seed; None keeps it.
        policy: Proposes for this task alone; None is the driver's. Tasks that share one share its batches.
    """

    task_id: str
    agent: Agent
    budget: Budget = UNLIMITED
    name: str = "agent"
    seed: int | None = None
    policy: Policy | None = None

    @property
    def key(self) -> str:
        """Names the task in a journal."""
        return f"{self.name} {self.task_id}" + ("" if self.seed is None else f" seed={self.seed}")

    def check_price(self, sizes: ModelSizes) -> None:
        """Raises UsageError for a budget of FLOPs if the policy's size, and so their number, is unknown.

        Args:
            sizes: Of the driver's models; nobody knows that of a task's own policy.
        """
        try:
            (sizes if self.policy is None else UNKNOWN_SIZES).check(self.budget)
        except UsageError as error:
            raise UsageError(f"{self.key}: {error}") from error

    def begin(self, problem: Problem, root: State, seed: int = 0) -> Search:
        """Starts the search; equal problem, name and seed give an equal context.

        Args:
            problem: The problem that the task names.
            root: Where to start.
            seed: That of the run; the task's own comes first.
        """
        of_run = seed if self.seed is None else self.seed
        # By name and not by place in the run: adding another agent to a comparison leaves this one's draws as
        # they are.
        stream = derive_stream(of_run, "task", self.task_id, self.name)
        return begin(self.agent, problem, root, SearchContext(stream, self.budget != UNLIMITED))


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a task.

    Attributes:
        task: The task.
        result: The agent's result; its best so far if a request failed; None if it failed itself
            or did not answer to `BudgetExhausted`.
        usage: The cost. Answers from a cache or journal count as if they had been computed,
            so that equal budgets stay equal.
        exhausted: Whether the budget ended the search.
        error: The failure, else None; the journal keeps all answers that were paid for.
    """

    task: Task
    result: SearchResult | None
    usage: Usage
    exhausted: bool = False
    error: O1CoderError | None = None


Observer = Callable[[Task, Query, Answer, Usage], None]
"""Called with each answered query, in the agent's order and before the agent gets it; usage is the task's.

For a `Propose` it gets all samples that were paid for, also those that the budget cut (`Proposal.finish`) and
the agent does not get.
"""


class Feed:
    """Passes tasks to a running driver: `driver.stream(feed)`. Thread-safe.

    The driver ends when the feed is closed and all its tasks have finished.
    """

    def __init__(self) -> None:
        """Starts open and empty."""
        self._lock = threading.Lock()
        self._waiting: deque[Task] = deque()
        self._running: dict[str, Task] = {}
        self._cancelled: list[Task] = []
        self._open = True
        self._wake: Callable[[], None] = _nobody

    @property
    def open(self) -> bool:
        """Whether tasks may still be put."""
        return self._open

    @property
    def waiting(self) -> int:
        """Number of tasks that the driver has not started."""
        return len(self._waiting)

    def put(self, task: Task) -> None:
        """Queues a task; its key must differ from those of all unfinished tasks.

        Raises:
            UsageError: When the feed is closed.
        """
        with self._lock:
            if not self._open:
                raise UsageError(f"the feed is closed; it cannot take {task.key!r}")
            self._waiting.append(task)
        self._wake()

    def cancel(self, key: str) -> bool:
        """Cancels the task of this key: a waiting one is dropped, a running one ends with its best so far.

        An unknown key, or that of a finished task, changes nothing, also for later tasks of that key.

        Returns:
            Whether it was dropped, so that there will be no result.
        """
        with self._lock:
            kept = deque(task for task in self._waiting if task.key != key)
            dropped = len(kept) < len(self._waiting)
            self._waiting = kept
            if not dropped and key in self._running:
                # The task itself, not its key: it may finish and the key be used again before the driver
                # looks.
                self._cancelled.append(self._running[key])
        self._wake()
        return dropped

    def call_off(self, key: str) -> bool:
        """Cancels a task: the earlier name of `cancel`."""
        warnings.warn("Feed.call_off is called cancel now", DeprecationWarning, stacklevel=2)
        return self.cancel(key)

    def close(self) -> None:
        """Accepts no more tasks; those already queued are still run."""
        with self._lock:  # a task that `put` accepted is seen by the driver before it sees the end
            self._open = False
        self._wake()

    def attach(self, wake: Callable[[], None]) -> None:
        """Sets the function that wakes the driver after a change; for the driver."""
        self._wake = wake

    def take(self) -> Task | None:
        """Returns the next task, or None if none waits; for the driver."""
        with self._lock:
            task = self._waiting.popleft() if self._waiting else None
            # A key that is running already is refused by the driver; the running task must stay the one to
            # cancel.
            if task is not None and task.key not in self._running:
                self._running[task.key] = task
            return task

    def take_cancelled(self) -> list[Task]:
        """Returns the running tasks that were cancelled since the last call; for the driver."""
        # Read without the lock, for the driver's loop asks at every turn; one that is just being added is
        # seen at the next.
        if not self._cancelled:
            return []
        with self._lock:
            cancelled, self._cancelled = self._cancelled, []
            return cancelled

    def over(self, task: Task) -> None:
        """Marks a task as finished; for the driver."""
        with self._lock:
            if self._running.get(task.key) is task:
                del self._running[task.key]


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a run went, in seconds. Profiles can be added.

    The first three work at the same time as each other and as the driver, and a server's calls overlap, so
    that their sum may be more than the wall time.

    Attributes:
        wall: From the first task to the last result, without what the caller did between results.
        policy: In calls of the policy.
        model: In calls of the model, most of it the judge's.
        scorer: In calls of the step scorer.
        driver: In the driver and in agents.
        waiting: That the driver waited for one of the three.
        requests: Requests to the three.
    """

    wall: float = 0.0
    policy: float = 0.0
    model: float = 0.0
    scorer: float = 0.0
    driver: float = 0.0
    waiting: float = 0.0
    requests: int = 0

    def __add__(self, other: Profile) -> Profile:
        """Adds field by field."""
        theirs = asdict(other)
        return Profile(**{name: mine + theirs[name] for name, mine in asdict(self).items()})


def _nobody() -> None:
    """Stands for the driver until there is one."""
