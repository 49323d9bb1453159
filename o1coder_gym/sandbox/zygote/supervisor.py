"""Enforces the limits of the zygote's children: CPU time decides, wall time is the backstop.

Wall time is a job's own: the time in which its processes were ready to run and got no core is not counted.
There is no ``/proc`` in here to read that from, so the trusted process is asked for it.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Sequence

from o1coder_gym.sandbox.wire import ChildReport, Ending, Mode, Request

_NOTICE_S = 0.005
"""After this the trusted process is told to read what the job writes: it may be waiting for that."""
_LOOK_S = 0.1
"""Longest time between two looks at the CPU clocks; threads may use CPU time faster than wall time."""
_BLIND_LOOK_MS = 5
"""Time between two looks where the kernel does not tell that a child has ended."""
_QUESTION_S = 1.0
"""Time between two questions to the trusted process."""
_PROGRESS = 0.1
"""A job that used less than this share of its CPU limit within its wall limit sleeps."""
_MOST_WINDOWS, _MOST_TOTALS = 10, 3
"""A job may last so many wall limits, or so many times its CPU limit if that is longer."""
_MOST_STARVED = 20
"""Likewise, of the longer of the two, with the time in which it waited for a core."""
_GAP_S = 2.0
"""This process looks at its children all the time: when it did not for so long, nothing ran here."""
_CHILD_ENDED = (signal.SIGCHLD,)


class Child:
    """A child of this process. Mutable: it records its ending.

    Attributes:
        pid: Process id in the zygote's namespace.
        since_s: CPU seconds that it had used when its present test began.
        ending: Why it ended, as far as that was our doing.
        report: How it ended; None while it lives.
    """

    __slots__ = ("ending", "pid", "report", "since_s")

    def __init__(self, pid: int) -> None:
        """Args: the process id."""
        self.pid = pid
        self.since_s = 0.0
        self.ending = Ending.OWN
        self.report: ChildReport | None = None

    def cpu_s(self) -> float:
        """CPU seconds that all threads of the process have used."""
        # The kernel's number for the CPU clock of a process (MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED), as
        # clock_getcpuclockid(3) returns it: works without /proc and counts threads that have ended.
        process_clock = (~self.pid << 3) | 2
        return time.clock_gettime(process_clock)

    def kill(self, ending: Ending) -> None:
        """Ends the process; the first reason stays."""
        if self.ending is Ending.OWN:
            self.ending = ending
        os.kill(self.pid, signal.SIGKILL)

    def reap(self, wait: bool = False) -> bool:
        """Collects the process if it has ended, or waits until it has; returns whether it has."""
        ended, status, usage = os.wait4(self.pid, 0 if wait else os.WNOHANG)
        if ended:
            self.report = ChildReport(status, self.ending, usage.ru_utime + usage.ru_stime)
        return bool(ended)


class Watch:
    """Watches one job at a time; blocks SIGCHLD in this process in order to wait for it."""

    def __init__(
        self,
        control: int,
        on_slow: Callable[[], None],
        ask: Callable[[Sequence[int]], None],
        hear: Callable[[], Request],
    ) -> None:
        """Prepares to watch.

        Args:
            control: File descriptor of the control socket; readable when a request has arrived.
            on_slow: Called once for a job that outlasts `_NOTICE_S`.
            ask: Asks the trusted process how long processes, given as pidfds, have waited for a core.
            hear: Reads what the trusted process says of the running job.
        """
        self._control = control
        self._on_slow = on_slow
        self._ask = ask
        self._hear = hear
        self._alive: list[Child] = []
        signal.pthread_sigmask(signal.SIG_BLOCK, _CHILD_ENDED)

    def run(self, children: list[Child], request: Request) -> tuple[tuple[ChildReport, ...], float]:
        """Waits until all children of a job have ended; kills those over a limit.

        Args:
            children: The candidate, then the tester if there is one; when the last ends, so do all.
            request: Carries the limits; the one of CPU time holds for each child.

        Returns:
            One report per child, in order; and the job's own seconds, 0 if it ended at once.
        """
        self._alive = list(children)
        started = time.monotonic()
        # Most jobs end within milliseconds: one system call waits for them, without pidfds and poll. SIGCHLD
        # is blocked, so it stays pending if a child ends before the wait; several merge into one, which is
        # why `_reap` asks every child.
        while self._alive and (patience_s := started + _NOTICE_S - time.monotonic()) > 0:
            if signal.sigtimedwait(_CHILD_ENDED, patience_s):
                self._reap(children[-1])
        own_s = 0.0
        if self._alive:
            self._on_slow()
            limits = _Limits(request, started)
            self._watch_slow(children[-1], limits)
            own_s = limits.own_s()
        return tuple(child.report for child in children if child.report), own_s

    def _watch_slow(self, last: Child, limits: _Limits) -> None:
        """Watches a job that did not end at once: its limits, and messages of the trusted process."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        longest_ms = 1000
        pidfds: list[int] = []
        with contextlib.ExitStack() as open_files:
            for child in self._alive:
                try:
                    ended = os.pidfd_open(child.pid)
                except OSError:  # an old kernel, or a system that only looks like Linux
                    longest_ms = _BLIND_LOOK_MS
                    continue
                open_files.callback(os.close, ended)
                poll.register(ended, select.POLLIN)
                pidfds.append(ended)
            while self._alive:
                for descriptor, _ in poll.poll(min(longest_ms, limits.patience_ms(self._alive))):
                    if descriptor != self._control:
                        poll.unregister(descriptor)
                    else:
                        self._obey(self._hear(), limits)
                self._reap(last)
                if self._alive and limits.ask():
                    self._ask(pidfds)

    def _reap(self, last: Child) -> None:
        """Collects the children that have ended; after the last of a job, the others are not needed."""
        self._alive = [child for child in self._alive if not child.reap()]
        if last.report:
            self._end_all()
            self._alive = [child for child in self._alive if not child.reap(wait=True)]

    def _obey(self, said: Request, limits: _Limits) -> None:
        """Does what the trusted process says in the middle of a job."""
        if said.mode == Mode.PROGRESS:
            self._begin_test()
        elif said.mode == Mode.WAITED:
            limits.enforce_wall(self._alive, said.wall_s)
        else:
            self._end_all()

    def _begin_test(self) -> None:
        """Counts the CPU time of the next test from here."""
        for child in self._alive:
            child.since_s = child.cpu_s()

    def _end_all(self) -> None:
        """Kills the running children that are no longer needed."""
        for child in self._alive:
            child.kill(Ending.STOPPED)


