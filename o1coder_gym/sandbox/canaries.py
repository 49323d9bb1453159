"""Canaries: small programs that try what the sandbox forbids, run in it as any candidate is.

Each defines ``probe()``, which returns True if it got nowhere. `BAIT` stands for the path of a file that
the trusted process has put there to be found.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping

BAIT = "BAIT_PATH"

CANARIES: Mapping[str, str] = {
    "network": """
import socket
def probe():
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
            return False
        except OSError:
            pass
    return True
""",
    "processes": """
import os
def probe():
    try:
        child = os.fork()
    except OSError:
        return True
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return False
""",
    "programs": """
import glob, os, sys
def probe():
    loaders = glob.glob("/lib*/ld-*") + glob.glob("/lib/*/ld-*")
    for program in ("/bin/true", "/usr/bin/true", "/usr/bin/env", "/bin/sh", sys.executable, *loaders):
        try:
            os.execv(program, [program])
        except OSError:
            pass
    return True
""",
    "signals": """
import os
def probe():
    for process in (os.getppid() or 1, 1):
        try:
            os.kill(process, 0)
            return False
        except OSError:
            pass
    return True
""",
    "process_table": """
def probe():
    for name in ("self/environ", "self/maps", "1/cmdline", "meminfo"):
        try:
            open("/proc/" + name, "rb").close()
            return False
        except OSError:
            pass
    return True
""",
    "foreign_files": """
def probe():
    for path in ("BAIT_PATH", "/etc/passwd"):
        try:
            open(path, "rb").close()
            return False
        except OSError:
            pass
    return True
""",
    "system_files": """
import os
def probe():
    for folder in (os.path.dirname(os.__file__), "/etc", "/usr", "/usr/local", "/var/tmp", "/dev/shm"):
        path = os.path.join(folder, "sandbox_canary")
        try:
            open(path, "wb").close()
        except OSError:
            continue
        os.unlink(path)
        return False
    return True
""",
    "privileges": """
import ctypes, os
def probe():
    library = ctypes.CDLL(None)
    new_user_namespace = 0x10000000
    if library.unshare(new_user_namespace) == 0:
        return False
    try:
        os.chroot(".")
        return False
    except OSError:
        return True
""",
    "memory": """
def probe():
    try:
        return not bytearray(512 << 20)
    except MemoryError:
        return True
""",
    "threads": """
import threading
def probe():
    threading.stack_size(32 << 10)
    gate = threading.Event()
    for started in range(2000):
        try:
            threading.Thread(target=gate.wait, daemon=True).start()
        except (RuntimeError, MemoryError):
            break
    gate.set()
    return started < 1500
""",
}
"""By the name of the guarantee that each of them tests."""

PLANT = """
import ctypes, os
def probe():
    new_for_all = 0o1666
    ctypes.CDLL(None).shmget(0x0BAD5EED, 64, new_for_all)
    for folder in (os.curdir, "/tmp", "/var/tmp", "/dev/shm"):
        try:
            open(os.path.join(folder, ".sandbox_canary"), "wb").close()
        except OSError:
            pass
    return True
"""
"""Leaves files and shared memory behind; `FIND` is run after it."""

FIND = """
import ctypes, os
def probe():
    library = ctypes.CDLL(None)
    memory = library.shmget(0x0BAD5EED, 0, 0)
    found = memory >= 0
    if found:
        remove = 0
        library.shmctl(memory, remove, None)
    for folder in (os.curdir, "/tmp", "/var/tmp", "/dev/shm"):
        try:
            os.unlink(os.path.join(folder, ".sandbox_canary"))
            found = True
        except OSError:
            pass
    return not found
"""

DESCRIPTIONS: Mapping[str, str] = {
    "network": "no sockets",
    "processes": "no new processes",
    "programs": "no program is executed",
    "signals": "no signals to others",
    "process_table": "/proc is out of sight",
    "foreign_files": "no files are read but libraries",
    "system_files": "no files are written but in a scratch folder",
    "privileges": "no privileges, none to be had",
    "memory": "bounded memory",
    "threads": "bounded threads",
    "leftovers": "nothing is left for the next program",
}
"""What each guarantee says."""

STANDARD_LIBRARY = "the standard library"
_EXTENSION_MODULES = ("_bz2", "_ctypes", "_decimal", "_hashlib", "_lzma", "_sqlite3", "_ssl", "zlib")
"""Modules that lie in files of their own and want shared libraries; an interpreter may lack some."""


def imports(packages: Iterable[str]) -> dict[str, str]:
    """Returns canaries that import what programs are given, by the names that a report calls it."""
    extensions = [name for name in _EXTENSION_MODULES if importlib.util.find_spec(name)]
    wanted = {STANDARD_LIBRARY: [*extensions, "this"], **{name: [name] for name in packages}}
    return {name: _IMPORT.replace("MODULES", repr(modules)) for name, modules in wanted.items()}


_IMPORT = """
import contextlib, importlib, io
def probe():
    for name in MODULES:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module(name)
    return True
"""
