"""A run of the driver: the loop that admits tasks, sends their requests and delivers the replies."""

from __future__ import annotations

import logging
import operator
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from o1coder_gym.agents.driver.guards import check_reply
from o1coder_gym.agents.driver.lanes import Batch, Lane, Request
from o1coder_gym.agents.driver.session import Session
from o1coder_gym.agents.driver.tasks import Feed, Observer, Profile, Task, TaskResult
from o1coder_gym.errors import (
    Cancelled,
    ConformanceError,
    InfrastructureError,
    JournalError,
    O1CoderError,
    PolicyError,
    PromptTooLongError,
    ScorerError,
    UsageError,
)
from o1coder_gym.runs.budget import ModelSizes
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import PolicyRequest, Problem, Proposal, State, Usage
from o1coder_gym.types.protocols import Model, Policy, StepScorer
from o1coder_gym.types.queries import Execute

_LOG = logging.getLogger(__name__)

ANSWERS = "answers"
"""Name of the journal's file."""

_BATCH_TOKENS = 32768
_PATIENCE = 0.1
"""Share of a policy batch's mean time that the next one is delayed to join agents still being judged."""

_MANY = 32
_GATHER_S = 0.0005
"""Seconds for which replies are gathered where more than `_MANY` calls are in flight."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The arguments of `Driver`, by the same names."""

    model: Model
    policy: Policy
    scorer: StepScorer | None
    seed: int
    journal: RunFolder | None
    observer: Observer | None
    live: int
    batch_tokens: int | None
    concurrency: int | None
    timeout_s: float | None
    sizes: ModelSizes

    def __post_init__(self) -> None:
        """Raises UsageError when a number is out of range."""
        for name in ("live", "batch_tokens", "concurrency"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"driver: {name} must be at least 1, got {number}")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UsageError(f"driver: timeout_s must be above 0, got {self.timeout_s}")

    def lanes(self, done: SimpleQueue[Batch | None]) -> tuple[Lane, Lane, Lane]:
        """Returns the lanes of policy, model and scorer, which put finished batches into `done`."""
        score = self.scorer.score if self.scorer is not None else _no_scorer
        return (
            policy_lane(self.policy, done, self.concurrency, self.batch_tokens, self.timeout_s),
            self._model_lane(done),
            Lane("scorer", score, done, timeout_s=self.timeout_s),
        )

    def _model_lane(self, done: SimpleQueue[Batch | None]) -> Lane:
        """Returns the lane of the model; if its calls may overlap, a slow program delays no other."""
        threads = _threads(self.model)
        serve = partial(_advance_or_execute, self.model)
        size = None if threads == 1 else 1
        return Lane("model", serve, done, threads=threads, batch_size=size, timeout_s=self.timeout_s)


def policy_lane(
    policy: Policy,
    done: SimpleQueue[Batch | None],
    concurrency: int | None = None,
    batch_tokens: int | None = None,
    timeout_s: float | None = None,
) -> Lane:
    """Returns the lane of a policy; None takes the policy's own attribute."""
    if concurrency is None:
        concurrency = _threads(policy)
    return Lane(
        "policy",
        policy.propose,
        done,
        threads=concurrency,
        batch_weight=batch_tokens or int(getattr(policy, "batch_tokens", None) or _BATCH_TOKENS),
        # A policy that takes several calls batches by itself, as servers do: it gets requests one by one.
        batch_size=None if concurrency == 1 else 1,
        timeout_s=timeout_s,
    )


def _threads(part: Policy | Model) -> int:
    """Returns how many calls a policy or a model takes at a time; with none its lane would wait for ever."""
    threads = getattr(part, "parallel", 1)
    try:
        threads = operator.index(threads)
    except TypeError:
        threads = 0
    if threads < 1:
        told = f"{type(part).__name__}.parallel must be a whole number of at least 1"
        raise UsageError(f"driver: {told}, got {part.parallel!r}")  # pyright: ignore[reportAttributeAccessIssue]
    return threads


