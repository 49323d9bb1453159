"""The driver: runs one agent or a thousand, and merges what they ask for.

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

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from o1coder_gym.agents.driver.guards import check_reply
from o1coder_gym.agents.driver.lanes import Batch, Lane, Request
from o1coder_gym.agents.driver.session import Session
from o1coder_gym.agents.driver.tasks import Feed, Observer, Profile, Task, TaskResult
from o1coder_gym.errors import (
    CalledOff,
    ConformanceError,
    InfrastructureError,
    JournalError,
    O1CoderError,
    PolicyError,
    PromptTooLongError,
    ScorerError,
    UsageError,
)
from o1coder_gym.protocols import Model, Policy, StepScorer
from o1coder_gym.queries import Execute
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import PolicyRequest, Problem, Proposal, State, Usage

__all__ = ["Driver", "Observer", "Task", "TaskResult"]

ANSWERS = "answers"
"""Name of the journal's file."""

_BATCH_TOKENS = 32768
_PATIENCE = 0.1
"""Share of a policy batch's mean time that the next one waits for agents that the judge still has."""

_MANY = 32
_GATHER_S = 0.0005
"""Seconds for which replies are gathered where more than `_MANY` calls are in flight."""


class Driver:
    """Runs agents against one model, one policy and one scorer. May be used again, one run at a time.

    Attributes:
        profile: Where the time of all runs so far went; that of a run is added at its end.
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
    ) -> None:
        """Wires the driver; nothing runs yet.

        Args:
            model: Takes steps and judges code; called from one thread.
            policy: Proposes steps; called from one thread, or from `concurrency` threads.
            scorer: Scores states; needed only by agents that ask for scores; called from one thread.
            seed: Seed of the run.
            journal: Where answers are recorded and looked up.
            observer: Told of each answered query, in the thread that runs the driver; of answers from
                the journal too.
            live: Agents in progress at the same time, ≥ 1.
            batch_tokens: Bound of a policy batch: Σ n · max_tokens over its requests. None takes the
                policy's attribute `batch_tokens`, or 32768 if it has none.
            concurrency: Policy requests in flight, one a call; 1 is one batch at a time. None takes
                the policy's attribute `parallel`, or 1 if it has none.
            timeout_s: Seconds after which a call of the policy, the model or the scorer counts as failed; the
                requests in it end their tasks, and what it answers later is recorded. None waits for ever.

        Raises:
            UsageError: When a number is out of range.
        """
        if concurrency is None:
            concurrency = int(getattr(policy, "parallel", 1))
        if batch_tokens is None:
            batch_tokens = int(getattr(policy, "batch_tokens", None) or _BATCH_TOKENS)
        for name, number in (("live", live), ("batch_tokens", batch_tokens), ("concurrency", concurrency)):
            if number < 1:
                raise UsageError(f"driver: {name} must be at least 1, got {number}")
        if timeout_s is not None and not timeout_s > 0:
            raise UsageError(f"driver: timeout_s must be above 0, got {timeout_s}")
        self._model = model
        self._policy = policy
        self._scorer = scorer
        self._seed = seed
        self._journal = journal
        self._observer = observer
        self._live = live
        self._batch_tokens = batch_tokens
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self.profile = Profile()

    def run(self, tasks: Iterable[Task]) -> list[TaskResult]:
        """Runs all tasks; returns their results in the order of the tasks.

        Raises:
            UsageError: When two tasks have the same key, or one names a problem that the model does not have;
                nothing has run then.
            JournalError: When the journal cannot be written or does not fit; what it has is safe.
        """
        tasks = list(tasks)
        results = {result.task.key: result for result in self.stream(tasks)}
        return [results[task.key] for task in tasks]

    def stream(self, tasks: Iterable[Task] | Feed) -> Iterator[TaskResult]:
        """Runs all tasks; yields each result as soon as it is there.

        Args:
            tasks: Drawn from as agents finish, so it may be long; or a feed, whose tasks begin when they
                come. Of a feed a key may be used again once its task is over.

        Raises:
            UsageError, JournalError: As `run`. Of tasks that are no list, which are known only as they are
                drawn, an unknown problem ends its own task.
        """
        if isinstance(tasks, Sequence):
            _check(tasks, self._model)
        run = _Run(self, tasks)
        try:
            yield from run.results()
        finally:
            run.close()
            self.profile += run.profile()

    def _lanes(self, done: SimpleQueue[Batch | None]) -> tuple[Lane, Lane, Lane]:
        """Returns the lanes of policy, model and scorer."""
        alone = None if self._concurrency == 1 else 1
        score = self._scorer.score if self._scorer is not None else _no_scorer
        timeout_s = self._timeout_s
        return (
            Lane(
                "policy",
                self._policy.propose,
                done,
                threads=self._concurrency,
                batch_weight=self._batch_tokens,
                batch_size=alone,
                timeout_s=timeout_s,
            ),
            Lane("model", partial(_advance_or_execute, self._model), done, timeout_s=timeout_s),
            Lane("scorer", score, done, timeout_s=timeout_s),
        )


class _Run:
    """One call of `stream`: the live sessions and the loop over them."""

    def __init__(self, driver: Driver, tasks: Iterable[Task] | Feed) -> None:
        self._driver = driver
        self._feed = tasks if isinstance(tasks, Feed) else None
        self._tasks = iter(()) if isinstance(tasks, Feed) else iter(tasks)
        self._begun = 0
        self._keys: set[str] = set()
        self._live: set[Session] = set()
        self._finished: list[TaskResult] = []
        self._done: SimpleQueue[Batch | None] = SimpleQueue()
        if self._feed is not None:
            self._feed.attach(lambda: self._done.put(None))
        self._lanes = driver._lanes(self._done)
        self._policy, self._model, self._scorer = self._lanes
        journal = driver._journal
        self._journal = None if journal is None else journal.index(ANSWERS, "task")
        self._wall_s = self._waited_s = 0.0

    def results(self) -> Iterator[TaskResult]:
        """Yields results until no task is left."""
        while True:
            started = time.perf_counter()
            more = self._feed is not None and self._feed.open  # read before the feed is emptied
            self._admit()
            self._call_off()
            if self._finished:
                self._wall_s += time.perf_counter() - started
                yield from self._take_finished()
                started = time.perf_counter()
            if not self._live and not more:
                return
            self._dispatch()
            if any(lane.busy for lane in self._lanes) or self._feed is not None:
                self._deliver(self._landed())
                self._expire()
            self._wall_s += time.perf_counter() - started

    def close(self) -> None:
        """Ends the threads; searches that are not over are dropped, their answers are recorded."""
        for lane in self._lanes:
            lane.close()

    def profile(self) -> Profile:
        """Returns where the time went."""
        return Profile(
            wall=self._wall_s,
            policy=self._policy.busy_s,
            model=self._model.busy_s,
            scorer=self._scorer.busy_s,
            driver=self._wall_s - self._waited_s,
            waiting=self._waited_s,
            requests=sum(lane.served for lane in self._lanes),
        )

    def _take_finished(self) -> list[TaskResult]:
        finished, self._finished = self._finished, []
        return finished

    def _admit(self) -> None:
        """Starts searches while there is room."""
        while len(self._live) < self._driver._live:
            task = next(self._tasks, None) if self._feed is None else self._feed.take()
            if task is None:
                return
            if task.key in self._keys:
                raise _twice(task)
            self._keys.add(task.key)
            self._begun += 1
            self._start(task, self._begun)

    def _call_off(self) -> None:
        """Ends the searches that the feed has called off."""
        tasks = self._feed.take_called_off() if self._feed is not None else ()
        for task in tasks:
            for session in [session for session in self._live if session.task is task]:
                session.fail(CalledOff(f"{task.key}: called off"))
                self._pump(session)

    def _start(self, task: Task, order: int) -> None:
        recorded = self._recorded(task.key)
        try:
            problem, root = _question(self._driver._model, task.task_id)
        except O1CoderError as error:
            self._finish(TaskResult(task, None, Usage(), error=error))
            return
        journal = self._driver._journal
        if recorded and journal is not None and journal.begun_elsewhere:
            recorded = recorded if self._fits(task, problem, root, recorded) else {}
        session = Session(
            task,
            problem,
            root,
            order=order,
            seed=self._driver._seed,
            journaled=self._driver._journal is not None,
            recorded=recorded,
            observer=self._driver._observer,
        )
        self._live.add(session)
        self._pump(session)

    def _fits(
        self, task: Task, problem: Problem, root: State, recorded: Mapping[int, Mapping[str, Any]]
    ) -> bool:
        """Whether a search asks what it asked in the version that began the run, as far as the answers go.

        Agents may ask otherwise than in an earlier version. Within one version a journal that does not fit is
        an error instead: something is not reproducible.
        """
        trial = Session(task, problem, root, seed=self._driver._seed, recorded=recorded)
        try:
            while trial.outcome is None and trial.outstanding == 0:
                for request in trial.wave():
                    trial.recorded(request)
        except JournalError:
            warnings.warn(
                f"{task.key}: another version began this run, and its agent asked otherwise; asked anew",
                stacklevel=2,
            )
            return False
        return True

    def _recorded(self, key: str) -> Mapping[int, Mapping[str, Any]]:
        """Returns the journal's rows of a task by serial number."""
        return {} if self._journal is None else {row["k"]: row for row in self._journal.rows(key)}

    def _pump(self, session: Session) -> None:
        """Moves a session on until it waits for a lane or is over."""
        while session.outcome is None and session.outstanding == 0:
            for request in session.wave():
                if not session.recorded(request):
                    self._lane(request).put(request)
        if session.unwritten:
            self._write([session])
        if session.outcome is not None and session in self._live:
            self._live.remove(session)
            if session.outstanding:
                for lane in self._lanes:
                    lane.drop(session)
            self._finish(session.outcome)

    def _finish(self, outcome: TaskResult) -> None:
        self._finished.append(outcome)
        if self._feed is not None:
            self._keys.discard(outcome.task.key)
            self._feed.over(outcome.task)

    def _lane(self, request: Request) -> Lane:
        if isinstance(request.payload, PolicyRequest):
            return self._policy
        if isinstance(request.payload, Execute):
            return self._model
        return self._scorer if isinstance(request.payload[0], Problem) else self._model

    def _dispatch(self) -> None:
        self._model.dispatch()
        self._scorer.dispatch()
        if self._hold_s() <= 0:
            self._policy.dispatch()

    def _hold_s(self) -> float:
        """Seconds that the next policy batch should still wait to become a fuller one."""
        policy = self._policy
        if policy.threads > 1 or not policy.waiting or policy.in_flight:
            return 0.0
        if not self._model.in_flight and not self._scorer.in_flight:
            return 0.0
        return policy.waiting_since + _PATIENCE * policy.mean_s - time.monotonic()

    def _landed(self) -> list[Batch]:
        """Waits for one batch, the feed or the clock; returns all batches that are back."""
        started = time.perf_counter()
        try:
            found = [self._done.get(timeout=self._wait_s())]
        except Empty:
            found = []
        if len(self._policy.in_flight) > _MANY:  # to be woken by each reply would cost more than the nap
            time.sleep(_GATHER_S)
        self._waited_s += time.perf_counter() - started
        found += (self._done.get_nowait() for _ in range(self._done.qsize()))  # nobody else takes any
        landed = [batch for batch in found if batch is not None]
        for batch in landed:
            batch.lane.land(batch)
        return landed

    def _wait_s(self) -> float | None:
        """Seconds until the clock has something to say; None if it never has."""
        waits = [hold] if (hold := self._hold_s()) > 0 else []
        if self._driver._timeout_s is not None:
            deadlines = (lane.deadline for lane in self._lanes)
            waits += [max(0.0, deadline - time.monotonic()) for deadline in deadlines if deadline is not None]
        return min(waits) if waits else None

    def _expire(self) -> None:
        """Fails the requests that have been away for too long; their late replies are recorded."""
        if self._driver._timeout_s is None:
            return
        for lane in self._lanes:
            while requests := lane.expire():
                for request in requests:
                    request.owner.fail(_failure(lane, f"no answer within {self._driver._timeout_s} s"))
                    self._pump(request.owner)

    def _deliver(self, batches: Sequence[Batch]) -> None:
        """Hands replies to their sessions, records them, and lets the sessions go on."""
        owners: dict[Session, None] = {}
        for batch in batches:
            if batch.error is None and len(batch.replies) != len(batch.requests):
                got, asked = len(batch.replies), len(batch.requests)
                batch.error = _failure(batch.lane, f"got {got} replies to {asked} requests")
            if batch.error is not None:
                self._failed(batch, batch.error)
            else:
                for request, reply in zip(batch.requests, batch.replies, strict=True):
                    self._receive(batch, request, reply)
            owners.update((request.owner, None) for request in batch.requests)
        self._write(owners)
        for session in owners:
            self._pump(session)

    def _receive(self, batch: Batch, request: Request, reply: Any) -> None:
        """Hands a reply to its session; one that breaks the contract, as an error does, may be another's."""
        try:
            answer = check_reply(request.payload, reply)
        except O1CoderError as error:
            if len(batch.requests) > 1:
                self._retry(batch, request)
            else:
                request.owner.fail(error)
        else:
            request.owner.receive(request, answer)

    def _retry(self, batch: Batch, request: Request) -> None:
        if request.owner.outcome is None:
            request.owner.retry(request)
            batch.lane.put(request)

    def _failed(self, batch: Batch, error: BaseException) -> None:
        """Tries the requests of a failed batch one by one; one that fails alone ends its task.

        Unless its prompt was too long: that is no failure of the backend, and the search goes on elsewhere.
        """
        if len(batch.requests) > 1:
            for request in batch.requests:
                self._retry(batch, request)
            return
        (request,) = batch.requests
        if isinstance(error, PromptTooLongError) and isinstance(request.payload, PolicyRequest):
            request.owner.receive(request, (Proposal("", 0, finish="length"),) * request.payload.n)
            return
        typed = error if isinstance(error, O1CoderError) else _failure(batch.lane, repr(error))
        typed.__cause__ = None if typed is error else error
        request.owner.fail(typed)

    def _write(self, sessions: Iterable[Session]) -> None:
        rows: list[dict[str, Any]] = []
        for session in sessions:
            rows += session.unwritten
            session.unwritten.clear()
        if self._driver._journal is not None:
            self._driver._journal.append(ANSWERS, *rows)


