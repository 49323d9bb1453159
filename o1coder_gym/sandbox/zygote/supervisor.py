"""Enforces the limits of the zygote's children: CPU time decides, wall time is the backstop."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable, Collection

from o1coder_gym.sandbox.wire import ChildReport, Ending, Request

_NOTICE_S = 0.005
"""After this the trusted process is told to read what the job writes: it may be waiting for that."""
_LOOK_S = 0.1
"""Longest time between two looks at the CPU clocks; threads may use CPU time faster than wall time."""
_BLIND_LOOK_MS = 5
"""Time between two looks where the kernel does not tell that a child has ended."""
_PROGRESS = 0.1
"""A job that used less than this share of its CPU limit within its wall limit waits; else it was starved."""
_MOST_WINDOWS, _MOST_STARVED = 10, 3
"""A job may last so many wall limits, or so many times its CPU limit if that is longer."""
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
        # A child over its limit may be killed again, as not needed, before it is collected.
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

    def __init__(self, control: int, on_slow: Callable[[], None], makes_progress: Callable[[], bool]) -> None:
        """Prepares to watch.

        Args:
            control: File descriptor of the control socket; readable when a request has arrived.
            on_slow: Called once for a job that outlasts `_NOTICE_S`.
            makes_progress: Reads the control socket; True if the job has completed a test and continues,
                False if it is to be stopped.
        """
        self._control = control
        self._on_slow = on_slow
        self._makes_progress = makes_progress
        self._alive: list[Child] = []
        signal.pthread_sigmask(signal.SIG_BLOCK, _CHILD_ENDED)

    def run(self, children: list[Child], request: Request) -> tuple[ChildReport, ...]:
        """Waits until all children of a job have ended; kills those over a limit.

        Args:
            children: The candidate, then the tester if there is one; when the last ends, so do all.
            request: Carries the limits; the one of CPU time holds for each child.

        Returns:
            One report per child, in order.
        """
        self._alive = list(children)
        started = time.monotonic()
        # Most jobs end within milliseconds: one system call waits for them, without pidfds and poll. SIGCHLD
        # is blocked, so it stays pending if a child ends before the wait; several merge into one, which is
        # why `_reap` asks every child.
        while self._alive and (patience_s := started + _NOTICE_S - time.monotonic()) > 0:
            if signal.sigtimedwait(_CHILD_ENDED, patience_s):
                self._reap(children[-1])
        if self._alive:
            self._on_slow()
            self._watch_slow(children[-1], _Limits(request, started))
        return tuple(child.report for child in children if child.report)

    def _watch_slow(self, last: Child, limits: _Limits) -> None:
        """Watches a job that did not end at once: its limits, and messages of the trusted process."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        longest_ms = 1000
        with contextlib.ExitStack() as open_files:
            for child in self._alive:
                try:
                    ended = os.pidfd_open(child.pid)
                except OSError:  # an old kernel, or a system that only looks like Linux
                    longest_ms = _BLIND_LOOK_MS
                    continue
                open_files.callback(os.close, ended)
                poll.register(ended, select.POLLIN)
            while self._alive:
                for descriptor, _ in poll.poll(min(longest_ms, limits.patience_ms(self._alive))):
                    if descriptor != self._control:
                        poll.unregister(descriptor)
                    elif self._makes_progress():
                        self._begin_test()
                    else:
                        self._end_all()
                self._reap(last)

    def _reap(self, last: Child) -> None:
        """Collects the children that have ended; after the last of a job, the others are not needed."""
        self._alive = [child for child in self._alive if not child.reap()]
        # The last is the tester, or the candidate where there is none: with it the job is decided.
        if last.report:
            self._end_all()
            self._alive = [child for child in self._alive if not child.reap(wait=True)]

    def _begin_test(self) -> None:
        """Counts the CPU time of the next test from here."""
        for child in self._alive:
            child.since_s = child.cpu_s()

    def _end_all(self) -> None:
        """Kills the running children that are no longer needed."""
        for child in self._alive:
            child.kill(Ending.STOPPED)


class _Limits:
    """The limits of a job that did not end at once."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._window_end = started + request.wall_s
        # The last resort: a program that always makes a little progress must end at some time.
        self._end = started + max(_MOST_WINDOWS * request.wall_s, _MOST_STARVED * request.total_cpu_s)
        self._window_cpu_s = 0.0

    def patience_ms(self, children: Collection[Child]) -> int:
        """Ends children that are over a limit; returns the milliseconds until the next look."""
        patience_s = _LOOK_S
        total_s = 0.0
        for child in children:
            used_s = child.cpu_s()
            total_s += used_s
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
        now = time.monotonic()
        # CPU time tells a program that waits from one that the machine's load has starved: a window without
        # progress ends the job, one with progress buys another, up to `_end`.
        if now >= self._window_end:
            used_s = total_s - self._window_cpu_s
            if used_s < _PROGRESS * self._request.cpu_s or now >= self._end:
                for child in children:
                    child.kill(Ending.WALL)
            self._window_cpu_s = total_s
            self._window_end += self._request.wall_s
        # At least a millisecond, or poll() would spin just before a deadline.
        return math.ceil(1000 * max(0.001, min(patience_s, self._window_end - time.monotonic())))
