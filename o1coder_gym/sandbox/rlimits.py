"""Resource limits of one child, set by the child itself before it runs anything foreign."""

from __future__ import annotations

import math
import resource

THREADS = 64
STACK_BYTES = 64 << 20
"""Room for deep recursion through C code; below the gap that the kernel keeps under the stack."""
_FILE_BYTES = 16 << 20
_OPEN_FILES = 64


def apply(cpu_s: float, address_space: int, processes: int) -> None:
    """Limits this process, soft and hard.

    Args:
        cpu_s: CPU seconds; the kernel kills a little later, as the supervisor's backstop.
        address_space: Bytes of address space in all.
        processes: Processes and threads of this user.
    """
    limits = (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_CPU, math.ceil(cpu_s) + 1),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_STACK, STACK_BYTES),
        (resource.RLIMIT_NPROC, processes),
    )
    for kind, value in limits:
        _lower(kind, value)


def _lower(kind: int, value: int) -> None:
    """Sets a limit, or leaves the hard one that is lower already."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
