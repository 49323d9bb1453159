"""A judge of several processes, for machines of more cores than one process keeps busy.

What a judge does itself for each program (it plans the runs, encodes inputs, compares results) it does in one
thread, so many workers wait for it; benchmarks/speed/judge/scaling.py says from how many on. Here several
judges, each with a few workers, get programs as they have room: whoever asks when none has room waits.
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
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.sandbox.callers.asking import AskedJudge
from o1coder_gym.sandbox.callers.concurrent_judge import ConcurrentJudge
from o1coder_gym.sandbox.grading import unjudged
from o1coder_gym.sandbox.judge import default_judge
from o1coder_gym.sandbox.trial import Output
from o1coder_gym.types import Outcome, Submission, Verdict

WORKERS_PER_PROCESS = 4
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

    def unjudged(self, reason: str) -> Verdict | tuple[Output, ...]:
        """Returns the answer to a program over which the judge failed, as `Judge` gives it."""
        tests = self.submission.tests
        if self.method == "submit_run":
            return tuple(Output(None, Outcome.INFRASTRUCTURE, reason) for _ in tests)
        return unjudged(len(tests), reason)


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
        self._room = threading.Condition()
        self._closed = False
        self._owner = os.getpid()
        told = json.dumps({name: _plain(value) for name, value in settings.items()})
        sizes = [min(per_process, self._workers - begun) for begun in range(0, self._workers, per_process)]
        self._members = [_Member(self._room, size, told, number) for number, size in enumerate(sizes)]

    @property
    def usable(self) -> bool:
        """Whether the pool takes programs: it is open, and not a forked copy, which lacks its threads."""
        return not self._closed and self._owner == os.getpid()

    @property
    def workers(self) -> int:
        """The largest number of zygotes in all processes."""
        return self._workers

    @property
    def parallel(self) -> int:
        """Programs that the processes accept before one is judged."""
        return sum(member.slots for member in self._members)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the judges."""
        return tuple(member.pid for member in self._members)

    @property
    def waiting(self) -> int:
        """Number of programs beyond those that can run."""
        return max(0, sum(len(member.away) for member in self._members) - self._workers)

    def submit(self, submission: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        """Sends one program to the first process with room; from then on it cannot be cancelled.

        A test that cannot be run on any program is told by the future.
        """
        return self._put(_Question("submit", submission, {"stop_at_failure": stop_at_failure}))

    def submit_run(self, submission: Submission, /) -> Future[tuple[Output, ...]]:
        """Sends one program as `submit` does, for its outputs."""
        return self._put(_Question("submit_run", submission, {}))

    async def evaluate_async(
        self, submissions: Sequence[Submission], /, *, stop_at_failure: bool = False
    ) -> list[Verdict]:
        """Judges a batch without blocking the event loop, also while no process has room.

        Cancelling the task withdraws the programs that no process has.
        """
        import asyncio

        gone = threading.Event()

        def judged() -> list[Verdict]:
            wanted = (one for one in submissions if not gone.is_set())
            futures = [self.submit(one, stop_at_failure=stop_at_failure) for one in wanted]
            return [] if gone.is_set() else [future.result() for future in futures]

        try:
            return await asyncio.to_thread(judged)
        finally:
            gone.set()  # a thread cannot be cancelled

    def close(self) -> None:
        """Waits for programs in progress, and ends the processes; callers waiting for room get an error."""
        if not self.usable:
            return
        with self._room:
            self._closed = True
            self._room.notify_all()
            for member in self._members:
                member.end()
        for member in self._members:
            member.join()

    def _put(self, asked: _Question) -> Future[Any]:
        with self._room:
            if self._owner == os.getpid():
                self._room.wait_for(lambda: self._closed or any(one.free for one in self._members))
            if not self.usable:
                raise InfrastructureError("the judge pool is closed, or belongs to another process")
            # The one with most room: with equal programs that is round robin, and a slow one fills up and is
            # passed over.
            max(self._members, key=lambda one: one.free).take(asked)
        return asked.answer


class _Member:
    """One process of a pool, and the thread that listens to it. The lock `room` guards its state."""

    def __init__(self, room: threading.Condition, workers: int, settings: str, number: int) -> None:
        # More than run, so that none of its workers waits for the way here and back; but none that could only
        # run behind one certain other, which may be slow.
        self.slots = 2 * workers - 1
        self.away: dict[int, _Question] = {}
        self._room = room
        # Sandbox warnings are those of all processes: the first one's are shown.
        warnings = [] if number == 0 else ["-W", "ignore"]
        self._command = [sys.executable, *warnings, "-m", "o1coder_gym.sandbox.callers.judge_process"]
        self._arguments = [str(workers), settings]
        self._numbers = itertools.count()
        self._ending = False
        self._wanted = threading.Event()  # whether a process that has died needs a successor
        self._again: deque[int] = deque()
        self._alone: int | None = None
        self._works = False  # whether any of its processes has ever answered
        self._start()
        self._thread = threading.Thread(target=self._listen, name="judge pool", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Process id of the judge."""
        return self._process.pid

    @property
    def free(self) -> int:
        """The number of further programs that the process has room for."""
        return self.slots - len(self.away)

    def take(self, asked: _Question) -> None:
        """Sends a program to the process."""
        number = next(self._numbers)
        self._send(number, asked)  # first, for what cannot be pickled must not take room
        asked.answer.set_running_or_notify_cancel()
        self.away[number] = asked
        self._wanted.set()

    def end(self) -> None:
        """Announces the end of requests; after its last answer the process closes its end."""
        self._ending = True
        self._wanted.set()
        if not self.away:
            self._hang_up()

    def join(self) -> None:
        """Waits for the end of the thread and of the process."""
        self._thread.join()
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

    def _listen(self) -> None:
        """Passes on answers, and replaces a dead process."""
        while True:
            try:
                number, result = self._channel.recv()
            except (EOFError, OSError):
                if self._died():
                    return
                continue
            self._works = True
            with self._room:
                asked = self.away.pop(number)
                self._room.notify()
                if number == self._alone:
                    self._send_again()
                if self._ending and not self.away:
                    self._hang_up()
            if isinstance(result, BaseException):
                asked.answer.set_exception(result)
            else:
                asked.answer.set_result(result)

    def _send(self, number: int, asked: _Question) -> None:
        with suppress(OSError):  # it has died: `_died` gives this to the next one
            self._channel.send((number, asked.method, asked.submission, asked.keywords))

    def _hang_up(self) -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(self._channel.fileno())) as near:
            # Half of the connection: answers that are on their way still arrive.
            near.shutdown(socket.SHUT_WR)

    def _died(self) -> bool:
        """Starts another process as soon as one is needed; returns whether this one was asked to end."""
        self._process.wait()
        reason = f"{_DEATHS} processes of the judge died over it"
        for asked in self._given_up():
            if self._works:  # then it is this program, whose neighbours in a batch must not be lost with it
                asked.answer.set_result(asked.unjudged(reason))
            else:
                asked.answer.set_exception(InfrastructureError(reason))
        self._wanted.wait()  # not at once: processes that cannot start would be started for ever
        with self._room:
            if not self.away:
                return True
            self._start()
            # One after the other: the one that may have killed the process must not take the others with it
            # again.
            self._again = deque(self.away)
            self._send_again()
        return False

    def _given_up(self) -> list[_Question]:
        """Counts a death for each program of the dead process; removes programs with too many deaths."""
        with self._room:
            self._channel.close()
            for number, asked in self.away.items():
                asked.deaths += number not in self._again
            over = [number for number, asked in self.away.items() if asked.deaths == _DEATHS]
            self._room.notify(len(over))
            given_up = [self.away.pop(number) for number in over]
            if not self.away and not self._ending:
                self._wanted.clear()
        return given_up

    def _send_again(self) -> None:
        """Sends the next program of a dead process."""
        self._alone = self._again.popleft() if self._again else None
        if self._alone is not None:
            self._send(self._alone, self.away[self._alone])


def _plain(value: Any) -> Any:
    """Returns a setting as a JSON value."""
    return value if value is None or isinstance(value, str | float | int) else list(value)


_shared: AskedJudge | None = None
_making = threading.Lock()


def _renew_lock() -> None:
    """Replaces the lock in a forked child, where the thread that may have held it does not exist."""
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def shared_judge() -> AskedJudge:
    """Returns this process's shared judge of many callers.

    It has the zygotes of `default_judge`, or where these are too many for one process, those of a pool.
    """
    global _shared
    with _making:
        if _shared is None or (isinstance(_shared, JudgePool) and not _shared.usable):
            workers = default_judge().workers
            _shared = ConcurrentJudge() if workers <= WORKERS_PER_PROCESS else JudgePool(workers)
            if isinstance(_shared, JudgePool):
                atexit.register(_shared.close)
        return _shared
