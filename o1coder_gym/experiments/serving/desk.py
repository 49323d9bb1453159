"""The desk, a search service: queues orders of many clients, runs them on one driver, reports to each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from o1coder_gym.agents import Driver, Feed, Task, TaskResult
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import Cancelled, InfrastructureError, O1CoderError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.types import Problem, State, Transition, Usage
from o1coder_gym.types.protocols import Policy, StepScorer
from o1coder_gym.types.queries import Advance, Agent, Answer, Execute, Executed, Query

SHUT = "the server is shutting down"

End: TypeAlias = TaskResult | O1CoderError
"""The result of a search, or why the desk had to close."""

Event: TypeAlias = Transition | End
"""A step that was taken, or the end."""

Tell: TypeAlias = Callable[[Event], None]
"""Told of the events of an order, in the desk's thread; must return at once."""


class Full(O1CoderError):
    """Raised when the queue is full."""


@dataclass(frozen=True, slots=True)
class Order:
    """A search that a client waits for.

    Attributes:
        name: Unique among the orders that are not over.
        problem: The problem to solve.
        agent: How.
        budget: Its limits.
        seed: Fixes the draws.
        policy: Proposes for it; None is the desk's.
    """

    name: str
    problem: Problem
    agent: Agent
    budget: Budget
    seed: int
    policy: Policy | None = None

    @property
    def task(self) -> Task:
        """The task of the driver."""
        return Task(
            self.problem.task_id, self.agent, self.budget, self.name, seed=self.seed, policy=self.policy
        )


class Desk:
    """Runs orders until it is closed. `submit`, `cancel` and `close` may be called by any thread.

    Attributes:
        questions: The process over the problems of its orders.
    """

    def __init__(
        self,
        model: ReasoningModel,
        policy: Policy,
        scorer: StepScorer | None = None,
        *,
        live: int,
        waiting: int,
    ) -> None:
        """Opens the desk.

        Args:
            model: Its format, judge and limits are used; its problems are not.
            policy: Proposes steps.
            scorer: For agents that ask for scores.
            live: Searches at the same time, ≥ 1.
            waiting: Searches that may wait beside them, ≥ 0.
        """
        self.questions = Questions(model)
        self._feed = Feed()
        self._most = live + waiting
        self._lock = threading.Lock()
        self._orders: dict[str, Order] = {}
        self._tells: dict[str, Tell] = {}
        self._driver = Driver(self.questions, policy, scorer, observer=self._observe, live=live)
        self._thread = threading.Thread(target=self._work, name="o1coder-desk", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        """Number of unfinished orders."""
        return len(self._orders)

    def submit(self, orders: Sequence[Order], tells: Sequence[Tell]) -> None:
        """Queues orders, all or none.

        Raises:
            Full: When too many wait already.
            Cancelled: When the desk is closed.
        """
        with self._lock:
            if not self._feed.open:
                raise Cancelled(SHUT)
            if len(self._orders) + len(orders) > self._most:
                raise Full(f"{len(self._orders)} searches are running or waiting; at most {self._most} may")
            for order, tell in zip(orders, tells, strict=True):
                self._orders[order.task.key], self._tells[order.task.key] = order, tell
                self.questions.add(order.problem)
                self._feed.put(order.task)

    def cancel(self, orders: Sequence[Order]) -> None:
        """Cancels orders that no client waits for any more; finished ones stay as they are."""
        for order in orders:
            key = order.task.key
            with self._lock:
                waited_for = self._tells.pop(key, None) is not None
            if waited_for and self._feed.cancel(key):
                self._forget(key)

    def close(self, timeout_s: float = 10.0) -> None:
        """Refuses further orders, cancels running ones, and waits for the driver's thread."""
        self._feed.close()
        with self._lock:
            keys = list(self._orders)
        for key in keys:
            if self._feed.cancel(key):
                self._tell(key, Cancelled(SHUT))
        self._thread.join(timeout_s)

    def _work(self) -> None:
        failure: O1CoderError = InfrastructureError("the search failed; the server's log has the reason")
        try:
            for finished in self._driver.stream(self._feed):
                self._tell(finished.task.key, finished)
            failure = Cancelled(SHUT)
        except O1CoderError as error:
            failure = error
        finally:
            self._feed.close()
            with self._lock:
                keys = list(self._orders)
            for key in keys:
                self._tell(key, failure)

    def _observe(self, task: Task, query: Query, answer: Answer, usage: Usage) -> None:
        if isinstance(query, Advance) and isinstance(answer, Transition) and answer.state is not query.state:
            self._tells.get(task.key, _nobody)(answer)

    def _tell(self, key: str, event: Event) -> None:
        """Sends an order its result or error."""
        self._forget(key)(event)

    def _forget(self, key: str) -> Tell:
        with self._lock:
            order = self._orders.pop(key, None)
            tell = self._tells.pop(key, _nobody)
        if order is not None:
            self.questions.remove(order.problem)
        return tell


def answered(event: End) -> TaskResult:
    """Returns the result of a search.

    Raises:
        O1CoderError: Of a search that failed without a program.
    """
    if isinstance(event, O1CoderError):
        raise event
    if event.error is not None and (event.result is None or event.result.code is None):
        raise event.error
    return event


class Questions:
    """The decision process over the problems in progress (implements `protocols.Model`)."""

    def __init__(self, model: ReasoningModel) -> None:
        """Starts without problems, with the settings of a model."""
        self._model = model
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._uses: Counter[str] = Counter()

    def add(self, problem: Problem) -> None:
        """Adds a problem; counts one more use if it is known."""
        with self._lock:
            self._uses[problem.task_id] += 1
            if problem.task_id not in self._problems:
                self._problems[problem.task_id] = problem
                self._model = self._model.with_problems(self._problems.values())

    def remove(self, problem: Problem) -> None:
        """Removes a problem after its last use."""
        with self._lock:
            self._uses[problem.task_id] -= 1
            if self._uses[problem.task_id] == 0:
                del self._uses[problem.task_id], self._problems[problem.task_id]

    @property
    def format(self) -> StepFormat:
        """The step format."""
        return self._model.format

    def first_reward_terms(self) -> Mapping[str, float]:
        """Returns the reward terms before the first step."""
        return self._model.first_reward_terms()

    def problem(self, task_id: str, /) -> Problem:
        """Returns the problem of this name."""
        return self._model.problem(task_id)

    def initial(self, task_id: str, /) -> State:
        """Returns s_0 of a problem."""
        return self._model.initial(task_id)

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        """Takes one action in each state; the committed programs are judged in one batch."""
        return self._model.advance(pairs)

    def execute(self, runs: Sequence[Execute], /) -> list[Executed]:
        """Runs programs on inputs in one batch, for agents with an adversary."""
        return self._model.execute(runs)


def _nobody(event: Event) -> None:
    """Replaces the callbacks of a client that has left."""
