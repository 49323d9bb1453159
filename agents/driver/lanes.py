"""A lane: threads in front of one batched function, fed and emptied by the driver's loop."""

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
"""The batched function: payloads to replies, one each, in order."""


@dataclass(eq=False, slots=True)
class Request:
    """One piece of work in a lane. Mutable: a request that failed in a batch is tried alone.

    Attributes:
        owner: Who asked; opaque to the lane.
        payload: What the function is given.
        priority: Lower goes first; the order in which the tasks began, so that old ones finish.
        weight: Worst-case tokens, for the bound of a batch; 0 where there is none.
        slot: Place of the answer in the owner's turn; opaque to the lane.
        serial: Number of the request in the owner's life; opaque to the lane.
        grant: What the owner's meter reserved for it; opaque to the lane.
        alone: Whether it must be a batch of its own.
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
    """What left together, and what came back after `seconds`: `replies`, or the `error` that was raised."""

    lane: Lane
    requests: list[Request]
    started: float
    replies: Sequence[Any] = ()
    error: BaseException | None = None
    seconds: float = 0.0


GIVEN_UP = 10
"""Times its time-out after which a call that came from the only thread is not waited for any longer."""


@dataclass(eq=False)
class Lane:
    """Queue, threads and clock of one function. All but the threads belongs to the loop's thread.

    A call that takes longer than `timeout_s` is overdue. Where calls may overlap, another thread takes its
    place. A function that is called from one thread can only be waited for; what waits for it is not overdue,
    and is given up when the call has not come back after `GIVEN_UP` times the time-out.

    Attributes:
        name: For messages and thread names.
        serve: The batched function; called from the lane's own threads.
        done: Where finished batches are put.
        threads: Batches in flight at most, overdue ones aside.
        batch_weight: Bound on the summed weight of a batch; None for no bound.
        batch_size: Bound on the requests of a batch; None for no bound.
        timeout_s: Seconds after which a call is overdue; None for never.
        mean_s: Running mean of the seconds that a batch takes, 0 before the first.
        busy_s: Seconds in the function so far, those of all threads.
        served: Requests that came back so far.
        waiting_since: When the first of the waiting requests came, by the monotonic clock.
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
        self._inbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._started = 0
        # Both in the order of departure: the first of each is the first to be overdue.
        self.in_flight: dict[Batch, None] = {}
        self._overdue: dict[Batch, None] = {}

    @property
    def idle(self) -> int:
        """Number of batches that could leave now."""
        alone = len(self._overdue) if self.threads == 1 else 0
        return self.threads - len(self.in_flight) - alone

    @property
    def waiting(self) -> int:
        """Number of requests that have not left."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether something waits, or is away and may come back."""
        return bool(self._waiting or self.in_flight)

    def put(self, request: Request) -> None:
        """Queues a request."""
        if not self._waiting:
            self.waiting_since = time.monotonic()
        heapq.heappush(self._waiting, (request.priority, next(self._order), request))

    def drop(self, owner: object) -> None:
        """Forgets the requests of one owner that have not left."""
        self._waiting = [entry for entry in self._waiting if entry[2].owner is not owner]
        heapq.heapify(self._waiting)

    def dispatch(self) -> None:
        """Sends batches to idle threads while requests wait."""
        while self._waiting and self.idle > 0:
            batch = Batch(self, self._take(), time.monotonic())
            self.in_flight[batch] = None
            if self._started < len(self.in_flight) + len(self._overdue):
                self._started += 1
                threading.Thread(target=self._work, name=f"o1coder-{self.name}", daemon=True).start()
            self._inbox.put(batch)

    def land(self, batch: Batch) -> None:
        """Takes note that a batch is back, in time or not."""
        if self.in_flight.pop(batch, batch) is batch:
            self._overdue.pop(batch, None)
        seconds = time.monotonic() - batch.started
        self.mean_s = seconds if self.mean_s == 0 else 0.8 * self.mean_s + 0.2 * seconds
        self.busy_s += batch.seconds
        self.served += len(batch.requests)
        _LOG.debug("%s: %d requests in %.3f s", self.name, len(batch.requests), batch.seconds)

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to say, by the monotonic clock; None for never."""
        if self.timeout_s is None:
            return None
        if self.in_flight:
            return next(iter(self.in_flight)).started + self.timeout_s
        if self._waiting and self._overdue and self.idle < 1:
            return next(iter(self._overdue)).started + GIVEN_UP * self.timeout_s
        return None

    def expire(self) -> list[Request]:
        """Returns the requests that are overdue since the last time, and those that wait for a dead call."""
        if (deadline := self.deadline) is None or time.monotonic() < deadline:
            return []
        if not self.in_flight:
            requests = [request for _, _, request in self._waiting]
            self._waiting.clear()
            return requests
        batch = next(iter(self.in_flight))
        del self.in_flight[batch]
        self._overdue[batch] = None
        return batch.requests

    def close(self) -> None:
        """Tells the threads to end after what they are at; does not wait for them."""
        for _ in range(self._started):
            self._inbox.put(None)

    def _take(self) -> list[Request]:
        first = heapq.heappop(self._waiting)[2]
        batch, weight = [first], first.weight
        while self._waiting and not (first.alone or self._waiting[0][2].alone):
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