class Run:
    """The live sessions and the loop over them. Mutable; used by one thread."""

    def __init__(self, parts: Parts, tasks: Iterable[Task] | Feed) -> None:
        """Prepares a run.

        Args:
            parts: Model, policy, scorer and limits.
            tasks: The tasks, or the feed that they arrive by.
        """
        self._parts = parts
        self._feed = tasks if isinstance(tasks, Feed) else None
        self._tasks = iter(()) if isinstance(tasks, Feed) else iter(tasks)
        self._begun = 0
        self._keys: set[str] = set()
        self._live: set[Session] = set()
        self._finished: list[TaskResult] = []
        self._done: SimpleQueue[Batch | None] = SimpleQueue()
        if self._feed is not None:
            # None is not a batch: it only wakes the loop, which may be blocked in `_done.get`.
            self._feed.attach(lambda: self._done.put(None))
        self._policy, self._model, self._scorer = parts.lanes(self._done)
        self._own: dict[int, Lane] = {}
        journal = parts.journal
        self._journal = None if journal is None else journal.index(ANSWERS, "task")
        self._wall_s = self._waited_s = 0.0
        self._overlong = False

    def results(self) -> Iterator[TaskResult]:
        """Yields results until all tasks have finished."""
        while True:
            started = time.perf_counter()
            more = self._feed is not None and self._feed.open  # read before the feed is emptied
            # Before the dispatch: new sessions add their first requests to the batches that leave now.
            self._admit()
            self._cancel()
            # The clock stops here: what the caller does with a result between two of ours is not the driver's
            # time.
            if self._finished:
                self._wall_s += time.perf_counter() - started
                yield from self._take_finished()
                started = time.perf_counter()
            if not self._live and not more:
                return
            self._dispatch()
            # With nothing in flight there is nothing to wait for, unless tasks may still arrive by the feed.
            if any(lane.busy for lane in self._lanes()) or self._feed is not None:
                self._deliver(self._landed())
                self._expire()
            self._wall_s += time.perf_counter() - started

    def close(self) -> None:
        """Ends the threads and drops unfinished searches; their answers so far are in the journal."""
        for lane in self._lanes():
            lane.close()

    def _lanes(self) -> tuple[Lane, ...]:
        """Returns the lanes of policy, model and scorer, and those of the tasks' own policies."""
        return (self._policy, self._model, self._scorer, *self._own.values())

    def profile(self) -> Profile:
        """Returns where the time went."""
        return Profile(
            wall=self._wall_s,
            policy=sum(lane.busy_s for lane in (self._policy, *self._own.values())),
            model=self._model.busy_s,
            scorer=self._scorer.busy_s,
            driver=self._wall_s - self._waited_s,
            waiting=self._waited_s,
            requests=sum(lane.served for lane in self._lanes()),
        )

    def _take_finished(self) -> list[TaskResult]:
        finished, self._finished = self._finished, []
        return finished

    def _admit(self) -> None:
        """Starts searches while there is room."""
        while len(self._live) < self._parts.live:
            task = next(self._tasks, None) if self._feed is None else self._feed.take()
            if task is None:
                return
            # Keys name rows of the journal: two tasks of one key would read each other's answers.
            if task.key in self._keys:
                raise _twice(task)
            self._keys.add(task.key)
            self._begun += 1
            self._start(task, self._begun)

    def _cancel(self) -> None:
        """Ends the searches that the feed has cancelled."""
        tasks = self._feed.take_cancelled() if self._feed is not None else ()
        for task in tasks:
            # A list: `_pump` removes the session from the set that is walked through.
            for session in [session for session in self._live if session.task is task]:
                session.fail(Cancelled(f"{task.key}: cancelled"))
                self._pump(session)

    def _start(self, task: Task, order: int) -> None:
        recorded = self._recorded(task.key)
        try:
            problem, root = _question(self._parts.model, task.task_id)
            task.check_price(self._parts.sizes)
        except O1CoderError as error:
            self._finish(TaskResult(task, None, Usage(), error=error))
            return
        journal = self._parts.journal
        # Only a journal of another version may be replayed on trial; within one version a mismatch is an
        # error.
        if recorded and journal is not None and journal.begun_elsewhere:
            recorded = recorded if self._fits(task, problem, root, recorded) else {}
        session = Session(
            task,
            problem,
            root,
            order=order,
            seed=self._parts.seed,
            journaled=self._parts.journal is not None,
            recorded=recorded,
            observer=self._parts.observer,
            sizes=self._parts.sizes,
        )
        self._live.add(session)
        self._pump(session)

    def _fits(
        self, task: Task, problem: Problem, root: State, recorded: Mapping[int, Mapping[str, Any]]
    ) -> bool:
        """Whether a search makes the requests that the journal holds, as far as the journal's answers reach.

        Agents of another version may make other requests. Within one version a journal that does not fit is
        an error instead: something is not reproducible.
        """
        # Without an observer and without a journal: the trial leaves no trace if it fails.
        trial = Session(
            task, problem, root, seed=self._parts.seed, recorded=recorded, sizes=self._parts.sizes
        )
        try:
            while trial.outcome is None and trial.outstanding == 0:
                for request in trial.wave():
                    trial.recorded(request)
        except JournalError:
            warnings.warn(
                f"{task.key}: another version began this run, and its agent asked differently; asking again",
                stacklevel=2,
            )
            return False
        return True

    def _recorded(self, key: str) -> Mapping[int, Mapping[str, Any]]:
        """Returns the journal's rows of a task by serial number."""
        return {} if self._journal is None else {row["k"]: row for row in self._journal.rows(key)}

    def _pump(self, session: Session) -> None:
        """Advances a session until it waits for a lane or has ended."""
        # A loop: waves that the journal answers in full lead to the next at once, so a resume costs no turn
        # of a lane.
        while session.outcome is None and session.outstanding == 0:
            for request in session.wave():
                try:
                    lane = None if session.recorded(request) else self._lane(request)
                except O1CoderError as error:  # an agent that is not reproducible hurts no other task
                    session.fail(error)
                    break
                if lane is not None:
                    lane.put(request)
        if session.unwritten:
            self._write([session])
        if session.outcome is not None and session in self._live:
            self._live.remove(session)
            # It failed while requests were out: those still queued would be computed for nobody.
            if session.outstanding:
                for lane in self._lanes():
                    lane.drop(session)
            self._finish(session.outcome)

    def _finish(self, outcome: TaskResult) -> None:
        self._finished.append(outcome)
        told = outcome.error or ("done" if outcome.result is not None else "no answer")
        spent = outcome.usage
        _LOG.debug("%s: %s, %d tokens, %.1f s", outcome.task.key, told, spent.tokens, spent.seconds)
        if self._feed is not None:
            self._keys.discard(outcome.task.key)
            self._feed.over(outcome.task)

    def _lane(self, request: Request) -> Lane:
        # The payload's type says where it goes: `Payload` is a closed union, and each member has one lane.
        if isinstance(request.payload, PolicyRequest):
            return self._policy_lane(request.owner.task.policy)
        if isinstance(request.payload, Execute):
            return self._model
        return self._scorer if isinstance(request.payload[0], Problem) else self._model

    def _policy_lane(self, policy: Policy | None) -> Lane:
        """Returns the lane of a task's own policy, opened with its first request, or the run's."""
        if policy is None:
            return self._policy
        # By identity: tasks that share one policy object share its lane, and so its batches.
        lane = self._own.get(id(policy))
        if lane is None:
            lane = self._own[id(policy)] = policy_lane(policy, self._done, timeout_s=self._parts.timeout_s)
        return lane

    def _dispatch(self) -> None:
        # Model and scorer first: what they have in flight decides whether the policy is worth delaying.
        for lane in (self._model, self._scorer, *self._own.values()):
            lane.dispatch()
        if self._hold_s() <= 0:
            self._policy.dispatch()

    def _hold_s(self) -> float:
        """Returns the seconds to delay the next policy batch so that it becomes fuller; ≤ 0 sends it now."""
        policy = self._policy
        # Waiting pays only for one batch at a time, while agents are being judged that will soon propose.
        if policy.threads > 1 or not policy.waiting or policy.in_flight:
            return 0.0
        if not self._model.in_flight and not self._scorer.in_flight:
            return 0.0
        # At worst the wait costs this share of a batch's time, at best it saves a whole batch.
        return policy.waiting_since + _PATIENCE * policy.mean_s - time.monotonic()

    def _landed(self) -> list[Batch]:
        """Waits for a batch, the feed or the clock; returns all finished batches."""
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
            # In the loop's thread: the lanes' books have no locks, because only this thread touches them.
            batch.lane.land(batch)
        return landed

    def _wait_s(self) -> float | None:
        """Returns the seconds until a delay or a time-out ends; None if there is none."""
        waits = [hold] if (hold := self._hold_s()) > 0 else []
        if self._parts.timeout_s is not None:
            deadlines = (lane.deadline for lane in self._lanes())
            waits += [max(0.0, deadline - time.monotonic()) for deadline in deadlines if deadline is not None]
        return min(waits) if waits else None

    def _expire(self) -> None:
        """Fails overdue requests; a late reply is still recorded."""
        if self._parts.timeout_s is None:
            return
        for lane in self._lanes():
            # Again and again: several batches may be overdue at once, and `expire` returns one of them.
            while requests := lane.expire():
                for request in requests:
                    request.owner.fail(_failure(lane, f"no answer within {self._parts.timeout_s} s"))
                    self._pump(request.owner)

    def _deliver(self, batches: Sequence[Batch]) -> None:
        """Passes replies to their sessions, records them, and advances the sessions."""
        # A dict keeps the order of arrival and names each session once.
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
        # On disk before any agent sees an answer: a killed run must find all that agents have acted on.
        self._write(owners)
        for session in owners:
            self._pump(session)

    def _receive(self, batch: Batch, request: Request, reply: Any) -> None:
        """Passes a reply to its session; one that breaks the contract in a batch is retried alone."""
        try:
            answer = check_reply(request.payload, reply)
        except O1CoderError as error:
            # A backend may have mixed up its rows: what is wrong here may be another request's fault.
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
        """Retries the requests of a failed batch one by one; one that fails alone ends its task.

        A prompt that is too long is not a failure of the backend: that node becomes a dead end of the search.
        """
        if len(batch.requests) > 1:
            for request in batch.requests:
                self._retry(batch, request)
            return
        (request,) = batch.requests
        if isinstance(error, PromptTooLongError) and isinstance(request.payload, PolicyRequest):
            self._tell_overlong(request.owner.task, error)
            request.owner.receive(request, (Proposal("", 0, finish="length"),) * request.payload.n)
            return
        # The user sees a typed error of this library, with the original one and its traceback as the cause.
        typed = error if isinstance(error, O1CoderError) else _failure(batch.lane, repr(error))
        typed.__cause__ = None if typed is error else error
        request.owner.fail(typed)

    def _tell_overlong(self, task: Task, error: PromptTooLongError) -> None:
        """Says once in a run why searches end early: a context that is too short looks like a weak policy."""
        if not self._overlong:
            self._overlong = True
            told = "such states are dead ends of the search, here and in what follows"
            warnings.warn(f"{task.key}: {error}; {told}", stacklevel=2)

    def _write(self, sessions: Iterable[Session]) -> None:
        rows: list[dict[str, Any]] = []
        for session in sessions:
            rows += session.unwritten
            session.unwritten.clear()
        if self._parts.journal is not None:
            self._parts.journal.append(ANSWERS, *rows)


