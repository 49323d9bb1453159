"""The ways to ask a judge of many callers, all by its `submit`: a batch, a task, a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from typing import Any, Self

from o1coder_gym.sandbox.trial import Output
from o1coder_gym.types import Submission, Verdict

ROOM_PER_WORKER = 4
"""Programs that wait or run, for each worker: so many that none has to wait for a caller."""


class AskedJudge(ABC):
    """A judge that merges the calls of all threads and tasks (implements `protocols.Judge`)."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """Programs that can run at the same time."""

    @property
    def parallel(self) -> int:
        """Calls that may usefully be in progress at the same time."""
        return ROOM_PER_WORKER * self.workers

    @abstractmethod
    def submit(self, submission: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        """Queues one program and returns a future; cancelling it before a worker starts skips the run.

        Raises:
            UsageError: When a test cannot be run on any program.
        """

    @abstractmethod
    def submit_run(self, submission: Submission, /) -> Future[tuple[Output, ...]]:
        """Queues one program and returns a future of its outputs, one per test; see `Judge.outputs`.

        Raises:
            UsageError: When a test cannot be run on any program.
        """

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Number of queued programs that no worker has started."""

    @abstractmethod
    def close(self) -> None:
        """Cancels queued programs and refuses further ones."""

    def evaluate(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch, interleaved with other callers; arguments and errors as for `Judge.evaluate`."""
        futures = self._ask(submissions, stop_at_failure)
        try:
            return [future.result() for future in futures]
        finally:
            # Also when one of them raised or the caller was interrupted: nobody waits for the others any
            # more.
            cancel(futures)

    async def evaluate_async(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch without blocking the event loop; cancelling the task withdraws its programs."""
        futures = self._ask(submissions, stop_at_failure)
        try:
            await _all_done(futures)
            return [future.result() for future in futures]
        finally:
            cancel(futures)

    def _ask(self, submissions: Sequence[Submission], stop_at_failure: bool) -> list[Future[Verdict]]:
        """Queues a batch; nothing of it stays in the queue when one of its programs is refused."""
        futures: list[Future[Verdict]] = []
        try:
            for one in submissions:
                futures.append(self.submit(one, stop_at_failure=stop_at_failure))
        except BaseException:
            cancel(futures)
            raise
        return futures

    def as_completed(
        self,
        submissions: Iterable[Submission],
        /,
        *,
        stop_at_failure: bool = False,
        room: int | None = None,
    ) -> Generator[tuple[int, Verdict], None, None]:
        """Yields verdicts as they arrive, each with its program's index: a slow program delays no other.

        Args:
            submissions: Programs; drawn only while fewer than `room` are in progress, so that whoever makes
                them has to wait for the judge, and may never end.
            stop_at_failure: As for `Judge.evaluate`.
            room: Programs in progress at most, ≥ 1; None takes `parallel`.

        Raises:
            UsageError: When a test cannot be run on any program; the others are withdrawn.
        """
        done: SimpleQueue[Future[Verdict]] = SimpleQueue()
        places: dict[Future[Verdict], int] = {}
        # Drawn lazily: a generator of programs, e.g. one that samples them, is slowed down to the judge's
        # pace.
        waiting = enumerate(submissions)

        def ask(count: int) -> None:
            for place, submission in islice(waiting, count):
                future = self.submit(submission, stop_at_failure=stop_at_failure)
                places[future] = place
                future.add_done_callback(done.put)

        try:
            ask(room or self.parallel)
            while places:
                future = done.get()
                place = places.pop(future)
                ask(1)  # before the caller has its turn, which may be long
                yield place, future.result()
        finally:
            cancel(list(places))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _all_done(futures: Sequence[Future[Any]]) -> None:
    """Waits for all futures, or for the first that fails, which it raises; wakes the event loop once."""
    import asyncio  # here, for every program that judges imports this module

    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = list(futures)  # counted down by `pop`, since a pool of judges answers from several threads

    def wake(error: BaseException | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def told(future: Future[Any]) -> None:
        left.pop()
        error = CancelledError() if future.cancelled() else future.exception()
        if error is not None or not left:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(wake, error)

    for future in futures:
        future.add_done_callback(told)
    if futures:
        await done


def cancel(futures: Sequence[Future[Any]]) -> None:
    """Cancels the runs that have not started."""
    for future in futures:
        future.cancel()
