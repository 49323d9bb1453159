"""Giving up privileges: a user id of its own, no capabilities, nothing to gain by running a program."""

from __future__ import annotations

import os
import struct

from o1coder_gym.sandbox.confinement.kernel import prctl, syscall

_DROP_FROM_BOUNDING_SET, _AMBIENT, _CLEAR_ALL_AMBIENT, _SET_DUMPABLE = 24, 47, 4, 4
_CAPABILITY_VERSION_3 = 0x20080522

UID_SPACES = ((2_000_000_000, 1 << 22), (50_000, 10_000))
"""First id and number of ids to choose from: huge ids where the machine maps them, else small ones.

As many ids below each space are for the zygotes of these users.
"""


def private_uid() -> int | None:
    """Returns a user id that no other live zygote of this machine takes; None if no such id is mapped.

    The one of its overseer is mapped, too.
    """
    for first, count in UID_SPACES:
        # 2^22 is the largest pid_max of the kernel, so in the first space each process id has a user id of
        # its own; in the small one ids repeat after 10,000.
        uid = first + os.getpid() % count
        if _is_mapped(uid) and _is_mapped(uid - count):
            return uid
    return None


def _is_mapped(uid: int) -> bool:
    """Whether a user id exists in this user namespace."""
    try:
        with open("/proc/self/uid_map") as lines:
            ranges = [tuple(map(int, line.split())) for line in lines]
    except OSError:
        return True  # no user namespaces
    return any(first <= uid < first + count for first, _, count in ranges)


def switch_user(uid: int, *, keep_file_access: bool) -> None:
    """Changes from root to a user of its own.

    Args:
        uid: User and group id to take, of `private_uid`.
        keep_file_access: Changes the real user id alone. It counts processes under the new user, but
            files are still opened as the old one: for an interpreter that only root can read.

    Raises:
        OSError: When the kernel refused.
    """
    os.setgroups([])
    if keep_file_access:
        os.setresuid(uid, -1, -1)
        return
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def switch_to_overseer(uid: int) -> None:
    """Changes from root to a user that may signal `uid` and use its files, but not the other way round.

    Processes of `uid` can neither signal this one nor change its limits.

    Args:
        uid: User and group id of the children, of `private_uid`; they have to take it for good.

    Raises:
        OSError: When the kernel refused.
    """
    overseer = uid - next(count for first, count in UID_SPACES if first <= uid < first + count)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    # Signals are checked against the target's real and saved ids, files against the effective one: children,
    # who take `uid` for all three, match neither of the first two.
    os.setresuid(overseer, uid, overseer)


def drop_capabilities() -> None:
    """Gives up all capabilities for good, and hides the process's memory from its own user.

    Raises:
        OSError: When the kernel refused.
    """
    for capability in range(64):
        try:
            prctl(_DROP_FROM_BOUNDING_SET, capability)
        except OSError:
            break  # one past the last capability, or not allowed: then there are none to drop
    prctl(_AMBIENT, _CLEAR_ALL_AMBIENT)
    syscall("capset", struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
    # Else a process of the same user could read this memory (ptrace, /proc/PID/mem).
    prctl(_SET_DUMPABLE, 0)


def open_to_all(path: str) -> bool:
    """Whether every user can reach and read `path`."""
    readable = 0o004
    searchable = 0o001
    try:
        if not os.stat(path).st_mode & readable:
            return False
        while (path := os.path.dirname(path)) != "/":
            if not os.stat(path).st_mode & searchable:
                return False
    except OSError:
        return False
    return True
