"""How the judge uses many cores: recorded costs of programs, replayed through its own queue and dispatch.

    python benchmarks/speed/judge/scaling.py            # the table, from costs.json beside this file
    python benchmarks/speed/judge/scaling.py record     # measures the costs anew

Of each program is recorded what a zygote needs for it and what the judging process does itself (it plans the
runs, sends, reads, compares), of which it can do one thing at a time. The replay runs the judge's own batches
(`_Stream`, `Batch`) over workers whose work is a clock that is set forward; programs come in as fast as the
process that asks can send them to a pool. So it says what the judge's design allows; memory and caches that
cores share are not in it. Costs are CPU seconds: other work on the machine makes all of them larger alike.
"""

from __future__ import annotations

import json
import selectors
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from o1coder_gym.sandbox import Judge, JudgePool
from o1coder_gym.sandbox.callers.concurrent_judge import _Stream
from o1coder_gym.sandbox.callers.judge_pool import WORKERS_PER_PROCESS
from o1coder_gym.types import StdioTest, Submission

COSTS = Path(__file__).with_name("costs.json")
WORKERS = (1, 2, 4, 8, 16, 32, 64)
_ROUNDS = 3
_REPEATS = 10
"""The recorded programs, one after another, so often: the end, when workers run dry, weighs little."""


class Costs(NamedTuple):
    """What was recorded.

    Attributes:
        programs: Of each: seconds of a zygote, seconds of the judging process.
        asking_s: Seconds that the process that asks a pool spends on a program.
    """

    programs: tuple[tuple[float, float], ...]
    asking_s: float

    def repeated(self, times: int) -> Costs:
        """Returns the same programs several times over."""
        return Costs(self.programs * times, self.asking_s)


class Clock:
    """Virtual seconds of several threads: only the one that is behind all others runs."""

    def __init__(self, threads: int) -> None:
        """Args: number of threads; they are called 0, 1, 2 and so on."""
        self._changed = threading.Condition()
        self._times = dict.fromkeys(range(threads), 0.0)
        self.end = 0.0

    def now(self, thread: int) -> float:
        """Returns a thread's time."""
        return self._times[thread]

    def forward(self, thread: int, until: float) -> None:
        """Sets a thread's time, and returns when no other thread has anything to do before it."""
        with self._changed:
            self._times[thread] = max(until, self._times[thread])
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._first() == thread)

    def leave(self, thread: int) -> None:
        """Ends a thread."""
        with self._changed:
            self.end = max(self.end, self._times.pop(thread))
            self._changed.notify_all()

    def _first(self) -> int:
        return min(self._times, key=lambda one: (self._times[one], one))


class Queue:
    """The pool's queue in virtual time: each program is there when the process that asks has sent it."""

    def __init__(self, costs: Costs) -> None:
        """Args: programs, and what sending each takes."""
        self._costs = costs
        self._taken = 0
        self.now = 0.0

    @property
    def next_s(self) -> float | None:
        """When the next program is there; None after the last."""
        more = self._taken < len(self._costs.programs)
        return (self._taken + 1) * self._costs.asking_s if more else None

    def __bool__(self) -> bool:
        """Whether a program waits, as of a `deque`."""
        return self.next_s is not None and self.next_s <= self.now

    def popleft(self) -> tuple[Trial, Future[Any]]:
        """Takes a program, as `deque.popleft`."""
        if not self:
            raise IndexError
        self._taken += 1
        return Trial(*self._costs.programs[self._taken - 1]), Future()


class Trial:
    """A program as its costs; half of the judging process's share comes before it, half after."""

    wants_packages = False
    breakdowns = 0

    def __init__(self, worker_s: float, dispatch_s: float) -> None:
        """Args: seconds of a zygote, seconds of the judging process."""
        self.worker_s = worker_s
        self.half_s = dispatch_s / 2

    def next_job(self) -> Trial:
        """Returns itself: the job of a `Worker`."""
        return self

    def accept(self, finished: Trial) -> str:
        """Returns a verdict, after the second half."""
        finished.spend(self.half_s)
        return "pass"

    spend: Callable[[float], None]


class Worker:
    """A zygote whose work is time."""

    missing: dict[str, str] | None = {}  # noqa: RUF012 - it is ready, and is never told otherwise

    def __init__(self, pool: Pool) -> None:
        """Args: the pool that it is in."""
        self._pool = pool
        self.job: Trial | None = None
        self.done_s = 0.0

    def give(self, job: Trial) -> None:
        """Begins a job, after the judging process has done the first half of its share."""
        job.spend = self._pool.spend
        self._pool.spend(job.half_s)
        self.job, self.done_s = job, self._pool.now + job.worker_s

    def handle(self, ready: object) -> Trial | None:
        """Returns the finished job."""
        job, self.job = self.job, None
        return job


