"""A judge for many concurrent callers: threads and tasks share one request queue over all workers.

`Judge.evaluate` serves one batch at a time: callers with one program each would run one after the other and
keep a single worker busy. Here a background thread feeds all workers from the shared queue.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias

from o1coder_gym.errors import Cancelled, InfrastructureError, O1CoderError
from o1coder_gym.sandbox.batch import Batch
from o1coder_gym.sandbox.callers.asking import AskedJudge
from o1coder_gym.sandbox.judge import Judge, default_judge
from o1coder_gym.sandbox.trial import ObservedTrial, Output, Trial
from o1coder_gym.sandbox.workers.pool import Pool
from o1coder_gym.sandbox.workers.worker import Worker
from o1coder_gym.types import Submission, Verdict

_Asked: TypeAlias = tuple[Trial, "Future[Verdict]"]

_HOLD_S = 0.005
"""Seconds that a verdict may wait for others while more programs are queued."""


class ConcurrentJudge(AskedJudge):
    """A judge of one process, for all its threads and tasks."""

    def __init__(self, judge: Judge | None = None) -> None:
        """Args: the judge whose zygotes to use, `default_judge()` if None; its own batches wait meanwhile."""
        self._judge = judge
        self._feed = _Feed()

    @property
    def workers(self) -> int:
        """The largest number of zygotes."""
        return self._inner.workers

    @property
    def waiting(self) -> int:
        """Number of queued programs that no worker has started."""
        return len(self._feed.asked)

    def submit(self, submission: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        """Queues one program and returns a future; cancelling it before a worker starts skips the run.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        return self._put(self._inner.trial(submission, stop_at_failure=stop_at_failure))

    def submit_run(self, submission: Submission, /) -> Future[tuple[Output, ...]]:
        """Queues one program and returns a future of its outputs, one per test; see `Judge.outputs`.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        trial = self._inner.observed_trial(submission)
        found: Future[tuple[Output, ...]] = Future()
        verdict = self._put(trial)
        verdict.add_done_callback(partial(_tell_outputs, trial, found))
        # Cancelling the outer future has to reach the queue, or the program would run for nobody.
        found.add_done_callback(lambda told: told.cancelled() and verdict.cancel())
        return found

    def close(self) -> None:
        """Cancels queued programs and stops the thread; the underlying judge and its zygotes stay open."""
        self._feed.close()

    @property
    def _inner(self) -> Judge:
        return self._judge or default_judge()

    def _put(self, trial: Trial) -> Future[Verdict]:
        if self._feed.owner != os.getpid():  # a thread does not survive a fork
            self._feed = _Feed()
        future: Future[Verdict] = Future()
        self._feed.put((trial, future), self._inner)
        return future


def _tell_outputs(trial: ObservedTrial, found: Future[tuple[Output, ...]], verdict: Future[Verdict]) -> None:
    if verdict.cancelled() or not found.set_running_or_notify_cancel():
        found.cancel()
    elif error := verdict.exception():
        found.set_exception(error)
    else:
        found.set_result(trial.outputs(verdict.result()))


class _Feed:
    """The request queue, the thread that serves it, and the eventfd (`_bell`) that wakes the thread."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.asked: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False

    def put(self, one: _Asked, judge: Judge) -> None:
        """Queues one request; starts the thread if there is none.

        Raises:
            InfrastructureError: When the judge is closed.
        """
        with self._changed:
            if self._closed:
                raise InfrastructureError("the concurrent judge is closed")
            self.asked.append(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, args=(judge,), name="judge", daemon=True)
                self._thread.start()
            if len(self.asked) == 1:  # who finds others waiting finds all workers busy, or the bell rung
                # The condition wakes the thread while it sleeps, the eventfd while it waits in select();
                # which of the two it does is not known here.
                self._changed.notify()
                os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Cancels queued requests and waits for running ones."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            left, thread = _drained(self.asked), self._thread
            self._changed.notify()
            # With a thread the bell is closed there: it may be in a select() right now.
            if thread is None:
                os.close(self._bell)
        for _, future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(Cancelled("the concurrent judge was closed"))
        if thread is not None and self.owner == os.getpid():
            thread.join()

    def _work(self, judge: Judge) -> None:
        """Serves the queue; borrows the zygotes only while it holds requests."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.asked or self._closed)
                if self._closed:
                    os.close(self._bell)
                    return
            stream: _Stream | None = None
            try:
                # Borrowed only while something is queued, so that the judge's own batches get their turn
                # between two streams.
                with judge.lent() as pool:
                    stream = _Stream(pool, self.asked, judge.workers)
                    stream.flow(self._bell)
            except O1CoderError as error:  # the sandbox does not start: all who wait are told
                self._fail(error, stream)
            except Exception as error:  # a fault of this judge: without its thread all callers would hang
                failure = InfrastructureError(f"the judge failed: {type(error).__name__}: {error}")
                failure.__cause__ = error
                self._fail(failure, stream)

    def _fail(self, error: O1CoderError, stream: _Stream | None) -> None:
        with self._changed:
            told = [future for _, future in _drained(self.asked)]
        # Futures of the stream were marked as running when it took them (`_take`); a queued one may
        # have been cancelled meanwhile, and then takes no exception.
        told = [future for future in told if future.set_running_or_notify_cancel()]
        for future in [*told, *(stream.futures.values() if stream else ())]:
            future.set_exception(error)


def _drained(asked: deque[_Asked]) -> list[_Asked]:
    """Empties the queue item by item, so that a stream that takes from it meanwhile gets other items."""
    found: list[_Asked] = []
    with contextlib.suppress(IndexError):
        while True:
            found.append(asked.popleft())
    return found


class _Stream(Batch):
    """A batch that grows: takes trials as workers become free and resolves each future at once."""

    def __init__(self, pool: Pool, asked: deque[_Asked], workers: int) -> None:
        self._live: dict[int, Trial] = {}
        super().__init__(pool, self._live)
        self.futures: dict[int, Future[Verdict]] = {}
        self._asked = asked
        self._workers = workers
        self._number = 0
        self._tell_at = math.inf

    def flow(self, bell: int) -> None:
        """Runs until the queue is empty and all verdicts are delivered.

        Raises:
            InfrastructureError: When no zygote can be started.
        """
        self._pool.selector.register(bell, selectors.EVENT_READ, bell)
        try:
            while self._take() or self._live:
                self._dispatch()
                self._listen()
                if self._is_due():
                    self._tell()
        finally:
            self._tell()  # a fault is none of the programs that have a verdict
            self._pool.selector.unregister(bell)
            self._pool.retire_busy()

    def _take(self) -> bool:
        """Moves requests from the queue to the batch; returns whether any trial waits for a worker."""
        # A future that runs cannot be cancelled, so no more are taken than workers could start now.
        while self._unbegun < self._workers:
            try:
                trial, future = self._asked.popleft()
            except IndexError:  # the queue is empty, or was drained by `close` since we looked
                break
            if future.set_running_or_notify_cancel():
                self._number += 1
                self._live[self._number], self.futures[self._number] = trial, future
                self._wait(self._number)
        return self._unbegun > 0

    def _dispatch(self) -> None:
        self._take()
        super()._dispatch()

    def _hear(self, worker: Worker | int, ready: object) -> None:
        # The selector's data is a worker, or the bell's descriptor. Reading resets the counter, or the
        # next select() would return at once.
        if isinstance(worker, int):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(worker)
        else:
            super()._hear(worker, ready)

    def _wait_s(self) -> float:
        return min(super()._wait_s(), self._tell_at - time.monotonic())

    def _is_due(self) -> bool:
        """Whether verdicts are to be delivered now.

        Each wakes the thread or event loop of a caller, which then takes a core from the workers. Where
        nothing is queued, callers are told at once: they may be about to ask for more.
        """
        if self._verdicts and self._asked:
            self._tell_at = min(self._tell_at, time.monotonic() + _HOLD_S)
            return time.monotonic() >= self._tell_at
        return True

    def _tell(self) -> None:
        self._tell_at = math.inf
        for number, verdict in self._verdicts.items():
            del self._live[number]
            self.futures.pop(number).set_result(verdict)
        self._verdicts.clear()
