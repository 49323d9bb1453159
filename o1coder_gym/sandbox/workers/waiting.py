"""How long processes have been ready to run without a core, by the kernel's account.

A sleeping process waits for nothing of ours, one on the run queue for the machine. The kernel counts the
latter per thread (``run_delay`` in ``/proc/PID/schedstat``), time under a cgroup's CPU quota included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def waited_s(pidfds: Iterable[int]) -> float:
    """Returns the seconds that processes waited for a core, one after the other; 0 if it is not known."""
    return sum(run_delay_s(_pid(pidfd)) for pidfd in pidfds)


def run_delay_s(pid: int) -> float:
    """Returns the seconds that a process waited for a core since its start; 0 if it is not known.

    It is that of the thread that waited longest: the others may have waited at the same time.
    """
    longest_ns = 0
    with suppress(OSError):  # it has ended
        for thread in os.listdir(_PROC / str(pid) / "task"):
            # One thread may end meanwhile; a kernel without this account has no such file, or an empty one.
            with suppress(OSError, IndexError):
                account = (_PROC / str(pid) / "task" / thread / "schedstat").read_text()
                longest_ns = max(longest_ns, int(account.split()[1]))
    return longest_ns / 1e9


def _pid(pidfd: int) -> int:
    """Returns the id, as seen from here, of a process in another namespace; -1 if it has ended."""
    with suppress(OSError):  # no /proc here
        for line in (_PROC / "self" / "fdinfo" / str(pidfd)).read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Pid":
                return int(value)
    return -1
