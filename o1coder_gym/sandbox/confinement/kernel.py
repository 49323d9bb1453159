"""System calls that the standard library does not wrap, by name, with `OSError` on failure."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from o1coder_gym.sandbox.syscalls import NUMBERS

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
