"""The driver: runs one agent or a thousand and merges their queries into batches.

    driver = Driver(model, policy, scorer, seed=0, journal=folder)
    results = driver.run([Task("starter/0", mcts, Budget(tokens=2048), name="mcts")])

`run` returns one `TaskResult` per task, in order; `stream` yields them as they finish. Behind it:

- Requests of all live agents leave as one policy batch (bounded by `batch_tokens`), one model batch
  (which judges) and one scorer batch; the three work at the same time, a thread each. For a policy
  that batches by itself (a server), `concurrency` requests are in flight one by one.
- Budgets are exact: see `budget.py`. An agent whose turn the budget cannot pay at all is thrown
  `BudgetExhausted`; of a turn that it pays in part, a `Propose` gets fewer proposals (perhaps none)
  and an `Advance` comes back masked (reward NaN, truncated, the state unchanged).
- The seed of a request derives from the run's seed, the state and the number of requests before it
  there, so that results of exact backends do not depend on batching.
- With a journal every answer is on disk before its agent sees it. A run that was killed is resumed by
  running the same tasks with the same folder: recorded answers are not computed again.
- A call that takes longer than `timeout_s` fails its own requests; others wait or go to another thread.
- A request that fails in a batch is tried alone, and ends its own task only: the agent is asked for its
  best so far by the same exception, and the task's result has the typed error too.
- A prompt that does not fit the context of the policy's model ends nothing: it is answered by empty samples
  of 0 tokens, as if the context had cut them at once. No step can be read in them: a dead end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from o1coder_gym.agents.driver.run import ANSWERS, Parts, Run, check
from o1coder_gym.agents.driver.tasks import Feed, Observer, Profile, Task, TaskResult
from o1coder_gym.runs.budget import UNKNOWN_SIZES, ModelSizes
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types.protocols import Model, Policy, StepScorer

__all__ = ["ANSWERS", "Driver", "Observer", "Task", "TaskResult"]


class Driver:
    """Runs agents against one model, one policy and one scorer. Reusable, one run at a time.

    Attributes:
        profile: Where the time of all runs so far went; updated at the end of each run.
    """

    def __init__(
        self,
        model: Model,
        policy: Policy,
        scorer: StepScorer | None = None,
        *,
        seed: int = 0,
        journal: RunFolder | None = None,
        observer: Observer | None = None,
        live: int = 256,
        batch_tokens: int | None = None,
        concurrency: int | None = None,
        timeout_s: float | None = None,
        sizes: ModelSizes = UNKNOWN_SIZES,
    ) -> None:
        """Sets the driver up; nothing runs yet.

        Args:
            model: Takes steps and judges code; called from one thread, or as often at a time as its attribute
                `parallel` says, then with one step a call.
            policy: Proposes steps; called from one thread, or from `concurrency` threads.
            scorer: Scores states; needed only by agents that ask for scores; called from one thread.
            seed: Seed of the run.
            journal: Where answers are recorded and looked up.
            observer: Called for each answered query, those answered from the journal included, in the
                thread that runs the driver.
            live: Agents in progress at the same time, ≥ 1.
            batch_tokens: Bound of a policy batch: Σ n · max_tokens over its requests. None takes the
                policy's attribute `batch_tokens`, or 32768 if it has none.
            concurrency: Policy requests in flight, one a call; 1 is one batch at a time. None takes
                the policy's attribute `parallel`, or 1 if it has none.
            timeout_s: Seconds after which a call of the policy, the model or the scorer counts as failed; the
                requests in it end their tasks, and a late answer is still recorded. None waits for ever.
            sizes: Weights of policy and scorer, of which FLOPs are computed.

        Raises:
            UsageError: When a number is out of range.
        """
        self._parts = Parts(
            model, policy, scorer, seed, journal, observer, live, batch_tokens, concurrency, timeout_s, sizes
        )
        self.profile = Profile()

    def run(self, tasks: Iterable[Task]) -> list[TaskResult]:
        """Runs all tasks; returns their results in the order of the tasks.

        Raises:
            UsageError: When two tasks have the same key, one names a problem that the model does not have, or
                has a budget of FLOPs that cannot be counted; nothing has run then.
            JournalError: When the journal cannot be written; what it has is safe.
        """
        tasks = list(tasks)
        results = {result.task.key: result for result in self.stream(tasks)}
        return [results[task.key] for task in tasks]

    def stream(self, tasks: Iterable[Task] | Feed) -> Iterator[TaskResult]:
        """Yields the result of each task as soon as the task has finished.

        Args:
            tasks: An iterable, consumed as agents finish, so it may be long; or a feed, whose tasks start
                on arrival. In a feed a key may be reused once its task has finished.

        Raises:
            UsageError, JournalError: As `run`. If `tasks` is not a sequence, it cannot be checked in advance:
                then an unknown problem ends its own task.
        """
        if isinstance(tasks, Sequence):
            check(tasks, self._parts.model, self._parts.sizes)
        run = Run(self._parts, tasks)
        try:
            yield from run.results()
        finally:
            run.close()
            self.profile += run.profile()
