"""System call filters (seccomp): an allow-list for the zygote, and less still for its children.

The large filter is installed once in the zygote and inherited; each child adds a small one that takes
away what only the zygote needs. Calls that are not on the list fail with EPERM; calls of a foreign
architecture (int 0x80, x32) kill the process.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import TypeAlias

from o1coder_gym.sandbox.confinement.kernel import MACHINE, NUMBERS, PROGRAM_CALLS, prctl

Instruction: TypeAlias = tuple[int, int, int, int]
"""One instruction of classic BPF: code, jump if true, jump if false, constant."""

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x50000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_EPERM, _ENOSYS, _ENOTSUP = 1, 38, 95

_NAMESPACE_FLAGS = 0x7E020000
_CLONE_THREAD = 0x10000
_GET_ACTION_AVAILABLE = 2
_SET_MODE_FILTER, _PR_SET_NAME, _PR_GET_NAME, _RLIMIT_STACK = 1, 15, 16, 3

_ABSENT = ("clone3", "openat2", "futex_waitv")
"""Answered with ENOSYS, so that the C library falls back to an older call.

clone3 and openat2 take their flags from memory, where a filter cannot read them.
"""
_ATTRIBUTES = tuple(f"{how}{what}xattr" for how in ("", "l", "f") for what in ("get", "set", "list"))
"""Answered with ENOTSUP, as by a file system without extended attributes; those who copy files ask."""
_MESSAGES = {"sendto": 3, "recvfrom": 3, "sendmsg": 2, "recvmsg": 2}
"""Where the flags of these calls are; none may speak of data out of band."""
_OUT_OF_BAND = 1

_SUPERVISION = (
    *("landlock_restrict_self", "pidfd_open", "seccomp", "setsid", "wait4", "waitid"),
    *("recvmsg", "sendmsg", "socketpair"),
)
"""Only the zygote needs these; `socketpair` and others come back to children by argument."""

_PERMISSIONS = ("chmod", "fchmod", "fchmodat", "utimensat", "link", "linkat")
"""Landlock does not watch over these, and without a root of its own a child might own real files."""

_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""

_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032, 1034, 36, 37, 38)
"""Duplicates, flags and locks; nothing that sends signals (F_SETOWN, F_SETSIG, leases)."""

_UNIX, _STREAMS = 1, (1, 1 | 0o4000, 1 | 0o2000000, 1 | 0o2004000)
"""AF_UNIX, and SOCK_STREAM with and without SOCK_NONBLOCK and SOCK_CLOEXEC (asyncio's self-pipe)."""

_OWN_PID = 0x0BADC0DE
"""Stands in the child's filter where its process id is written."""


def available() -> bool:
    """Whether this kernel and this machine have such filters."""
    if MACHINE not in _ARCHITECTURES:
        return False
    action = struct.pack("=I", _KILL)
    return _syscall(NUMBERS["seccomp"], _GET_ACTION_AVAILABLE, 0, action) == 0


def install_base() -> None:
    """Restricts this process and all it will fork to the zygote's allow-list.

    Raises:
        OSError: When the kernel or the machine has no such filters.
    """
    if MACHINE not in _ARCHITECTURES:
        raise OSError(f"no system call table for {MACHINE}")
    _install(_Filter(_base_program()))


def install_child(own_files: bool) -> None:
    """Takes from this process what only the zygote needs: fork, foreign signals, limits, sockets.

    Args:
        own_files: Whether all files that it could own are those of its scratch folder, so that it may
            change their permissions.

    Raises:
        OSError: When the kernel refused.
    """
    child_filter = _CHILD_FILTERS[own_files]
    # The filter is made in the zygote, but whose process id is allowed is known in the child alone.
    child_filter.write_pid(os.getpid())
    _install(child_filter)


def no_new_privileges() -> None:
    """Makes filters possible without privileges, and set-uid programs harmless.

    Raises:
        OSError: When the kernel refused.
    """
    set_no_new_privileges = 38
    prctl(set_no_new_privileges, 1)


def _base_program() -> list[Instruction]:
    """Returns the zygote's filter."""
    program = [
        # The same number is another call on another architecture: int 0x80 and x32 would pass the list below
        # as something else, so they kill.
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[MACHINE]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
    ]
    if MACHINE == "x86_64":
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for name, flags in _MESSAGES.items():
        program += _unless_flag(name, flags, _OUT_OF_BAND)
    # An allow-list: a call that a later kernel brings is refused until somebody has looked at it.
    for name in (*PROGRAM_CALLS, *_SUPERVISION, *_PERMISSIONS, "kill", "tgkill", "prctl", "prlimit64"):
        program += _answer(name, _ALLOW)
    for name in _ABSENT:
        program += _answer(name, _ERRNO | _ENOSYS)
    for name in _ATTRIBUTES:
        program += _answer(name, _ERRNO | _ENOTSUP)
    program += _if_argument("ioctl", 1, _IOCTLS)
    program += _if_argument("fcntl", 1, _FCNTLS)
    program += _unless_flag("clone", 0, _NAMESPACE_FLAGS)
    return [*program, _refusal()]


def _child_program(own_files: bool) -> list[Instruction]:
    """Returns the filter that a child adds; what it lets pass is still subject to the zygote's.

    Args:
        own_files: Whether all files that a child could own are those of its scratch folder.
    """
    # The architecture is checked by the zygote's filter: of several filters the strictest answer counts.
    program: list[Instruction] = [(_LOAD, 0, 0, _NUMBER_OFFSET)]
    # Threads may be made, processes may not.
    program += _for_call(
        "clone", [_argument(0), (_JUMP_SET, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW), _refusal()]
    )
    for name in ("kill", "tgkill"):
        program += _if_argument(name, 0, (_OWN_PID,))
    program += _if_argument("prctl", 0, (_PR_SET_NAME, _PR_GET_NAME))
    program += _for_call("prlimit64", _limit_rules())
    program += _for_call(
        "socketpair",
        [
            _argument(0),
            (_JUMP_EQUAL, 1, 0, _UNIX),
            _refusal(),
            _argument(1),
            *_one_of(_STREAMS),
        ],
    )
    for name in _SUPERVISION if own_files else (*_SUPERVISION, *_PERMISSIONS):
        program += _answer(name, _ERRNO | _EPERM)
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _limit_rules() -> list[Instruction]:
    """Reading one's own limits is allowed; raising the stack is answered as done: it is large already."""
    # prlimit64(pid, resource, new, old): another pid is foreign, and a null `new` only reads. The filter
    # loads 32 bits at a time, so a pointer is null when both of its words are.
    pid, resource, new_low, new_high = _argument(0), _argument(1), _argument(2), _argument(2, high=True)
    return [
        pid,
        (_JUMP_EQUAL, 1, 0, 0),
        _refusal(),
        new_low,
        (_JUMP_EQUAL, 0, 3, 0),
        new_high,
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        resource,
        (_JUMP_EQUAL, 0, 1, _RLIMIT_STACK),
        (_RETURN, 0, 0, _ERRNO),
        _refusal(),
    ]


def _answer(name: str, answer: int) -> list[Instruction]:
    """Returns rules that give one call one answer; none where the machine lacks the call."""
    return _for_call(name, [(_RETURN, 0, 0, answer)])


def _if_argument(name: str, index: int, values: Iterable[int]) -> list[Instruction]:
    """Returns rules that allow a call where an argument is one of `values`, else refuse it."""
    return _for_call(name, [_argument(index), *_one_of(values)])


def _unless_flag(name: str, index: int, flags: int) -> list[Instruction]:
    """Returns rules that refuse a call where an argument has one of `flags`, else allow it."""
    return _for_call(name, [_argument(index), (_JUMP_SET, 1, 0, flags), (_RETURN, 0, 0, _ALLOW), _refusal()])


def _one_of(values: Iterable[int]) -> list[Instruction]:
    """Returns rules that allow the loaded word if it is one of `values`, else refuse."""
    rules = [rule for value in values for rule in ((_JUMP_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    return [*rules, _refusal()]


def _for_call(name: str, rules: list[Instruction]) -> list[Instruction]:
    """Returns `rules` for one call only; they must end in a return."""
    if name not in NUMBERS:
        return []
    # Jumps are relative and forward; their offset is a byte, so `rules` has at most 255 entries.
    return [(_JUMP_EQUAL, 0, len(rules), NUMBERS[name]), *rules]


def _argument(index: int, high: bool = False) -> Instruction:
    """Loads the low or the high word of an argument (little-endian machines)."""
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index + 4 * high)


def _refusal() -> Instruction:
    """Answers EPERM."""
    return (_RETURN, 0, 0, _ERRNO | _EPERM)


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class _Filter:
    """A program in the kernel's form, made once so that installing it is one call."""

    def __init__(self, program: list[Instruction]) -> None:
        self._code = bytearray(b"".join(struct.pack("<HBBI", *instruction) for instruction in program))
        self._buffer = (ctypes.c_char * len(self._code)).from_buffer(self._code)
        self._program = _Program(len(program), ctypes.addressof(self._buffer))
        self._constants = (ctypes.c_uint32 * (2 * len(program))).from_buffer(self._code)
        # An instruction is two words of 32 bits, and its constant is the second.
        self._pids = [2 * at + 1 for at, instruction in enumerate(program) if instruction[3] == _OWN_PID]
        self.address = ctypes.c_void_p(ctypes.addressof(self._program))

    def write_pid(self, pid: int) -> None:
        """Puts a process id where the program speaks of its own."""
        for place in self._pids:
            self._constants[place] = pid


_syscall = ctypes.CDLL(None).syscall
"""Without errno: this runs in every child, and each page that ctypes touches there is copied."""


def _install(program: _Filter) -> None:
    """Adds a filter to this process."""
    if _syscall(NUMBERS["seccomp"], _SET_MODE_FILTER, 0, program.address):
        raise OSError("seccomp: the kernel refused the filter")


_CHILD_FILTERS = {own_files: _Filter(_child_program(own_files)) for own_files in (False, True)}
