"""The steps by which a child confines itself before it runs untrusted code."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from o1coder_gym.sandbox.confinement import landlock, rlimits, seccomp, traces
from o1coder_gym.sandbox.confinement.namespaces import die_with_parent
from o1coder_gym.sandbox.wire import (
    BEGUN_FRAME,
    CHANNEL,
    Request,
)

MAX_DESCRIPTOR = 1 << 16
"""No process here has a file descriptor of this number."""


Placement: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs of an open file and the number that it shall have; numbers ascend, others are closed."""


Step: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""


_FRESH_STREAMS: tuple[Step, ...] = (
    (os.close, (0,)),
    (os.open, (os.devnull, os.O_RDWR)),
    (os.dup2, (0, 1)),
    (os.dup2, (0, 2)),
)
"""Opens standard streams again: flags and locks set on those of the zygote would reach later children."""


class Confinement(NamedTuple):
    """The confinement that each child applies to itself.

    Attributes:
        seccomp: Whether the small filter is added.
        landlock_rules: File descriptor of rules to enter; None if there are none, or if the zygote itself
            is under them.
        address_space: Bytes of the zygote's own address space, the baseline of the memory limit.
        dies_with_parent: Whether the kernel has to be asked to end them with the zygote, for they have
            neither a process namespace nor a root of their own.
        own_uid: User id that they take for good, so that the zygote is another user to them; None if
            they stay what the zygote is.
        forgets_keys: Whether they have to part with the kernel's keyrings of those before them.
        kept_from: File descriptors from this number on stay open.
    """

    seccomp: bool
    landlock_rules: int | None
    address_space: int
    dies_with_parent: bool
    own_uid: int | None = None
    forgets_keys: bool = False
    kept_from: int = MAX_DESCRIPTOR

    def steps(self, request: Request, placement: Placement) -> list[Step]:
        """Returns the calls that a child makes before it runs untrusted code.

        The zygote prepares the steps and the child takes them: code that runs for the first time in a
        child costs a copy of each page that it touches.
        """
        steps: list[Step] = []
        if self.dies_with_parent:
            steps.append((die_with_parent, ()))
        if not self.seccomp:
            steps.append((os.setsid, ()))  # the filter alone would keep signals from the zygote's group
        if self.own_uid is not None:
            # The effective id is `own_uid` already, so the death signal above stays: the kernel clears it
            # only when the effective id changes.
            steps.append((os.setresuid, (self.own_uid,) * 3))
        if self.forgets_keys:
            steps.append((traces.forget_keys, ()))
        if self.landlock_rules is not None:
            steps.append((landlock.restrict, (self.landlock_rules,)))
        steps += _FRESH_STREAMS
        # In a child number 3 becomes the job channel. In the zygote it was the control socket, so no child
        # can speak to the trusted process in the zygote's name; all above the last number is closed.
        steps += [(os.dup2, pair) for pair in placement]
        steps.append((os.closerange, (placement[-1][1] + 1, self.kept_from)))
        # Landlock and limits before the filter, which takes both calls away from the child.
        steps += rlimits.of_job(request.total_cpu_s, self.address_space + request.memory_bytes)
        if self.seccomp:
            steps.append((seccomp.install_child, (not self.dies_with_parent,)))
        # BEGUN last: whoever reads it knows that the steps before it were taken, for one that fails ends the
        # child; what follows may be the candidate's.
        steps += [(gc.enable, ()), (os.write, (CHANNEL, BEGUN_FRAME))]
        return steps


def take(steps: Sequence[Step]) -> None:
    """Takes the steps in order."""
    for function, arguments in steps:
        function(*arguments)