class _Limits:
    """The limits of a job that did not end at once. Mutable: it keeps the clocks."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._started = self._seen = started
        longest_s = max(request.wall_s, request.total_cpu_s)
        # The last resort: a program that always makes a little progress must end at some time.
        self._starved_end = started + _MOST_STARVED * longest_s
        self._last_s = max(_MOST_WINDOWS * request.wall_s, _MOST_TOTALS * request.total_cpu_s)
        self._window_s = request.wall_s
        self._window_cpu_s = 0.0
        self._lost_s = 0.0
        self._waited_share = 0.0
        self._question = started + min(_QUESTION_S, request.wall_s)
        self._asked = False

    def patience_ms(self, children: Collection[Child]) -> int:
        """Ends children that are over a limit of CPU time; returns the milliseconds until the next look."""
        patience_s = _LOOK_S
        for child in children:
            used_s = child.cpu_s()
            # By test: `since_s` moves on with each answered test, so one slow test cannot use up the time of
            # the others.
            left_s = self._request.cpu_s - (used_s - child.since_s)
            total_left_s = self._request.total_cpu_s - used_s
            if left_s <= 0:
                child.kill(Ending.CPU)
            elif total_left_s <= 0:
                child.kill(Ending.TOTAL_CPU)
            else:
                patience_s = min(patience_s, left_s, total_left_s)
        now = self._look()
        if now - self._lost_s >= self._starved_end:
            _kill(children, Ending.STARVED)
        if not self._asked:
            patience_s = min(patience_s, self._question - now)
        # At least a millisecond, or poll() would spin just before a deadline.
        return math.ceil(1000 * max(0.001, patience_s))

    def ask(self) -> bool:
        """Whether it is time to ask how long the job has waited for a core."""
        due = not self._asked and time.monotonic() >= self._question
        self._asked = self._asked or due
        return due

    def enforce_wall(self, children: Collection[Child], waited_s: float) -> None:
        """Ends children that are over a limit of wall time.

        Args:
            children: Those that live.
            waited_s: Seconds since the job began in which it was ready to run and got no core.
        """
        now = self._look()
        passed_s = now - self._started - self._lost_s
        own_s = passed_s - waited_s
        self._waited_share = waited_s / max(passed_s, waited_s, 1e-9)
        # CPU time tells a program that sleeps from one that goes on slowly: a window without progress ends
        # the job, one with progress buys another, up to `_last_s`.
        if own_s >= self._window_s:
            used_s = sum(child.cpu_s() for child in children)
            if used_s - self._window_cpu_s < _PROGRESS * self._request.cpu_s or own_s >= self._last_s:
                _kill(children, Ending.WALL)
            self._window_cpu_s = used_s
            self._window_s = own_s + self._request.wall_s
        self._asked = False
        self._question = now + min(_QUESTION_S, self._window_s - own_s)

    def own_s(self) -> float:
        """Returns the job's own seconds so far; since the last answer it waited as much as before it."""
        return (self._look() - self._started - self._lost_s) * (1 - self._waited_share)

    def _look(self) -> float:
        """Returns the present time; what has passed since the last look is lost if it is too long."""
        now = time.monotonic()
        if now - self._seen > _GAP_S:
            self._lost_s += now - self._seen
        self._seen = now
        return now


def _kill(children: Collection[Child], ending: Ending) -> None:
    """Ends all of them."""
    for child in children:
        child.kill(ending)
