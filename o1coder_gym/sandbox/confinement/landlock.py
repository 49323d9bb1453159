"""Landlock: a process restricts, irrevocably, which files it may read and write."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from o1coder_gym.sandbox.confinement.kernel import syscall

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REGULAR = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REGULAR | _REFER | _TRUNCATE
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE

_FILE_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_FILE_RIGHTS_SINCE_ABI_5 = (1 << 16) - 1
_BIND_AND_CONNECT_TCP = 3
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def abi() -> int:
    """Returns the version of Landlock that the kernel speaks, from 1.

    Raises:
        OSError: When it has none.
    """
    return syscall("landlock_create_ruleset", None, 0, _CREATE_VERSION)


def ruleset(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Prepares rules: all files not named are out of reach, and so are TCP and foreign signals.

    Args:
        readable: Files and folders that may be read, with all below them; nothing may be executed.
        writable: Files and folders in which files may also be written, made and removed.

    Returns:
        A file descriptor for `restrict`.

    Raises:
        OSError: When the kernel has no Landlock.
    """
    version = abi()
    # All rights that this kernel knows: only those that are handled are denied unless a rule grants them.
    handled = _FILE_RIGHTS_BY_ABI.get(version, _FILE_RIGHTS_SINCE_ABI_5)
    attributes = struct.pack("=Q", handled)
    # The structure grew with the versions: an older kernel refuses one with fields that it does not know.
    if version >= 4:
        attributes += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    rules = syscall("landlock_create_ruleset", attributes, len(attributes), 0)
    for paths, rights in ((readable, _READ), (writable, _WRITE)):
        for path in filter(os.path.exists, paths):
            # A right that is not handled may not be granted either.
            _permit(rules, path, rights & handled)
    return rules


def restrict(rules: int) -> None:
    """Applies the rules to this process, irrevocably.

    Raises:
        OSError: When the kernel refused.
    """
    syscall("landlock_restrict_self", rules, 0)


def _permit(rules: int, path: str, rights: int) -> None:
    """Adds one rule; a plain file takes only the rights that files have."""
    if not os.path.isdir(path):
        rights &= _OF_FILES
    # O_PATH needs no right to read: the rule is about the place, not about its content.
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        syscall("landlock_add_rule", rules, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, target), 0)
    finally:
        os.close(target)
