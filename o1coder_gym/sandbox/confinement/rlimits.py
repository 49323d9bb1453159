"""Resource limits, soft and hard: those of all jobs in the zygote, those of one job in its children.

The kernel enforces them, memory among them. `zygote/supervisor.py` enforces CPU time exactly, and wall time.
"""

from __future__ import annotations

import math
import mmap
import resource
from collections.abc import Callable
from typing import Any

THREADS = 64
STACK_BYTES = 64 << 20
"""Room for deep recursion through C code; below the gap that the kernel keeps under the stack."""
_FILE_BYTES = 16 << 20
OPEN_FILES = 64
# 2^47 bytes in pages of 4 KiB: all of a process's address space on x86_64.
_MOST_PAGES = 1 << 35


def bound_zygote(processes: int) -> None:
    """Limits this process and all it will fork in what is the same for every job.

    Args:
        processes: Processes and threads of this user.
    """
    _lower(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)  # message queues outlive the process that makes them
    _lower(resource.RLIMIT_STACK, STACK_BYTES)
    _lower(resource.RLIMIT_NPROC, processes)


def address_space() -> int:
    """Returns the bytes of address space of this process, as the kernel counts them.

    Found by asking for a page under lower and lower limits, for there may be no ``/proc`` to read them from.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, _MOST_PAGES if hard == resource.RLIM_INFINITY else hard // mmap.PAGESIZE
    while high - low > 1:
        middle = (low + high) // 2
        # The soft limit alone: a hard one could not be raised again.
        resource.setrlimit(resource.RLIMIT_AS, (middle * mmap.PAGESIZE, hard))
        try:
            mmap.mmap(-1, mmap.PAGESIZE).close()
            high = middle
        except (OSError, MemoryError):
            low = middle
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high * mmap.PAGESIZE


def of_job(cpu_s: float, address_space: int) -> list[tuple[Callable[..., None], tuple[Any, ...]]]:
    """Returns the calls by which a child bounds itself: functions and their arguments.

    Args:
        cpu_s: CPU seconds; the kernel kills a little later, as the supervisor's backstop.
        address_space: Bytes of address space in all.
    """
    # Soft and hard alike: a program could raise a soft one again. CPU limits are whole seconds, rounded up
    # and one more, so that the supervisor, which is exact, comes first.
    values = ((resource.RLIMIT_AS, address_space), (resource.RLIMIT_CPU, math.ceil(cpu_s) + 1))
    return [(resource.setrlimit, (kind, _pair(kind, value))) for kind, value in values]


def _lower(kind: int, value: int) -> None:
    """Sets a limit, or leaves the hard one that is lower already."""
    resource.setrlimit(kind, _pair(kind, value))


def _pair(kind: int, value: int) -> tuple[int, int]:
    """Returns soft and hard limit: `value`, or the hard one in force if that is lower."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    return value, value