def check(tasks: Sequence[Task], model: Model, sizes: ModelSizes) -> None:
    """Refuses tasks with equal keys, unknown problems or an unknown price before anything runs."""
    keys: set[str] = set()
    for task in tasks:
        if task.key in keys:
            raise _twice(task)
        keys.add(task.key)
        task.check_price(sizes)
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
    # `execute` is optional in the protocol Model, so a model without it serves all agents that never ask for
    # it.
    runs = [payload for payload in payloads if isinstance(payload, Execute)]
    if not runs:
        return model.advance(payloads)
    if (execute := getattr(model, "execute", None)) is None:
        raise UsageError("the agent asks to execute programs, but the model has no method execute")
    steps = [payload for payload in payloads if not isinstance(payload, Execute)]
    executed, advanced = list(execute(runs)), list(model.advance(steps) if steps else ())
    if (len(executed), len(advanced)) != (len(runs), len(steps)):
        got, asked = len(executed) + len(advanced), len(payloads)
        raise InfrastructureError(f"model: got {got} replies to {asked} requests")
    replies = iter(executed), iter(advanced)
    return [next(replies[not isinstance(payload, Execute)]) for payload in payloads]


def _no_scorer(_: object) -> list[float]:
    raise UsageError("the agent asks for scores, but no scorer is given")
