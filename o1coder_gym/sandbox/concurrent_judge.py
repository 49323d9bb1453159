"""A judge for many callers: threads and tasks put programs into one queue that keeps every worker busy.

`Judge.evaluate` serves one batch at a time; callers with a program each would wait for one another, one
worker at work. Here a thread of its own feeds the workers from the queue of all of them.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias

from o1coder_gym.errors import CalledOff, InfrastructureError, O1CoderError
from o1coder_gym.sandbox.batch import Batch
from o1coder_gym.sandbox.judge import Judge, default_judge
from o1coder_gym.sandbox.trial import ObservedTrial, Output, Trial
from o1coder_gym.sandbox.workers.pool import Pool
from o1coder_gym.sandbox.workers.worker import Worker
from o1coder_gym.types import Submission, Verdict

_Asked: TypeAlias = tuple[Trial, "Future[Verdict]"]


class ConcurrentJudge:
    """A judge that merges the calls of all threads and tasks (implements `protocols.Judge`)."""

    def __init__(self, judge: Judge | None = None) -> None:
        """Args: whose zygotes to use, `default_judge()` if None; its own batches wait meanwhile."""
        self._judge = judge
        self._feed = _Feed()

    @property
    def waiting(self) -> int:
        """Programs that no worker has begun with."""
        return len(self._feed.asked)

    def submit(self, submission: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        """Asks for one verdict and returns at once; a future that is cancelled in time costs nothing.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        return self._put(self._inner.trial(submission, stop_at_failure=stop_at_failure))

    def submit_run(self, submission: Submission, /) -> Future[tuple[Output, ...]]:
        """Asks what a program returns or prints, one output per test; see `Judge.outputs`.

        Raises:
            UsageError: When a test cannot be run on any program.
        """
        trial = self._inner.observed_trial(submission)
        found: Future[tuple[Output, ...]] = Future()
        verdict = self._put(trial)
        verdict.add_done_callback(partial(_tell_outputs, trial, found))
        found.add_done_callback(lambda told: told.cancelled() and verdict.cancel())
        return found

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch beside those of all other callers; arguments and errors as of `Judge.evaluate`."""
        futures = [self.submit(one, stop_at_failure=stop_at_failure) for one in submissions]
        try:
            return [future.result() for future in futures]
        finally:
            _cancel(futures)

    async def evaluate_async(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch without blocking the event loop; a cancelled task takes its programs back."""
        import asyncio  # here, for every program that judges imports this module

        futures = [self.submit(one, stop_at_failure=stop_at_failure) for one in submissions]
        try:
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        finally:
            _cancel(futures)

    def close(self) -> None:
        """Ends the thread; what is waiting is called off. The zygotes stay those of the judge given."""
        self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _inner(self) -> Judge:
        return self._judge or default_judge()

    def _put(self, trial: Trial) -> Future[Verdict]:
        if self._feed.owner != os.getpid():  # a thread does not survive a fork
            self._feed = _Feed()
        future: Future[Verdict] = Future()
        self._feed.put((trial, future), self._inner)
        return future


def _cancel(futures: Sequence[Future[Any]]) -> None:
    for future in futures:
        future.cancel()


def _tell_outputs(trial: ObservedTrial, found: Future[tuple[Output, ...]], verdict: Future[Verdict]) -> None:
    if verdict.cancelled() or not found.set_running_or_notify_cancel():
        found.cancel()
    elif error := verdict.exception():
        found.set_exception(error)
    else:
        found.set_result(trial.outputs(verdict.result()))


class _Feed:
    """What callers have asked for, the thread that works it off, and the bell that wakes it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.asked: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False

    def put(self, one: _Asked, judge: Judge) -> None:
        """Takes one in.

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
                self._changed.notify()
                os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """Calls off what is waiting, and waits for what runs."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            left, thread = list(self.asked), self._thread
            self.asked.clear()
            self._changed.notify()
            if thread is None:
                os.close(self._bell)
        for _, future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(CalledOff("the concurrent judge was closed"))
        if thread is not None and self.owner == os.getpid():
            thread.join()

    def _work(self, judge: Judge) -> None:
        """Borrows the zygotes while there is something to do."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.asked or self._closed)
                if self._closed:
                    os.close(self._bell)
                    return
            stream: _Stream | None = None
            try:
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
            told = [future for _, future in self.asked]
            self.asked.clear()
        told = [future for future in told if future.set_running_or_notify_cancel()]
        for future in [*told, *(stream.futures.values() if stream else ())]:
            future.set_exception(error)


class _Stream(Batch):
    """A batch that grows: it takes trials as workers become free, and tells each verdict at once."""

    def __init__(self, pool: Pool, asked: deque[_Asked], workers: int) -> None:
        self._live: dict[int, Trial] = {}
        super().__init__(pool, self._live)
        self.futures: dict[int, Future[Verdict]] = {}
        self._asked = asked
        self._workers = workers
        self._number = 0

    def flow(self, bell: int) -> None:
        """Works until nothing is asked any more.

        Raises:
            InfrastructureError: When no zygote can be started.
        """
        self._pool.selector.register(bell, selectors.EVENT_READ, bell)
        try:
            while self._take() or self._live:
                self._dispatch()
                self._listen()
                self._tell()
        finally:
            self._pool.selector.unregister(bell)
            self._pool.retire_busy()

    def _take(self) -> bool:
        """Takes as many as workers could begin with; what stays may still be called off."""
        while self._asked and self._unbegun < self._workers:
            trial, future = self._asked.popleft()
            if future.set_running_or_notify_cancel():
                self._number += 1
                self._live[self._number], self.futures[self._number] = trial, future
                self._wait(self._number)
        return self._unbegun > 0

    def _dispatch(self) -> None:
        self._take()
        super()._dispatch()

    def _hear(self, worker: Worker | int, ready: object) -> None:
        if isinstance(worker, int):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(worker)
        else:
            super()._hear(worker, ready)

    def _tell(self) -> None:
        for number, verdict in self._verdicts.items():
            del self._live[number]
            self.futures.pop(number).set_result(verdict)
        self._verdicts.clear()


_shared: ConcurrentJudge | None = None


def shared_judge() -> ConcurrentJudge:
    """Returns the one concurrent judge of this process, over the zygotes of `default_judge()`."""
    global _shared
    if _shared is None:
        _shared = ConcurrentJudge()
    return _shared
