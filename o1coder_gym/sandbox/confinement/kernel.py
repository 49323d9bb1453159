"""System calls that the standard library does not wrap, by name, with `OSError` on failure.

Numbers of the system calls that the sandbox speaks of, for x86_64 and aarch64.

In the tables: name, number on x86_64, number on aarch64; a dash where a machine lacks the call.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

_PROGRAMS = """
brk 12 214   madvise 28 233   mmap 9 222   mprotect 10 226   mremap 25 216   msync 26 227   munmap 11 215
access 21 -   chdir 80 49   close 3 57   close_range 436 436   copy_file_range 326 285   creat 85 -
dup 32 23   dup2 33 -   dup3 292 24   faccessat 269 48   faccessat2 439 439   fadvise64 221 223
fallocate 285 47   fchdir 81 50   fdatasync 75 83   flock 73 32   fstat 5 80   fstatfs 138 44
fsync 74 82   ftruncate 77 46   getcwd 79 17   getdents 78 -   getdents64 217 61   lseek 8 62   lstat 6 -
mkdir 83 -   mkdirat 258 34   newfstatat 262 79   open 2 -   openat 257 56   pipe 22 -   pipe2 293 59
pread64 17 67   preadv 295 69   pwrite64 18 68   pwritev 296 70   read 0 63   readlink 89 -
readlinkat 267 78   readv 19 65   rename 82 -   renameat 264 38   renameat2 316 276   rmdir 84 -
sendfile 40 71   stat 4 -   statfs 137 43   statx 332 291   umask 95 166   unlink 87 -   unlinkat 263 35
write 1 64   writev 20 66   epoll_create 213 -   epoll_create1 291 20   epoll_ctl 233 21
epoll_pwait 281 22   epoll_wait 232 -   eventfd 284 -   eventfd2 290 19   poll 7 -   ppoll 271 73
pselect6 270 72   select 23 -   alarm 37 -   clock_getres 229 114   clock_gettime 228 113
clock_nanosleep 230 115   getitimer 36 102   gettimeofday 96 169   nanosleep 35 101   setitimer 38 103
time 201 -   times 100 153   exit 60 93   exit_group 231 94   futex 202 98   get_robust_list 274 100
gettid 186 178   membarrier 324 283   restart_syscall 219 128   rseq 334 293   sched_getaffinity 204 123
sched_getparam 143 121   sched_getscheduler 145 120   sched_get_priority_max 146 125
sched_get_priority_min 147 126   sched_yield 24 124   set_robust_list 273 99   set_tid_address 218 96
pause 34 -   rt_sigaction 13 134   rt_sigpending 127 136   rt_sigprocmask 14 135   rt_sigreturn 15 139
rt_sigsuspend 130 133   rt_sigtimedwait 128 137   sigaltstack 131 132   getcpu 309 168   getegid 108 177
geteuid 107 175   getgid 104 176   getgroups 115 158   getpgid 121 155   getpgrp 111 -   getpid 39 172
getppid 110 173   getpriority 140 141   getrandom 318 278   getresgid 120 150   getresuid 118 148
getrlimit 97 163   getrusage 98 165   getsid 124 156   getuid 102 174   sysinfo 99 179   uname 63 160
getpeername 52 205   getsockname 51 204   getsockopt 55 209   shutdown 48 210
"""
"""Calls that every program may make, whatever the arguments."""

_OTHERS = """
chmod 90 -   fchmod 91 52   fchmodat 268 53   fcntl 72 25   ioctl 16 29   openat2 437 437
utimensat 280 88   clone 56 220   clone3 435 435   futex_waitv 449 449   kill 62 129   tgkill 234 131
prctl 157 167   prlimit64 302 261   recvmsg 47 212   sendmsg 46 211   socketpair 53 199   capset 126 91
landlock_add_rule 445 445   landlock_create_ruleset 444 444   landlock_restrict_self 446 446
pidfd_open 434 434   pivot_root 155 41   seccomp 317 277   setsid 112 157   wait4 61 260   waitid 247 95
keyctl 250 219   recvfrom 45 207   sendto 44 206   link 86 -   linkat 265 37
getxattr 191 8   lgetxattr 192 9   fgetxattr 193 10   listxattr 194 11   llistxattr 195 12
flistxattr 196 13   setxattr 188 5   lsetxattr 189 6   fsetxattr 190 7
"""
"""Calls of the zygote alone, and calls that are allowed or refused by their arguments."""

_COLUMNS = {"x86_64": 1, "aarch64": 2}


def numbers(table: str, machine: str) -> dict[str, int]:
    """Returns the numbers in a table by name; none for a machine that `uname -m` names otherwise."""
    column = _COLUMNS.get(machine)
    if column is None:
        return {}
    cells = table.split()
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


MACHINE = os.uname().machine
PROGRAM_CALLS = numbers(_PROGRAMS, MACHINE)
NUMBERS = PROGRAM_CALLS | numbers(_OTHERS, MACHINE)

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(name: str, *arguments: Any) -> int:
    """Makes a system call.

    Args:
        name: As in `syscalls.NUMBERS`.
        *arguments: Python ints, bytes, None or ctypes values.

    Returns:
        What the call returned, at least 0.

    Raises:
        OSError: When the call failed, or this machine's number of it is not known.
    """
    if name not in NUMBERS:
        raise OSError(f"{name}: unknown system call on this machine")
    return _checked(_libc.syscall(ctypes.c_long(NUMBERS[name]), *map(_word, arguments)), name)


def prctl(option: int, *arguments: int) -> int:
    """Calls ``prctl`` with up to four arguments; zeros fill up.

    Raises:
        OSError: When it failed, or the system has no such call.
    """
    # Some options fail with EINVAL unless all arguments that they do not use are 0.
    return _checked(_function("prctl")(option, *map(_word, (*arguments, 0, 0, 0, 0)[:4])), f"prctl {option}")


def unshare(flags: int) -> None:
    """Moves the process into new namespaces.

    Raises:
        OSError: When it failed, or the system has no such call.
    """
    _checked(_function("unshare")(flags), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mounts, binds or remounts.

    Raises:
        OSError: When it failed, or the system has no such call.
    """
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    result = _function("mount")(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _checked(result, f"mount {target}")


def detach(target: str) -> None:
    """Unmounts lazily.

    Raises:
        OSError: When it failed, or the system has no such call.
    """
    lazily = 2
    _checked(_function("umount2")(target.encode(), lazily), f"umount {target}")


def _function(name: str) -> Any:
    """Returns a function of the C library."""
    try:
        return getattr(_libc, name)
    except AttributeError:
        raise OSError(f"{name}: not on this system") from None


def _word(argument: Any) -> Any:
    """Widens an int to the register size that system calls take."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(result: int, what: str) -> int:
    """Returns `result`, or raises the error that it stands for."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
