"""Traces that a program may leave in the kernel without a system call filter: objects, keys, limits.

System V objects and keys outlive the process that makes them. A user namespace or a user id of its own
keeps them from everybody else, not from the next program of the same zygote.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from typing import TypeAlias

from o1coder_gym.sandbox.confinement.kernel import syscall

Condition: TypeAlias = tuple[object, ...]
"""All that another process of the same user may change of this one or leave beside it."""

_RESOURCES = 16
_MESSAGE_INFO, _MEMORY_INFO, _SEMAPHORE_INFO = 12, 14, 19
_SEMAPHORE_COUNT_AT = 7 * 4
_JOIN_SESSION, _SET_PERMISSIONS, _CLEAR, _GET_PERSISTENT, _CAPABILITIES = 1, 5, 7, 22, 31
_PROCESS_KEYS, _USER_KEYS, _USER_SESSION_KEYS = -2, -4, -5
_OF_NAMESPACE = 0x01
"""In the second byte of the capabilities: each user namespace has keyrings of its own."""

_libc = ctypes.CDLL(None)


def condition() -> Condition:
    """Returns the state of these traces; equal before and after a program that has left none."""
    return (
        _shared_memories(),
        _semaphores(),
        _message_queues(),
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        frozenset(os.sched_getaffinity(0)),
        *(resource.getrlimit(kind) for kind in range(_RESOURCES)),
    )


def forget_keys() -> None:
    """Separates a child, before it runs a program, from the keys of earlier children.

    It gets a session keyring of its own. The first child closes the keyrings of the user for good; the
    persistent one cannot be closed, but nobody can keep the next child from emptying it.
    """
    _try(_JOIN_SESSION, 0)
    for keyring in (_USER_KEYS, _USER_SESSION_KEYS):
        _try(_SET_PERMISSIONS, keyring, 0)
    persistent = _try(_GET_PERSISTENT, -1, _PROCESS_KEYS)
    if persistent > 0:
        _try(_CLEAR, persistent)


def keyrings_are_private(own_user: bool) -> bool:
    """Whether nobody but this zygote's children shares the keyrings of their user.

    Args:
        own_user: Whether the user id belongs to this zygote alone.
    """
    if own_user:
        return True
    flags = ctypes.create_string_buffer(2)
    return _try(_CAPABILITIES, flags, len(flags)) >= len(flags) and bool(flags.raw[1] & _OF_NAMESPACE)


def _try(*arguments: object) -> int:
    """Calls ``keyctl``; returns -1 where that fails, as on a kernel without keys."""
    try:
        return syscall("keyctl", *arguments)
    except OSError:
        return -1


def _shared_memories() -> int:
    """Returns the number of shared memory segments in the namespace; 0 where there is no such thing."""
    info = ctypes.create_string_buffer(256)
    _libc.shmctl(0, _MEMORY_INFO, info)
    return struct.unpack_from("=i", info)[0]


def _semaphores() -> int:
    """Returns the number of semaphore sets."""
    info = ctypes.create_string_buffer(256)
    _libc.semctl(0, 0, _SEMAPHORE_INFO, info)
    return struct.unpack_from("=i", info, _SEMAPHORE_COUNT_AT)[0]


def _message_queues() -> int:
    """Returns the number of message queues."""
    info = ctypes.create_string_buffer(256)
    _libc.msgctl(0, _MESSAGE_INFO, info)
    return struct.unpack_from("=i", info)[0]
