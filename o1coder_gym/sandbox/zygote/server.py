"""The loop of the zygote: receive a request, fork, watch, clean up, report; one job at a time."""

from __future__ import annotations

import os
import signal
import struct
from _socket import CMSG_LEN, SCM_RIGHTS, SOL_SOCKET, socket, socketpair
from collections.abc import Callable, Iterable, Sequence

from o1coder_gym.sandbox.confinement import rlimits, traces
from o1coder_gym.sandbox.confinement.child_steps import Placement
from o1coder_gym.sandbox.confinement.layers import Surroundings
from o1coder_gym.sandbox.confinement.scratch import sweep
from o1coder_gym.sandbox.wire import (
    ASKING,
    CHANNEL,
    FAILED,
    REPORT,
    REQUEST_BYTES,
    RPC,
    SLOW,
    Mode,
    Report,
    Request,
    pack_report,
    unpack_request,
)
from o1coder_gym.sandbox.zygote import checker, child, packages, tester
from o1coder_gym.sandbox.zygote.supervisor import Child, Watch

_FILE = struct.Struct("i")
_FILES_ROOM = CMSG_LEN(3 * _FILE.size)
_ABOUT_THE_JOB = (Mode.STOP, Mode.PROGRESS, Mode.WAITED)
"""Modes of requests that begin no job."""


class Server:
    """Serves the jobs of one trusted process."""

    def __init__(self, control: socket, surroundings: Surroundings, names: Sequence[str]) -> None:
        """Args: the control socket, the confinement in force, the names of importable packages."""
        self._control = control
        self._surroundings = surroundings
        self._confinement = surroundings.confinement
        # Before the first child: what is found after a job is compared with this.
        self._condition = traces.condition() if surroundings.watched else ()
        self._watch = Watch(control.fileno(), self._tell_slow, self._ask_waited, self._hear)
        self._packages = packages.Warmer(names)

    def serve(self) -> None:
        """Accepts jobs until the trusted process is gone."""
        while True:
            data, ancillary, _, _ = self._control.recvmsg(REQUEST_BYTES, _FILES_ROOM)
            if not data:
                return
            request = unpack_request(data)
            if request.mode not in _ABOUT_THE_JOB:  # else it came after the job had ended
                self._control.sendall(pack_report(self._do(request, _files(ancillary))))

    def _do(self, request: Request, descriptors: list[int]) -> Report:
        """Does one job."""
        if self._packages.load(request.packages):
            # Loaded packages count as the zygote's own memory: the limit is what a program may use above it.
            self._confinement = self._confinement._replace(address_space=rlimits.address_space())
        try:
            children = self._start(request, descriptors)
        except OSError:
            return Report(FAILED, False, ())
        reports, own_s = self._watch.run(children, request)
        # The zygote's copies of the far ends would add up, and later children would inherit them.
        for descriptor in descriptors:
            os.close(descriptor)
        # Processes first: one that still ran could write into the folder behind the sweep. Then files, then
        # objects of the kernel; what cannot be cleaned has the zygote replaced.
        self._end_strays()
        clean = self._surroundings.scratch is None or sweep(self._surroundings.scratch)
        if self._surroundings.watched:
            clean = clean and traces.condition() == self._condition
        return Report(REPORT, clean, reports, own_s)

    def _start(self, request: Request, descriptors: list[int]) -> list[Child]:
        """Forks the children of a job: the candidate, and in tester mode the tester."""
        if request.mode == Mode.CALL:
            return [self._fork(child.call, request, ((descriptors[0], CHANNEL),))]
        if request.mode in (Mode.STDIO, Mode.REPEAT):
            body = child.stdio if request.mode == Mode.STDIO else child.repeat
            channel, stdin, stdout = descriptors
            return [self._fork(body, request, ((stdin, 0), (stdout, 1), (channel, CHANNEL)))]
        if request.mode == Mode.CHECKER:
            return [self._fork(checker.run, request, ((descriptors[0], CHANNEL),))]
        candidate_line, tester_line = socketpair()
        try:
            # The tester first: a candidate that runs already could use up what the user may fork.
            second = self._fork(tester.run, request, ((descriptors[1], CHANNEL), (tester_line.fileno(), RPC)))
            first = self._fork(
                child.serve, request, ((descriptors[0], CHANNEL), (candidate_line.fileno(), RPC))
            )
            return [first, second]
        finally:
            candidate_line.close()
            tester_line.close()

    def _fork(self, body: Callable[[], int], request: Request, placement: Placement) -> Child:
        """Starts one child."""
        # Prepared before the fork, so that the child only takes them.
        steps = self._confinement.steps(request, placement)
        pid = os.fork()
        if pid == 0:
            child.run(steps, body)
        return Child(pid)

    def _tell_slow(self) -> None:
        """Tells the trusted process that it should read what the job writes."""
        self._control.sendall(pack_report(Report(SLOW, True, ())))

    def _ask_waited(self, pidfds: Sequence[int]) -> None:
        """Asks the trusted process how long these processes have waited for a core."""
        question = pack_report(Report(ASKING, True, ()))
        rights = (SOL_SOCKET, SCM_RIGHTS, b"".join(map(_FILE.pack, pidfds)))
        try:
            self._control.sendmsg([question], [rights] if pidfds else [])
        except OSError:  # more descriptors of this user are under way than this process may have open
            self._control.sendall(question)

    def _hear(self) -> Request:
        """Reads the control socket in the middle of a job; without a trusted process the job is stopped."""
        data = self._control.recv(REQUEST_BYTES)
        return unpack_request(data) if len(data) == REQUEST_BYTES else Request(Mode.STOP)

    def _end_strays(self) -> None:
        """Ends processes that the candidate has left behind; with system call filters there are none."""
        if self._confinement.seccomp:
            return
        while True:
            try:
                self._kill_strays()
                os.waitpid(-1, 0)
            except (ChildProcessError, ProcessLookupError):
                return

    def _kill_strays(self) -> None:
        """Kills all other processes of the namespace, or without one those that came to this process."""
        if self._surroundings.first_process:
            # −1 is every process that may be signalled, which in a namespace of its own are those of the
            # candidate.
            os.kill(-1, signal.SIGKILL)
            return
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as listing:
                children = listing.read().split()
        except FileNotFoundError:
            return
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)


def _files(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """Returns the descriptors that came with a request; the module `socket` would burden each child."""
    return [number for _, _, data in ancillary for (number,) in _FILE.iter_unpack(data)]
