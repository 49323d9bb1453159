"""The trusted side of one zygote: starts it, sends jobs and reads answers, all without blocking."""

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
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from o1coder_gym.errors import InfrastructureError
from o1coder_gym.sandbox.confinement.blueprint import INTERPRETER_VARIABLES, Blueprint
from o1coder_gym.sandbox.wire import (
    ASKING,
    BEGUN_FRAME,
    FAILED,
    REPORT,
    REPORT_BYTES,
    ChildReport,
    Ending,
    Mode,
    Report,
    Request,
    pack_request,
    unpack_report,
)
from o1coder_gym.sandbox.workers.waiting import run_delay_s, waited_s

_START_S = 60.0
_GRACE_S = 30.0
_WALL_WINDOWS = 22
"""A zygote answers within so many wall limits and the grace, or it is taken for dead: two children that
slowly use up their CPU limits take twenty-one."""
_MOST_STARVED = 7
"""Likewise as a multiple of the CPU limit of a job, which may be longer."""
_STOP_S = 5.0
_PIDFDS = 2
"""Processes of a job at most."""
_WHOLE_REPORT = socket.MSG_WAITALL | getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # which Linux has
_CHUNK = 1 << 16
_NO_FOLDER = "/nonexistent"
"""Home and temporary folder, unless the zygote gets a scratch folder of its own."""
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": _NO_FOLDER,
    "TMPDIR": _NO_FOLDER,
    # Sets have the same order in every run, so that a verdict can be repeated.
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LD_BIND_NOW": "1",  # else each child binds the functions it calls first, and copies pages for that
    "MALLOC_ARENA_MAX": "1",  # else each thread reserves 64 MB of the address space it is limited to
}


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a worker: the request and the input of each child.

    Attributes:
        request: Mode and limits, for the zygote.
        payloads: Packed input of each child: the candidate, then the tester if there is one.
        stdin: Standard input of the program, in stdio mode.
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
    """A finished job: its children's endings and their output.

    Attributes:
        children: How they ended, in the order of the payloads.
        answers: The output of each to its channel.
        stdout: The program's standard output.
        overflow: Whether one of them wrote more than it may.
        own_s: Seconds from the job's start to its end, without those in which it waited for a core.
    """

    children: tuple[ChildReport, ...]
    answers: tuple[bytes, ...]
    stdout: bytes
    overflow: bool
    own_s: float = 0.0


class WorkerDied(Exception):
    """Raised when a zygote died or broke the protocol; its job has to be run by another one."""


