"""The zygote's watch over its children: CPU time decides, wall time is the backstop."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from o1coder_gym.sandbox.wire import ChildReport, Ending, Request

_NOTICE_S = 0.005
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
    """One job under watch, from fork to end."""

    def __init__(self, children: list[Child], request: Request, control: int) -> None:
        """Starts watching.

        Args:
            children: The candidate, then the tester if there is one; when the last ends, so do all.
            request: Carries the limits; the one of CPU time holds for each child.
            control: The control socket; readable when the trusted process has something to say.
        """
        self._children = children
        self._request = request
        self._alive = {child.exited: child for child in children}
        self._window_end = time.monotonic() + request.wall_s
        self._window_cpu_s = 0.0
        self._poll = select.poll()
        for descriptor in (control, *self._alive):
            self._poll.register(descriptor, select.POLLIN)
        self._control = control

    def run(self, on_slow: Callable[[], None], stop_requested: Callable[[], bool]) -> tuple[ChildReport, ...]:
        """Waits until all children have ended, and sees to it that they do.

        Args:
            on_slow: Called once if the job takes its time.
            stop_requested: Reads the control socket; says whether the job shall be stopped.

        Returns:
            One report per child, in order.
        """
        reports: dict[int, ChildReport] = {}
        patience_s = _NOTICE_S
        while self._alive:
            events = self._poll.poll(math.ceil(patience_s * 1000))
            for descriptor, _ in events:
                if descriptor != self._control:
                    child = self._alive.pop(descriptor)
                    self._poll.unregister(descriptor)
                    reports[child.pid] = child.reap()
                elif stop_requested():
                    self._end_all(Ending.STOPPED)
            if self._children[-1].pid in reports:
                self._end_all(Ending.STOPPED)
            if not events:
                on_slow()
                patience_s = self._enforce()
        return tuple(reports[child.pid] for child in self._children)

    def _enforce(self) -> float:
        """Ends what is over a limit; returns the seconds until the next look."""
        patience_s = _LOOK_S
        total_s = 0.0
        for child in self._alive.values():
            used_s = child.cpu_s()
            total_s += used_s
            if used_s >= self._request.cpu_s:
                child.kill(Ending.CPU)
            else:
                patience_s = min(patience_s, self._request.cpu_s - used_s)
        if time.monotonic() >= self._window_end:
            if total_s - self._window_cpu_s < _PROGRESS * self._request.cpu_s:
                self._end_all(Ending.WALL)
            self._window_cpu_s = total_s
            self._window_end += self._request.wall_s
        return max(0.001, min(patience_s, self._window_end - time.monotonic()))

    def _end_all(self, ending: Ending) -> None:
        """Kills what still runs."""
        for child in self._alive.values():
            child.kill(ending)
