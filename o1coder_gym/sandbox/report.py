"""The sandbox report: which guarantees hold on this machine, measured by canaries.

A canary is a small program that tries what the sandbox forbids and runs in it like any candidate. It defines
``probe()``, which returns True if the attempt failed. `BAIT` stands for the path of a file that the trusted
process creates as bait.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from o1coder_gym.errors import InfrastructureError, SandboxError, UsageError
from o1coder_gym.sandbox.confinement.blueprint import LAYERS
from o1coder_gym.types import CallTest, Limits, Outcome, Submission, Verdict

_PROBE_LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_bytes=128 << 20)
_IMPORT_LIMITS = Limits(cpu_s=30.0, wall_s=60.0)


USUALLY_REQUIRED = ("foreign_files", "system_files")
"""Guarantees without which no untrusted program is run, unless that is asked for by name."""
WITHOUT = "O1CODER_SANDBOX_WITHOUT"
"""Environment variable that asks for it, with names between commas."""


class SandboxWarning(UserWarning):
    """Warns that programs run with less protection than this sandbox can give."""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """The guarantees, layers and imports that hold on this machine, and those that do not.

    Attributes:
        guarantees: Whether each guarantee held when a canary tried to break it.
        missing_layers: Why a layer, or part of one, is absent; empty if all are there.
        imports: Why programs cannot import a package that they are given, by its name; empty text if they
            can.
    """

    guarantees: Mapping[str, bool]
    missing_layers: Mapping[str, str]
    imports: Mapping[str, str] = field(default_factory=dict)

    @property
    def protects(self) -> bool:
        """Whether every layer is in force and every guarantee held."""
        return not self.missing_layers and not self.broken

    @property
    def full(self) -> bool:
        """Whether it protects, and programs can import all promised packages."""
        return not self.gaps

    @property
    def gaps(self) -> tuple[str, ...]:
        """One phrase for each thing that is missing."""
        gaps = [f"not guaranteed: {', '.join(self.broken)}"] if self.broken else []
        gaps += [f"no {name}: {why}" for name, why in self.missing_layers.items()]
        gaps += [f"programs cannot import {name}: {why}" for name, why in self.imports.items() if why]
        return tuple(gaps)

    @property
    def summary(self) -> str:
        """The report in one line."""
        layers = ", ".join(name for name in LAYERS if name not in self.missing_layers) or "none"
        return "; ".join((f"layers in force: {layers}", *(self.gaps or ("nothing is missing",))))

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the guarantees that did not hold."""
        return tuple(name for name, held in self.guarantees.items() if not held)

    def lines(self) -> list[str]:
        """Returns the report as lines of text."""
        marks = {True: "held", False: "BROKEN"}
        lines = [f"{name}: {marks[held]} ({DESCRIPTIONS[name]})" for name, held in self.guarantees.items()]
        layers = [f"layer {name}: {self.missing_layers.get(name) or 'on'}" for name in LAYERS]
        others = [f"{name}: {why}" for name, why in self.missing_layers.items() if name not in LAYERS]
        imports = [f"programs import {name}: {why or 'yes'}" for name, why in self.imports.items()]
        return lines + layers + others + imports

    def demand(self, required: Iterable[str]) -> None:
        """Checks that all requirements hold.

        Args:
            required: Names of guarantees and layers; ``"full"`` stands for all of them.

        Raises:
            SandboxError: When something does not hold; names it.
        """
        required = set(required)
        if "full" in required and not self.full:
            required |= {*self.guarantees, *self.missing_layers, *self.imports}
        reported = {**self.missing_layers, **{name: why for name, why in self.imports.items() if why}}
        absent = sorted(required & {*self.broken, *reported})
        if absent:
            reasons = [f"{name} ({reported.get(name, 'broken by a canary')})" for name in absent]
            names = ",".join(absent)
            usual = set(absent) <= {*USUALLY_REQUIRED}
            hint = f"; to run even so, set {WITHOUT}={names} (see docs/security.md)" if usual else ""
            raise SandboxError(f"the sandbox does not give what is required: {', '.join(reasons)}{hint}")

    def warn(self) -> None:
        """Warns if anything is absent."""
        if self.full:
            return
        what = "LACK WHAT THEY SHOULD IMPORT" if self.protects else "RUN WITH REDUCED PROTECTION"
        message = f"PROGRAMS {what} - {'; '.join(self.gaps)} (see docs/security.md)"
        warnings.warn(message, SandboxWarning, stacklevel=3)


def check_names(required: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of requirements.

    Raises:
        UsageError: When one of them is unknown.
    """
    names = (required,) if isinstance(required, str) else tuple(required)
    known = {"full", *DESCRIPTIONS, *LAYERS}
    if unknown := set(names) - known:
        raise UsageError(f"unknown sandbox guarantees {sorted(unknown)}; known: {', '.join(sorted(known))}")
    return names


def examine(
    evaluate: Callable[[Sequence[Submission]], list[Verdict]],
    missing_layers: Callable[[], Mapping[str, str]],
    packages: Collection[str],
) -> SandboxReport:
    """Runs the canaries.

    Args:
        evaluate: Runs submissions in the sandbox.
        missing_layers: Says after the first run which layers are absent.
        packages: Names of the packages that programs shall be able to import.

    Raises:
        InfrastructureError: When a canary could not be judged.
    """
    importing = imports(packages)
    with _bait() as bait:
        probes = [_probe(source.replace(BAIT, bait)) for source in CANARIES.values()]
        probes += [_probe(source, _IMPORT_LIMITS) for source in importing.values()]
        verdicts = evaluate(probes)
    # One after the other: in a batch FIND might run first, or beside PLANT in another zygote. Verdicts have
    # the order of DESCRIPTIONS, in which `leftovers` comes last.
    evaluate([_probe(PLANT)])
    verdicts[len(CANARIES) : len(CANARIES)] = evaluate([_probe(FIND)])
    failed = next((one for one in verdicts if one.outcome is Outcome.INFRASTRUCTURE), None)
    if failed is not None:
        raise InfrastructureError(f"the sandbox cannot be examined: {failed.error}")
    held = [verdict.outcome is Outcome.PASS for verdict in verdicts[: len(DESCRIPTIONS)]]
    found = [_why(verdict) for verdict in verdicts[len(DESCRIPTIONS) :]]
    return SandboxReport(
        dict(zip(DESCRIPTIONS, held, strict=True)),
        dict(missing_layers()),
        dict(zip(importing, found, strict=True)),
    )


@contextlib.contextmanager
def _bait() -> Iterator[str]:
    """Makes a file that every user may read; this module's file if none can be made."""
    try:
        descriptor, bait = tempfile.mkstemp(prefix="o1coder-bait-")
    except OSError:
        yield __file__
        return
    try:
        os.fchmod(descriptor, 0o644)
        os.close(descriptor)
        yield bait
    finally:
        os.unlink(bait)


def _probe(source: str, limits: Limits = _PROBE_LIMITS) -> Submission:
    """Returns a canary as a submission that passes iff the guarantee holds."""
    return Submission(source, "probe", (CallTest("[]", "True"),), limits)


def _why(verdict: Verdict) -> str:
    """Returns the reason why a canary failed; empty if it passed."""
    why = verdict.error.removeprefix("test 0: runtime error: ")
    return "" if verdict.outcome is Outcome.PASS else why or verdict.outcome.value


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
        path = os.path.join(os.path.realpath(folder), "sandbox_canary")
        if path.startswith(os.path.realpath(os.curdir) + "/"):
            continue
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
    """Returns canaries that import the promised packages, by their names in a report."""
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
