"""A lane: the request queue and worker threads of one batched function, served by the driver's loop."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

_LOG = logging.getLogger(__name__)

Serve = Callable[[Sequence[Any]], Sequence[Any]]
"""The batched function: maps payloads to replies, one each, in order."""


@dataclass(eq=False, slots=True)
class Request:
    """A request in a lane. Mutable: one that failed in a batch is retried alone.

    Attributes:
        owner: The session that made it; opaque to the lane.
        payload: Argument of the function.
        priority: Lower goes first; the order in which the tasks began, so that old ones finish.
        weight: Worst-case tokens, for the bound of a batch; 0 where there is none.
        slot: Place of the answer in the owner's turn; opaque to the lane.
        serial: Number of the request in the owner's life; opaque to the lane.
        grant: The reservation of the owner's meter for it; opaque to the lane.
        alone: Whether it must leave in a batch of one.
    """

    owner: Any
    payload: Any
    priority: int
    weight: int = 0
    slot: int = 0
    serial: int = 0
    grant: Any = None
    alone: bool = False


@dataclass(eq=False, slots=True)
class Batch:
    """The requests of one call, and its outcome after `seconds`: `replies`, or the `error` that it raised."""

    lane: Lane
    requests: list[Request]
    started: float
    replies: Sequence[Any] = ()
    error: BaseException | None = None
    seconds: float = 0.0


GIVEN_UP = 10
"""Multiple of the time-out after which requests stop waiting for an overdue call of the only thread."""


@dataclass(eq=False)
class Lane:
    """Queue, threads and clock of one function. All but the threads belongs to the loop's thread.

    A call that takes longer than `timeout_s` is overdue. Where calls may overlap, another thread takes its
    place. With one thread the queue has to wait for the overdue call; waiting requests do not time out
    themselves, but fail when the call has not returned after `GIVEN_UP` times the time-out.

    Attributes:
        name: For messages and thread names.
        serve: The batched function; called from the lane's own threads.
        done: Queue of finished batches.
        threads: Batches in flight at most, overdue ones aside.
        batch_weight: Bound on the summed weight of a batch; None for no bound.
        batch_size: Bound on the requests of a batch; None for no bound.
        timeout_s: Seconds after which a call is overdue; None for never.
        mean_s: Running mean of the seconds that a batch takes, 0 before the first.
        busy_s: Seconds in the function so far, those of all threads.
        served: Requests answered so far.
        waiting_since: Arrival of the oldest waiting request, in seconds of the monotonic clock.
    """

    name: str
    serve: Serve
    done: SimpleQueue[Batch | None]
    threads: int = 1
    batch_weight: int | None = None
    batch_size: int | None = None
    timeout_s: float | None = None
    mean_s: float = 0.0
    busy_s: float = 0.0
    served: int = 0
    waiting_since: float = 0.0

    def __post_init__(self) -> None:
        """Prepares the queues; threads start with the first batches."""
        self._waiting: list[tuple[int, int, Request]] = []
        self._order = itertools.count()
        # Batches on their way to a thread; one None ends one thread (`close`).
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._started = 0
        # Both in the order of departure: the first of each is the first to be overdue.
        self.in_flight: dict[Batch, None] = {}
        self._overdue: dict[Batch, None] = {}

    @property
    def idle(self) -> int:
        """Number of batches that could be dispatched now."""
        # Where calls may overlap, an overdue one frees its place; where they may not, its thread is still
        # inside.
        alone = len(self._overdue) if self.threads == 1 else 0
        return self.threads - len(self.in_flight) - alone

    @property
    def waiting(self) -> int:
        """Number of queued requests."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether requests are queued or in flight, overdue ones aside."""
        return bool(self._waiting or self.in_flight)

    def put(self, request: Request) -> None:
        """Queues a request."""
        if not self._waiting:
            self.waiting_since = time.monotonic()
        # The counter breaks ties of priority by arrival, and keeps the heap from comparing requests.
        heapq.heappush(self._waiting, (request.priority, next(self._order), request))

    def drop(self, owner: object) -> None:
        """Removes the queued requests of one owner."""
        self._waiting = [entry for entry in self._waiting if entry[2].owner is not owner]
        heapq.heapify(self._waiting)

    def dispatch(self) -> None:
        """Sends batches to idle threads while requests wait."""
        while self._waiting and self.idle > 0:
            batch = Batch(self, self._take(), time.monotonic())
            self.in_flight[batch] = None
            # Threads are started on demand: most lanes never have more than one batch in flight.
            if self._started < len(self.in_flight) + len(self._overdue):
                self._started += 1
                threading.Thread(target=self._work, name=f"o1coder-{self.name}", daemon=True).start()
            self._inbox.put(batch)

    def land(self, batch: Batch) -> None:
        """Records a returned batch, overdue or not."""
        # in_flight maps batches to None, so the default comes back only for a batch that is not there:
        # overdue.
        if self.in_flight.pop(batch, batch) is batch:
            self._overdue.pop(batch, None)
        # From dispatch to landing, so the wait for a free thread counts: it is what a delay of the next batch
        # costs.
        seconds = time.monotonic() - batch.started
        self.mean_s = seconds if self.mean_s == 0 else 0.8 * self.mean_s + 0.2 * seconds
        self.busy_s += batch.seconds
        self.served += len(batch.requests)
        _LOG.debug("%s: %d requests in %.3f s", self.name, len(batch.requests), batch.seconds)

    @property
    def deadline(self) -> float | None:
        """When the next request expires, in seconds of the monotonic clock; None if none can."""
        if self.timeout_s is None:
            return None
        if self.in_flight:
            return next(iter(self.in_flight)).started + self.timeout_s
        if self._waiting and self._overdue and self.idle < 1:
            return next(iter(self._overdue)).started + GIVEN_UP * self.timeout_s
        return None

    def expire(self) -> list[Request]:
        """Returns requests that became overdue since the last call, or that wait for an abandoned one."""
        if (deadline := self.deadline) is None or time.monotonic() < deadline:
            return []
        # Nothing is in flight, and yet the deadline has passed: the only thread is given up, and all who wait
        # for it fail.
        if not self.in_flight:
            requests = [request for _, _, request in self._waiting]
            self._waiting.clear()
            return requests
        # Kept as overdue: its reply is paid for, and recorded when it comes.
        batch = next(iter(self.in_flight))
        del self.in_flight[batch]
        self._overdue[batch] = None
        return batch.requests

    def close(self) -> None:
        """Ends the threads after their current batch; does not wait for them."""
        for _ in range(self._started):
            self._inbox.put(None)

    def _take(self) -> list[Request]:
        # The first one leaves even if it alone exceeds the bound: it could never leave otherwise.
        first = heapq.heappop(self._waiting)[2]
        batch, weight = [first], first.weight
        while self._waiting and not (first.alone or self._waiting[0][2].alone):
            # Only the first in line is considered: were lighter ones behind it allowed to overtake, a heavy
            # request might wait for ever.
            weight += self._waiting[0][2].weight
            if self.batch_weight is not None and weight > self.batch_weight:
                break
            if self.batch_size is not None and len(batch) >= self.batch_size:
                break
            batch.append(heapq.heappop(self._waiting)[2])
        return batch

    def _work(self) -> None:
        while (batch := self._inbox.get()) is not None:
            started = time.perf_counter()
            try:
                # A list in this thread: what a lazy reply does, or raises, belongs to the call.
                batch.replies = list(self.serve([request.payload for request in batch.requests]))
            except BaseException as error:  # even an exit: the loop would wait for this batch for ever
                batch.error = error
            batch.seconds = time.perf_counter() - started
            self.done.put(batch)