class Pool:
    """The workers of one judging process, and its selector, in virtual time."""

    def __init__(self, clock: Clock, thread: int, workers: int, queue: Queue) -> None:
        """Args: the clock and the name of this process there; its workers; where programs come from."""
        self._clock, self._thread, self._queue = clock, thread, queue
        self._workers = [Worker(self) for _ in range(workers)]
        self.selector = SimpleNamespace(register=_nothing, unregister=_nothing, select=self.select)
        self.retire_if_worn = self.retire_busy = _nothing
        self.busy_s = 0.0

    @property
    def now(self) -> float:
        """This process's time."""
        return self._clock.now(self._thread)

    def spend(self, seconds: float) -> None:
        """Works, in this process."""
        self.busy_s += seconds
        self._until(self.now + seconds)

    def idle(self, wanted: int, *, loaded: bool = False) -> list[Worker]:
        """Returns workers that have nothing to do."""
        return [worker for worker in self._workers if worker.job is None][:wanted]

    def wait_s(self) -> float:
        """Returns how long `select` may take; here the clock is set forward to what happens next."""
        return 0.0

    def overdue(self) -> list[Worker]:
        """Returns none: all answer in time."""
        return []

    def select(self, timeout: float) -> list[tuple[Any, int]]:
        """Waits for the first worker that is done, or for the next program; returns all that are done."""
        busy = [worker for worker in self._workers if worker.job is not None]
        moments = [worker.done_s for worker in busy]
        if len(busy) < len(self._workers) and self._queue.next_s is not None:
            moments.append(self._queue.next_s)
        self._until(max(self.now, min(moments)))
        return [
            (SimpleNamespace(data=worker, fileobj=None), selectors.EVENT_READ)
            for worker in busy
            if worker.done_s <= self.now
        ]

    def serve(self) -> None:
        """Runs the judge's own stream until the queue is empty for good."""
        self._until(0.0)
        while self._queue.next_s is not None:
            self._until(max(self.now, self._queue.next_s))
            stream: Any = _Stream(self, self._queue, len(self._workers))  # pyright: ignore[reportArgumentType]
            stream.flow(-1)
        self._clock.leave(self._thread)

    def _until(self, moment: float) -> None:
        self._clock.forward(self._thread, moment)
        self._queue.now = self.now


def _nothing(*arguments: object) -> None:
    """Does nothing: what the judge does with real sockets and processes."""


def replay(costs: Costs, sizes: Sequence[int]) -> tuple[float, float]:
    """Judges the programs in virtual time.

    Args:
        costs: Of the programs.
        sizes: Workers of each process of a pool.

    Returns:
        Seconds until the last verdict, and the share of them for which the busiest process was at work.
    """
    clock, queue = Clock(len(sizes)), Queue(costs)
    pools = [Pool(clock, number, size, queue) for number, size in enumerate(sizes)]
    threads = [threading.Thread(target=pool.serve) for pool in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return clock.end, max(pool.busy_s for pool in pools) / clock.end


def sizes_of(workers: int, per_process: int = WORKERS_PER_PROCESS) -> list[int]:
    """Returns the workers of each process of a pool, as `JudgePool` cuts them."""
    return [min(per_process, workers - begun) for begun in range(0, workers, per_process)]


def recorded() -> Costs:
    """Reads costs.json."""
    found = json.loads(COSTS.read_text())
    return Costs(tuple((worker, own) for worker, own in found["programs"]), found["asking_s"])


def record() -> None:
    """Measures the costs of generated programs, and writes costs.json."""
    from cpu import cpu_s
    from programs import generated

    asked = [
        Submission(one.code, None, tuple(map(StdioTest, one.inputs, one.outputs)))
        for kind in ("right", "wrong", "slow")
        for one in generated(kind)
    ]
    with Judge(1) as judge:
        judge.evaluate(asked[:8])
        began = sum(map(cpu_s, judge.pids))
        rounds = [[_measured(judge, one) for one in asked] for _ in range(_ROUNDS)]
        zygote_s = (sum(map(cpu_s, judge.pids)) - began) / _ROUNDS
    least = [tuple(map(min, zip(*found, strict=True))) for found in zip(*rounds, strict=True)]
    # What a zygote does beside the program itself (it forks, confines, reports) is the same for all.
    beside_s = (zygote_s - sum(worker_s for worker_s, _ in least)) / len(least)
    programs = [(round(worker_s + beside_s, 6), round(own_s, 6)) for worker_s, own_s in least]
    with JudgePool(2, per_process=1) as pool:
        pool.evaluate(asked[:16])
        spent = time.process_time()
        pool.evaluate(asked)
        asking_s = (time.process_time() - spent) / len(asked)
    COSTS.write_text(json.dumps({"asking_s": round(asking_s, 6), "programs": programs}) + "\n")


def _measured(judge: Judge, submission: Submission) -> tuple[float, float]:
    """Returns the CPU seconds of a program, and of this process for it."""
    spent = time.thread_time()
    (verdict,) = judge.evaluate([submission])
    return verdict.cpu_s, time.thread_time() - spent


def main() -> None:
    """Prints the table."""
    if sys.argv[1:] == ["record"]:
        record()
    costs = recorded()
    workers_s, own_s = (sum(column) / len(costs.programs) for column in zip(*costs.programs, strict=True))
    told = f"{1000 * workers_s:.2f} ms of a zygote, {1000 * own_s:.2f} ms of the judging process"
    print(f"{len(costs.programs)} programs, {told}, {1000 * costs.asking_s:.2f} ms of who asks, on average")
    many = costs.repeated(_REPEATS)
    alone, _ = replay(many, [1])
    title = f"pool of {WORKERS_PER_PROCESS}s"
    print(f"{'workers':>8}{'one process':>14}{'of N':>7}{title:>14}{'of N':>7}{'its busiest process':>22}")
    for workers in WORKERS:
        whole, _ = replay(many, [workers])
        pool, busy = replay(many, sizes_of(workers))
        one, several = alone / whole, alone / pool
        row = f"{workers:8}{one:14.1f}{one / workers:7.2f}"
        print(row + f"{several:14.1f}{several / workers:7.2f}{busy:22.0%}")


if __name__ == "__main__":
    main()