def _check(tasks: Sequence[Task], model: Model) -> None:
    """Refuses tasks of equal keys and of unknown problems before anything runs."""
    keys: set[str] = set()
    for task in tasks:
        if task.key in keys:
            raise _twice(task)
        keys.add(task.key)
    for task_id in dict.fromkeys(task.task_id for task in tasks):
        _question(model, task_id)


def _question(model: Model, task_id: str) -> tuple[Problem, State]:
    """Returns a problem and its root.

    Raises:
        O1CoderError: When the model has none, or returns something else.
    """
    try:
        problem, root = model.problem(task_id), model.initial(task_id)
    except O1CoderError:
        raise
    except Exception as error:
        raise InfrastructureError(f"model, {task_id}: {type(error).__name__}: {error}") from error
    if not isinstance(problem, Problem) or not isinstance(root, State) or problem.task_id != root.problem_id:
        raise ConformanceError(f"model, {task_id}: got {problem!r:.80} and {root!r:.80}, expected both of it")
    return problem, root


def _twice(task: Task) -> UsageError:
    return UsageError(f"two tasks are called {task.key!r}; give them different names or seeds")


def _failure(lane: Lane, message: str) -> O1CoderError:
    kinds = {"policy": PolicyError, "model": InfrastructureError, "scorer": ScorerError}
    return kinds[lane.name](f"{lane.name}: {message}")


def _advance_or_execute(model: Model, payloads: Sequence[Any]) -> Sequence[Any]:
    """Takes steps and runs programs on inputs, each kind in one batch."""
    runs = [payload for payload in payloads if isinstance(payload, Execute)]
    if not runs:
        return model.advance(payloads)
    if (execute := getattr(model, "execute", None)) is None:
        raise UsageError("the agent asks to execute programs, but the model has no method execute")
    steps = [payload for payload in payloads if not isinstance(payload, Execute)]
    executed, advanced = iter(execute(runs)), iter(model.advance(steps) if steps else ())
    return [next(executed if isinstance(payload, Execute) else advanced) for payload in payloads]


def _no_scorer(_: object) -> list[float]:
    raise UsageError("the agent asks for scores, but no scorer is given")
