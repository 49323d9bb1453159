"""The zygote's watch over its children: CPU time decides, wall time is the backstop."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from o1coder_gym.sandbox.wire import ChildReport, Ending, Request

_NOTICE_MS = 5
"""After this the trusted process is told to read what the job writes: it may be waiting for that."""
_LOOK_S = 0.1
"""Longest time between two looks at the CPU clocks; threads may use CPU time faster than wall time."""
_PROGRESS = 0.25
"""A job that used less than this share of its CPU limit within its wall limit waits; else it was starved."""


@dataclass(slots=True)
class Child:
    """A live child. Mutable: it learns how it is ended.

    Attributes:
        pid: Process id in the zygote's namespace.
        exited: File descriptor that becomes readable when the process ends.
        ending: Why it ended, as far as that was our doing.
    """

    pid: int
    exited: int
    ending: Ending = Ending.OWN

    @classmethod
    def of(cls, pid: int) -> Child:
        """Watches a process that was forked just now."""
        return cls(pid, os.pidfd_open(pid))

    def cpu_s(self) -> float:
        """CPU seconds that all threads of the process have used."""
        process_clock = (~self.pid << 3) | 2
        return time.clock_gettime(process_clock)

    def kill(self, ending: Ending) -> None:
        """Ends the process; the first reason stays."""
        if self.ending is Ending.OWN:
            self.ending = ending
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> ChildReport:
        """Collects the ended process."""
        os.close(self.exited)
        _, status, usage = os.wait4(self.pid, 0)
        return ChildReport(status, self.ending, usage.ru_utime + usage.ru_stime)


class Watch:
    """The watch over one job at a time."""

    def __init__(self, control: int, on_slow: Callable[[], None], stop_requested: Callable[[], bool]) -> None:
        """Prepares to watch.

        Args:
            control: The control socket; readable when the trusted process has something to say.
            on_slow: Called once for a job that takes its time.
            stop_requested: Reads the control socket; says whether the job shall be stopped.
        """
        self._control = control
        self._on_slow = on_slow
        self._stop_requested = stop_requested
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def run(self, children: list[Child], request: Request) -> tuple[ChildReport, ...]:
        """Waits until all children of a job have ended, and sees to it that they do.

        Args:
            children: The candidate, then the tester if there is one; when the last ends, so do all.
            request: Carries the limits; the one of CPU time holds for each child.

        Returns:
            One report per child, in order.
        """
        self._alive = {child.exited: child for child in children}
        reports: dict[int, ChildReport] = {}
        limits: _Limits | None = None
        started = time.monotonic()
        for descriptor in self._alive:
            self._poll.register(descriptor, select.POLLIN)
        while self._alive:
            events = self._poll.poll(
                _NOTICE_MS if limits is None else limits.patience_ms(self._alive.values())
            )
            for descriptor, _ in events:
                if descriptor != self._control:
                    self._poll.unregister(descriptor)
                    child = self._alive.pop(descriptor)
                    reports[child.pid] = child.reap()
                elif self._stop_requested():
                    self._end_all()
            if children[-1].pid in reports:
                self._end_all()
            if limits is None and not events:
                self._on_slow()
                limits = _Limits(request, started)
        return tuple(reports[child.pid] for child in children)

    def _end_all(self) -> None:
        """Kills what still runs and is not needed any more."""
        for child in self._alive.values():
            child.kill(Ending.STOPPED)


class _Limits:
    """The limits of a job that did not end at once."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._window_end = started + request.wall_s
        self._window_cpu_s = 0.0

    def patience_ms(self, children: Collection[Child]) -> int:
        """Ends children that are over a limit; returns the milliseconds until the next look."""
        patience_s = _LOOK_S
        total_s = 0.0
        for child in children:
            used_s = child.cpu_s()
            total_s += used_s
            if used_s >= self._request.cpu_s:
                child.kill(Ending.CPU)
            else:
                patience_s = min(patience_s, self._request.cpu_s - used_s)
        if time.monotonic() >= self._window_end:
            if total_s - self._window_cpu_s < _PROGRESS * self._request.cpu_s:
                for child in children:
                    child.kill(Ending.WALL)
            self._window_cpu_s = total_s
            self._window_end += self._request.wall_s
        return math.ceil(1000 * max(0.001, min(patience_s, self._window_end - time.monotonic())))
