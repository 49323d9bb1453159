"""Giving up privileges: a user id of its own, no capabilities, nothing to gain by running a program."""

from __future__ import annotations

import errno
import os
import struct
from _socket import AF_UNIX, SOCK_STREAM, socket

from o1coder_gym.sandbox.confinement.kernel import prctl, syscall

_DROP_FROM_BOUNDING_SET, _AMBIENT, _CLEAR_ALL_AMBIENT, _SET_DUMPABLE = 24, 47, 4, 4
_CAPABILITY_VERSION_3 = 0x20080522

UID_SPACES = ((2_000_000_000, 1 << 22), (50_000, 10_000))
"""First id and number of ids to choose from: huge ids where the machine maps them, else small ones.

As many ids below each space are for the zygotes of these users.
"""


_CLAIM = "\0o1coder_gym user {}"
"""Abstract name of the socket that stands for a user id: the kernel gives it to one process at a time, and
takes it back when that ends."""
_claims: list[socket] = []


def private_uid() -> int | None:
    """Claims a user id that no other live zygote of this machine has; None if no such ids are mapped.

    The one of its overseer is mapped, too. Where to look first is drawn: zygotes in other containers, whose
    claims are not seen from here, count their processes under other ids, and ids soon used again are rare.
    """
    for first, count in UID_SPACES:
        if not _are_mapped(range(first - count, first + count)):
            continue
        start = int.from_bytes(os.urandom(4))
        ids = (first + (start + step) % count for step in range(count))
        return next(filter(_claim, ids), None)
    return None


def _claim(uid: int) -> bool:
    """Takes a user id for as long as this process lives; returns whether it was free."""
    claim = socket(AF_UNIX, SOCK_STREAM)
    try:
        claim.bind(_CLAIM.format(uid))
    except OSError as error:
        claim.close()
        return error.errno != errno.EADDRINUSE  # without such names the draw has to do
    _claims.append(claim)
    return True


def _are_mapped(ids: range) -> bool:
    """Whether user ids exist in this user namespace, within one range of it."""
    try:
        with open("/proc/self/uid_map") as lines:
            ranges = [tuple(map(int, line.split())) for line in lines]
    except OSError:
        return True  # no user namespaces
    return any(first <= ids[0] and ids[-1] < first + count for first, _, count in ranges)


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
    # Behind the bounding set, which needs a capability to be reduced.
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
