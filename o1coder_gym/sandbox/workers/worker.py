"""The trusted side of one zygote: starts it, hands it jobs, reads what comes, never waits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.sandbox.confinement.blueprint import INTERPRETER_VARIABLES, Blueprint
from o1coder_gym.sandbox.wire import (
    BEGUN_FRAME,
    FAILED,
    REPORT,
    REPORT_BYTES,
    ChildReport,
    Mode,
    Request,
    pack_request,
    unpack_report,
)

_START_S = 60.0
_GRACE_S = 30.0
_WALL_WINDOWS = 22
"""A zygote answers within so many wall limits and the grace, or it is taken for dead: two children that
slowly use up their CPU limits take twenty-one."""
_MOST_STARVED = 7
"""Likewise as a multiple of the CPU limit of a job, which may be longer."""
_STOP_S = 5.0
_CHUNK = 1 << 16
_NO_FOLDER = "/nonexistent"
"""Home and temporary folder, unless the zygote gets a scratch folder of its own."""
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": _NO_FOLDER,
    "TMPDIR": _NO_FOLDER,
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LD_BIND_NOW": "1",  # else each child binds the functions it calls first, and copies pages for that
    "MALLOC_ARENA_MAX": "1",  # else each thread reserves 64 MB of the address space it is limited to
}


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker does at a time.

    Attributes:
        request: For the zygote.
        payloads: What each child is told: the candidate, then the tester if there is one.
        stdin: What the program reads, in stdio mode.
        answer_bytes: Most bytes that one child may answer.
        stdout_bytes: Most bytes that the program may print, in stdio mode.
    """

    request: Request
    payloads: tuple[bytes, ...]
    stdin: bytes = b""
    answer_bytes: int = 1 << 20
    stdout_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that ended: how its children did, and all that they wrote.

    Attributes:
        children: How they ended, in the order of the payloads.
        answers: What each of them wrote to its channel.
        stdout: What the program printed.
        overflow: Whether one of them wrote more than it may.
        wall_s: Seconds from the job's start to its end.
    """

    children: tuple[ChildReport, ...]
    answers: tuple[bytes, ...]
    stdout: bytes
    overflow: bool
    wall_s: float = 0.0


class WorkerDied(Exception):
    """Raised when a zygote is gone or makes no sense; its job has to be given to another one."""


class Worker:
    """One zygote and the job that it does.

    Attributes:
        missing: Why a layer does not hold, by its name; None until the zygote is ready.
        cores: Where it and its children may run.
        loaded: Whether it is for programs that want packages loaded.
        jobs: How many jobs it was given.
        clean: Whether it can take another one.
        deadline: Monotonic time by which it has to say something; infinite while it is idle.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        selector: selectors.BaseSelector,
        cores: Set[int],
        *,
        loaded: bool = False,
    ) -> None:
        """Starts a zygote; it says later that it is ready.

        Args:
            blueprint: What it shall be.
            selector: Where its sockets are registered, with this worker as data.
            cores: Where it and its children may run.
            loaded: See the attribute.

        Raises:
            InfrastructureError: When no process can be started.
        """
        self.missing: dict[str, str] | None = None
        self.cores = cores
        self.loaded = loaded
        self.jobs = 0
        self.clean = True
        self.deadline = time.monotonic() + _START_S
        self._selector = selector
        self._greeting = b""
        self._lines: list[_Line] = []
        self._stop_sent = False
        self._started = 0.0
        self._control, remote = map(_above_standard_streams, socket.socketpair())
        try:
            with remote:
                self._process = _launch(remote)
        except InfrastructureError:
            self._control.close()
            raise
        with contextlib.suppress(OSError):  # it is dead already, or the system has no such thing
            os.sched_setaffinity(self._process.pid, cores)
        self._introduce(blueprint)
        self._control.setblocking(False)
        selector.register(self._control, selectors.EVENT_READ, self)

    @property
    def pid(self) -> int:
        """Process id of the zygote, or of the process that stands outside its namespaces."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether it has a job."""
        return bool(self._lines)

    def give(self, job: Job) -> None:
        """Hands over a job; `handle` says when it is finished.

        Raises:
            WorkerDied: When the zygote is gone.
        """
        self.jobs += 1
        self._started = time.monotonic()
        most_s = max(_WALL_WINDOWS * job.request.wall_s, _MOST_STARVED * job.request.total_cpu_s)
        self.deadline = self._started + most_s + _GRACE_S
        self._stop_sent = False
        with contextlib.ExitStack() as remote:
            descriptors = [self._open_line(payload, job.answer_bytes, remote) for payload in job.payloads]
            if job.request.mode == Mode.STDIO:
                stdin = remote.enter_context(_file_of(job.stdin))
                stdout = self._open_line(b"", job.stdout_bytes, remote)
                descriptors += [stdin.fileno(), stdout]
            elif job.request.mode == Mode.REPEAT:
                descriptors += [remote.enter_context(_file_of(b"")).fileno() for _ in range(2)]
            try:
                socket.send_fds(self._control, [pack_request(job.request)], descriptors)
            except OSError as error:
                raise WorkerDied(f"zygote {self.pid} takes no job: {error}") from error
        for line in self._lines:
            if not line.write():
                self._selector.register(line.socket, selectors.EVENT_WRITE, self)
                line.watched = True

    def handle(self, ready: object) -> Finished | None:
        """Deals with one socket of this worker that is ready.

        Args:
            ready: The socket, as the selector names it.

        Returns:
            What became of the job, if it has just ended.

        Raises:
            WorkerDied: When the zygote is gone or makes no sense.
        """
        if ready is self._control:
            return self._listen()
        for line in self._lines:
            if line.socket is ready:
                self._move(line)
        return None

    def partial_answer(self) -> bytearray:
        """What the candidate of the running job has answered so far; changes when more comes."""
        return self._lines[0].incoming

    def begin_test(self) -> None:
        """Tells the zygote that the running job has answered another test."""
        self._tell(Mode.PROGRESS)

    def stop_job(self) -> None:
        """Asks the zygote to end the running job; it then finishes as any other."""
        if not self._stop_sent:
            self._stop_sent = True
            self._tell(Mode.STOP)

    def _tell(self, mode: Mode) -> None:
        """Sends word about the running job; a zygote that is gone or does not listen will be found out."""
        with contextlib.suppress(OSError):
            self._control.send(pack_request(Request(mode)))

    def close(self) -> None:
        """Ends the zygote and all it has started, and removes its folder; may be called again."""
        if self._control.fileno() < 0:
            return
        self._drop_lines()
        self._selector.unregister(self._control)
        self._control.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _introduce(self, blueprint: Blueprint) -> None:
        """Tells the zygote what to be; if it is dead already, `handle` will say so."""
        with contextlib.suppress(OSError):
            self._control.sendall(blueprint.to_json().encode() + b"\n")

    def _open_line(self, outgoing: bytes, limit: int, remote: contextlib.ExitStack) -> int:
        """Opens a line to a child; returns the descriptor of its far end, which `remote` closes."""
        near, far = socket.socketpair()
        self._lines.append(_Line(near, outgoing, limit))
        return remote.enter_context(far).fileno()

    def _listen(self) -> Finished | None:
        """Reads what the zygote says."""
        if self.missing is None:
            self._greet()
            return None
        try:
            data = self._control.recv(REPORT_BYTES, socket.MSG_WAITALL)
        except OSError as error:
            raise WorkerDied(f"zygote {self.pid}: {error}") from error
        if len(data) != REPORT_BYTES or not self.busy:
            raise WorkerDied(f"zygote {self.pid} ended")
        report = unpack_report(data)
        if report.kind == FAILED:
            raise WorkerDied(f"zygote {self.pid} could not start a process")
        if report.kind == REPORT:
            self.clean = report.clean
            return self._finish(report.children)
        for line in self._lines:
            self._watch(line)
        return None

    def _greet(self) -> None:
        """Reads the line that a zygote says before its first job."""
        try:
            data = self._control.recv(_CHUNK)
        except OSError as error:
            raise WorkerDied(f"zygote {self.pid}: {error}") from error
        self._greeting += data
        if not data:
            raise WorkerDied("the zygote ended before it was ready")
        if self._greeting.endswith(b"\n"):
            greeting = json.loads(self._greeting)
            if "failed" in greeting:
                raise WorkerDied(f"the zygote could not be set up: {greeting['failed']}")
            self.missing = greeting["missing"]
            self.deadline = math.inf

    def _watch(self, line: _Line) -> None:
        """Has the selector say when a line can be written or read."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.outgoing else 0)
        if line.watched:
            self._selector.modify(line.socket, events, self)
        else:
            self._selector.register(line.socket, events, self)
        line.watched = True

    def _move(self, line: _Line) -> None:
        """Writes and reads what a line has room for."""
        more = line.read()
        if line.write() and more and not line.overflown:
            self._watch(line)
            return
        if not more or line.overflown:
            self._selector.unregister(line.socket)
            line.watched = False
        if line.overflown:
            self.stop_job()

    def _finish(self, children: tuple[ChildReport, ...]) -> Finished:
        """Reads the rest of all lines and closes them; all that could write to them are gone.

        Raises:
            WorkerDied: When a process could not even be confined.
        """
        for line in self._lines:
            line.read()
        answers = [bytes(line.incoming) for line in self._lines]
        overflow = any(line.overflown for line in self._lines)
        self._drop_lines()
        self.deadline = math.inf
        told, printed = answers[: len(children)], answers[len(children) :]
        if not all(answer.startswith(BEGUN_FRAME) for answer in told):
            raise WorkerDied("a process ended before it was confined")
        wall_s = time.monotonic() - self._started
        return Finished(children, tuple(told), b"".join(printed), overflow, wall_s)

    def _drop_lines(self) -> None:
        """Closes the lines to the children."""
        for line in self._lines:
            if line.watched:
                self._selector.unregister(line.socket)
            line.socket.close()
        self._lines = []


class _Line:
    """One socket to a child: bytes to write first, then bytes to read."""

    def __init__(self, near: socket.socket, outgoing: bytes, limit: int) -> None:
        near.setblocking(False)
        self.socket = near
        self.outgoing = memoryview(outgoing)
        self.incoming = bytearray()
        self.watched = False
        self._limit = limit

    @property
    def overflown(self) -> bool:
        """Whether more came than may."""
        return len(self.incoming) > self._limit

    def write(self) -> bool:
        """Writes what goes without waiting, then says that this was all; returns whether it was."""
        try:
            while self.outgoing:
                self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]
            self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:
            self.outgoing = memoryview(b"")  # the child is gone; its report will say how
        return True

    def read(self) -> bool:
        """Reads what is there, up to a little over the limit; returns whether more may come."""
        try:
            while not self.overflown:
                chunk = self.socket.recv(_CHUNK)
                if not chunk:
                    return False
                self.incoming += chunk
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _launch(control: socket.socket) -> subprocess.Popen[bytes]:
    """Executes a zygote; this process is not forked, so nothing of it can be inherited."""
    script = str(Path(__file__).parents[1] / "zygote" / "main.py")
    command = [
        os.path.realpath(sys.executable),
        "-S",
        "-s",
        script,
        str(control.fileno()),
    ]
    try:
        return subprocess.Popen(
            command,
            pass_fds=[control.fileno()],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise InfrastructureError(f"cannot start {command[0]}: {error}") from error


def _environment() -> dict[str, str]:
    """Returns the clean environment, and what the interpreter may need to start at all."""
    needed = {name: os.environ[name] for name in INTERPRETER_VARIABLES if name in os.environ}
    return _ENVIRONMENT | needed


def _above_standard_streams(one: socket.socket) -> socket.socket:
    """Moves a socket out of the place of a standard stream, where a caller without streams gets it."""
    if one.fileno() > 2:
        return one
    moved = socket.socket(fileno=fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 3))
    one.close()
    return moved


def _file_of(content: bytes) -> BinaryIO:
    """Returns an open file in memory, at its start, for a program to read as standard input."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(content)
    file.seek(0)
    return file