class Worker:
    """One zygote and its current job.

    Attributes:
        missing: Reasons for absent layers, by layer name; None until the zygote is ready.
        cores: CPU cores on which it and its children may run.
        loaded: Whether it serves programs that import packages.
        jobs: Number of jobs it was given.
        clean: Whether it can take another job.
        deadline: Monotonic seconds by which it has to send something; infinite while it is idle.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        selector: selectors.BaseSelector,
        cores: Set[int],
        *,
        loaded: bool = False,
    ) -> None:
        """Starts a zygote without waiting for it; `missing` is set once it is ready.

        Args:
            blueprint: Layers and files of the sandbox.
            selector: Selector to register its sockets with, this worker as their data.
            cores: CPU cores on which it and its children may run.
            loaded: Whether it is for programs that import packages.

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
        self._most_s = 0.0
        self._waited_s = 0.0
        # A pair, not a listening socket: nobody else can connect, and each end notices the other's death.
        self._control, remote = map(_above_standard_streams, socket.socketpair())
        try:
            with remote:
                self._process = _launch(remote)
        except InfrastructureError:
            self._control.close()
            raise
        with contextlib.suppress(OSError):  # it is dead already, or the system has no such thing
            # At once, so that its memory is built where its children will run; they inherit the core.
            os.sched_setaffinity(self._process.pid, cores)
        self._introduce(blueprint)
        # Only behind the blueprint: `sendall` on a socket that does not block may stop half-way.
        self._control.setblocking(False)
        selector.register(self._control, selectors.EVENT_READ, self)

    @property
    def pid(self) -> int:
        """Process id of the zygote; with namespaces, of its half that stays outside."""
        return self._process.pid

    @property
    def busy(self) -> bool:
        """Whether it has a job."""
        return bool(self._lines)

    def give(self, job: Job) -> None:
        """Sends a job; `handle` returns its outcome later.

        Raises:
            WorkerDied: When the zygote is gone.
        """
        self.jobs += 1
        self._started = time.monotonic()
        # Longer than the supervisor's own limits can add up to: a zygote that is merely slow must not be
        # taken for dead.
        most_s = max(_WALL_WINDOWS * job.request.wall_s, _MOST_STARVED * job.request.total_cpu_s)
        self._most_s = most_s + _GRACE_S
        self.deadline = self._started + self._most_s
        self._waited_s = 0.0
        self._stop_sent = False
        with contextlib.ExitStack() as remote:
            # A socket of its own per child: the zygote passes its end on and reads nothing of it.
            descriptors = [self._open_line(payload, job.answer_bytes, remote) for payload in job.payloads]
            if job.request.mode == Mode.STDIO:
                # A file, not a pipe: nobody has to feed it, and programs that seek in their input find what
                # they expect.
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
            # Most jobs fit into the socket's buffer and end before anything is watched: their answers wait in
            # the socket until the report comes (`_finish`). Only a slow job has its lines read meanwhile
            # (`_listen`).
            if not line.write():
                self._selector.register(line.socket, selectors.EVENT_WRITE, self)
                line.watched = True

    def handle(self, ready: object) -> Finished | None:
        """Handles one ready socket of this worker.

        Args:
            ready: The socket, as the selector names it.

        Returns:
            The finished job if it has just ended, else None.

        Raises:
            WorkerDied: When the zygote died or broke the protocol.
        """
        if ready is self._control:
            return self._listen()
        for line in self._lines:
            if line.socket is ready:
                self._move(line)
        return None

    def partial_answer(self) -> bytearray:
        """Returns the live buffer of the candidate's answer; it grows as more arrives."""
        return self._lines[0].incoming

    def is_overdue(self, now: float) -> bool:
        """Whether it should have sent something by now; while it starts, it may have waited for a core."""
        if now >= self.deadline and self.missing is None:
            before, self._waited_s = self._waited_s, run_delay_s(self.pid)
            self.deadline += self._waited_s - before
        return now >= self.deadline

    def begin_test(self) -> None:
        """Tells the zygote that the running job has answered another test."""
        self._tell(Request(Mode.PROGRESS))

    def stop_job(self) -> None:
        """Asks the zygote to kill the running job, which then finishes as any other."""
        if not self._stop_sent:
            self._stop_sent = True
            self._tell(Request(Mode.STOP))

    def _tell(self, request: Request) -> None:
        """Sends a request about the running job; a dead zygote is noticed when its report is read."""
        with contextlib.suppress(OSError):
            self._control.send(pack_request(request))

    def close(self) -> None:
        """Ends the zygote and all it has started, and removes its folder; may be called again."""
        if self._control.fileno() < 0:
            return
        self._drop_lines()
        self._selector.unregister(self._control)
        self._control.close()
        try:
            # The end of the control socket ends the zygote's loop, and its namespace or death signal its
            # children.
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _introduce(self, blueprint: Blueprint) -> None:
        """Sends the blueprint; a zygote that died already is noticed by `handle`."""
        with contextlib.suppress(OSError):
            self._control.sendall(blueprint.to_json().encode() + b"\n")

    def _open_line(self, outgoing: bytes, limit: int, remote: contextlib.ExitStack) -> int:
        """Opens a line to a child; returns the descriptor of its far end, which `remote` closes."""
        near, far = socket.socketpair()
        self._lines.append(_Line(near, outgoing, limit))
        return remote.enter_context(far).fileno()

    def _listen(self) -> Finished | None:
        """Reads the zygote's messages."""
        if self.missing is None:
            self._greet()
            return None
        try:
            data, pidfds, *_ = socket.recv_fds(self._control, REPORT_BYTES, _PIDFDS, _WHOLE_REPORT)
        except OSError as error:
            raise WorkerDied(f"zygote {self.pid}: {error}") from error
        # A report without a job, or half of one: the zygote is dead, or no longer what was started.
        if len(data) != REPORT_BYTES or not self.busy:
            raise WorkerDied(f"zygote {self.pid} ended")
        report = unpack_report(data)
        if report.kind == FAILED:
            raise WorkerDied(f"zygote {self.pid} could not start a process")
        if report.kind == REPORT:
            self.clean = report.clean
            return self._finish(report)
        if report.kind == ASKING:
            self._answer(pidfds)
            return None
        for line in self._lines:
            self._watch(line)
        return None

    def _answer(self, pidfds: Sequence[int]) -> None:
        """Tells the zygote how long the processes of its job have waited for a core."""
        now = time.monotonic()
        # A thread that has ended is no longer in the account, but it has waited all the same.
        self._waited_s = max(self._waited_s, min(now - self._started, waited_s(pidfds)))
        for pidfd in pidfds:
            os.close(pidfd)
        self.deadline = now + self._most_s  # a zygote that asks is alive
        self._tell(Request(Mode.WAITED, wall_s=self._waited_s))

    def _greet(self) -> None:
        """Reads the line that a zygote sends before its first job."""
        try:
            data = self._control.recv(_CHUNK)
        except OSError as error:
            raise WorkerDied(f"zygote {self.pid}: {error}") from error
        self._greeting += data
        if not data:
            raise WorkerDied("the zygote ended before it was ready")
        # The greeting may come in parts; what the zygote says before its first job is this one line.
        if self._greeting.endswith(b"\n"):
            greeting = json.loads(self._greeting)
            if "failed" in greeting:
                raise WorkerDied(f"the zygote could not be set up: {greeting['failed']}")
            self.missing = greeting["missing"]
            self.deadline = math.inf

    def _watch(self, line: _Line) -> None:
        """Lets the selector report when a line can be written or read."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.outgoing else 0)
        if line.watched:
            self._selector.modify(line.socket, events, self)
        else:
            self._selector.register(line.socket, events, self)
        line.watched = True

    def _move(self, line: _Line) -> None:
        """Writes and reads as much as a line takes without blocking."""
        more = line.read()
        # All is written and more may come: from now on only reading is of interest, or the selector would
        # wake at once.
        if line.write() and more and not line.overflown:
            self._watch(line)
            return
        if not more or line.overflown:
            self._selector.unregister(line.socket)
            line.watched = False
        if line.overflown:
            # A flood must not fill this memory until the CPU limit ends it.
            self.stop_job()

    def _finish(self, report: Report) -> Finished:
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
        # Lines are opened in this order by `give`: one a payload, then standard output.
        children = report.children
        told, printed = answers[: len(children)], answers[len(children) :]
        # One that was stopped has run nothing foreign yet: its tester may have ended before it was there.
        if not all(
            answer.startswith(BEGUN_FRAME) or child.ending == Ending.STOPPED
            for answer, child in zip(told, children, strict=True)
        ):
            raise WorkerDied("a process ended before it was confined")
        return Finished(children, tuple(told), b"".join(printed), overflow, report.own_s)

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
        """Whether the child wrote more than its limit."""
        return len(self.incoming) > self._limit

    def write(self) -> bool:
        """Writes what goes without waiting; at the end shuts the line for writing and returns True."""
        try:
            while self.outgoing:
                self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]
            # `read_job` reads to the end of the stream, so the end has to be said.
            self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:
            self.outgoing = memoryview(b"")  # the child is gone; its report will say how
        return True

    def read(self) -> bool:
        """Reads what has arrived, up to a little over the limit; returns whether more may come."""
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
        # Neither `site` nor user packages: what programs may import is decided by the blueprint alone.
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
    """Returns a clean environment with the variables that the interpreter may need to start."""
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
