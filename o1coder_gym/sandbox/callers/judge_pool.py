"""A judge of several processes, for machines of more cores than one process keeps busy.

What a judge does itself for each program (it plans the runs, encodes inputs, compares results) it does in one
thread. So many workers wait for it; benchmarks/speed/judge/scaling.py says from how many on. Here a queue of
bounded length feeds several judges, each with a few workers: whoever asks while it is full has to wait.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import Empty, Queue
from typing import Any

from o1coder_gym.errors import CalledOff, InfrastructureError
from o1coder_gym.sandbox.callers.asking import ROOM_PER_WORKER, AskedJudge, cancel
from o1coder_gym.sandbox.callers.concurrent_judge import ConcurrentJudge
from o1coder_gym.sandbox.judge import default_judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.types import Submission, Verdict

WORKERS_PER_PROCESS = 8
"""Workers that one process keeps busy, see benchmarks/README.md."""
_DEATHS = 2
"""Processes that may die over one program."""


@dataclass(slots=True)
class _Question:
    """A program in the pool. Mutable: it counts the processes that died over it."""

    method: str
    submission: Submission
    keywords: dict[str, Any]
    answer: Future[Any] = field(default_factory=Future)
    deaths: int = 0


class JudgePool(AskedJudge):
    """A judge that runs in processes of its own, each with a part of the workers."""

    def __init__(
        self, workers: int | None = None, *, per_process: int = WORKERS_PER_PROCESS, **settings: Any
    ) -> None:
        """Starts the processes.

        Args:
            workers: Most zygotes of all processes; None means one per usable core.
            per_process: Most zygotes of each.
            settings: Of the judges, see `Judge`; what cannot be met is told to who asks.
        """
        self._workers = workers or len(os.sched_getaffinity(0))
        self._asked: Queue[_Question | None] = Queue(ROOM_PER_WORKER * self._workers)
        self._closed = False
        self._owner = os.getpid()
        sizes = [min(per_process, self._workers - begun) for begun in range(0, self._workers, per_process)]
        told = json.dumps({name: _plain(value) for name, value in settings.items()})
        self._members = [_Member(self._asked, size, told, number) for number, size in enumerate(sizes)]

    @property
    def usable(self) -> bool:
        """Whether it takes programs: it is open, and no copy in a fork, where its threads are not."""
        return not self._closed and self._owner == os.getpid()

    @property
    def workers(self) -> int:
        """Most zygotes of all processes."""
        return self._workers

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the judges."""
        return tuple(member.pid for member in self._members)

    @property
    def waiting(self) -> int:
        """Number of queued programs that no process has taken."""
        return self._asked.qsize()

    def submit(self, submission: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        """Queues one program, as soon as there is room; a test that fits no program is told by the future."""
        return self._put(_Question("submit", submission, {"stop_at_failure": stop_at_failure}))

    def submit_run(self, submission: Submission, /) -> Future[tuple[Output, ...]]:
        """Queues one program whose outputs are asked for, as `submit` does."""
        return self._put(_Question("submit_run", submission, {}))

    async def evaluate_async(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch without blocking the event loop, also while the queue is full."""
        import asyncio

        futures: list[Future[Verdict]] = []

        def submit() -> None:
            futures.extend(self.submit(one, stop_at_failure=stop_at_failure) for one in submissions)

        try:
            await asyncio.to_thread(submit)
            return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        finally:
            cancel(futures)

    def close(self) -> None:
        """Cancels queued programs, waits for those that run, and ends the processes."""
        if not self.usable:
            return
        self._closed = True
        self._call_off()
        for _ in self._members:
            self._asked.put(None)
        for member in self._members:
            member.join()
        self._call_off()  # what callers had to wait with until there was room

    def _call_off(self) -> None:
        with suppress(Empty):
            while True:
                asked = self._asked.get_nowait()
                if asked is not None and asked.answer.set_running_or_notify_cancel():
                    asked.answer.set_exception(CalledOff("the judge pool was closed"))

    def _put(self, asked: _Question) -> Future[Any]:
        if not self.usable:
            raise InfrastructureError("the judge pool is closed, or belongs to another process")
        self._asked.put(asked)
        return asked.answer


class _Member:
    """One process of a pool: a thread that feeds it, and one that listens to it."""

    def __init__(self, asked: Queue[_Question | None], workers: int, settings: str, number: int) -> None:
        self._asked = asked
        # sandbox warnings are those of all processes: the first one's are shown
        warnings = [] if number == 0 else ["-W", "ignore"]
        self._command = [sys.executable, *warnings, "-m", "o1coder_gym.sandbox.callers.judge_process"]
        self._arguments = [str(workers), settings]
        self._away: dict[int, _Question] = {}
        # Twice as many as run, so that none of its workers waits for the way here and back.
        self._slots = threading.Semaphore(2 * workers)
        self._ending = False
        self._lock = threading.Lock()
        self._start()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._feed, self._listen)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Process id of the judge."""
        return self._process.pid

    def join(self) -> None:
        """Waits for the end of both threads and of the process."""
        for thread in self._threads:
            thread.join()
        self._process.wait()

    def _start(self) -> None:
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [*self._command, str(far.fileno()), *self._arguments],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the process that asks
            )
        self._channel = Connection(near.detach())

    def _feed(self) -> None:
        """Gives the process what is asked, as much as it has room for."""
        for number in itertools.count():
            self._slots.acquire()
            asked = self._asked.get()
            if asked is None:
                break
            if not asked.answer.set_running_or_notify_cancel():
                self._slots.release()
                continue
            with self._lock:
                self._away[number] = asked
                self._send(number, asked)
        with self._lock:
            self._ending = True
            if not self._away:
                self._end()

    def _listen(self) -> None:
        """Passes answers on; a process that died is replaced."""
        while True:
            try:
                number, result = self._channel.recv()
            except (EOFError, OSError):
                if self._died():
                    return
                continue
            with self._lock:
                asked = self._away.pop(number, None)
                if self._ending and not self._away:
                    self._end()
            if asked is not None:
                self._slots.release()
                _resolve(asked, result)

    def _send(self, number: int, asked: _Question) -> None:
        with suppress(OSError):  # it has died: `_listen` gives this to the next one
            self._channel.send((number, asked.method, asked.submission, asked.keywords))

    def _end(self) -> None:
        """Says that nothing more will come; the process closes its end."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._channel.fileno())) as near:
            near.shutdown(socket.SHUT_WR)

    def _died(self) -> bool:
        """Starts another process for what the dead one had; returns whether the end was asked for."""
        self._process.wait()
        with self._lock:
            self._channel.close()
            if self._ending and not self._away:
                return True
            lost = [number for number, asked in self._away.items() if asked.deaths + 1 >= _DEATHS]
            given_up = [self._away.pop(number) for number in lost]
            self._start()
            for number, asked in self._away.items():
                asked.deaths += 1
                self._send(number, asked)
            if self._ending and not self._away:
                self._end()
        for asked in given_up:
            self._slots.release()
            asked.answer.set_exception(InfrastructureError(f"{_DEATHS} processes of the judge died over it"))
        return False


def _resolve(asked: _Question, result: object) -> None:
    if isinstance(result, BaseException):
        asked.answer.set_exception(result)
    else:
        asked.answer.set_result(result)


def _plain(value: Any) -> Any:
    """Returns a setting as JSON has it."""
    return value if value is None or isinstance(value, str | float | int) else list(value)


_shared: AskedJudge | None = None


def shared_judge() -> AskedJudge:
    """Returns the judge of many callers that this process shares.

    It has the zygotes of `default_judge`, or where these are too many for one process, those of a pool.
    """
    global _shared
    if _shared is None or (isinstance(_shared, JudgePool) and not _shared.usable):
        workers = default_judge().workers
        _shared = ConcurrentJudge() if workers <= WORKERS_PER_PROCESS else JudgePool(workers)
        if isinstance(_shared, JudgePool):
            atexit.register(_shared.close)
    return _shared
