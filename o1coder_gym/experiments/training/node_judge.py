"""One judge for all ranks of a machine: the first owns the zygotes, the others send it their programs.

With a judge of its own each rank would start as many workers as the machine has cores, and those of one rank
would be in the way of the others'.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

from o1coder_gym.errors import InfrastructureError, O1CoderError
from o1coder_gym.runs import ranks
from o1coder_gym.sandbox import shared_judge
from o1coder_gym.types import Submission, Verdict
from o1coder_gym.types.protocols import Judge


@contextlib.contextmanager
def node_judge() -> Iterator[Judge]:
    """Opens the judge of this machine; a process without other ranks gets its own.

    All ranks open it together, and close it when no update is left, for which they wait for one another.
    """
    if ranks.count() == 1:
        yield shared_judge()
        return
    hosts = ranks.leader() == ranks.rank()
    with _hosted() if hosts else contextlib.nullcontext() as address:
        addresses = ranks.gathered(address)
        with contextlib.nullcontext(shared_judge()) if hosts else _asked(addresses[ranks.leader()]) as judge:
            yield judge


class _Remote:
    """A judge in another process of this machine (implements `protocols.Judge`)."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._turn = threading.Lock()

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        """Judges a batch in the other process, beside other ranks' batches; one of this rank at a time.

        Raises:
            InfrastructureError: When the other process has ended.
            O1CoderError: As raised by its judge.
        """
        try:
            with self._turn:  # answers say nothing of what they answer
                self._line.send(list(submissions))
                found = self._line.recv()
        except (EOFError, OSError) as error:
            raise InfrastructureError("the rank that judges on this machine has ended") from error
        if isinstance(found, O1CoderError):
            raise found
        return found


@contextlib.contextmanager
def _asked(address: str | None) -> Iterator[_Remote]:
    assert address is not None
    with Client(address) as line:
        yield _Remote(line)


@contextlib.contextmanager
def _hosted() -> Iterator[str]:
    """Offers this process's judge to its machine; yields where. In a folder that only this user can enter."""
    with tempfile.TemporaryDirectory(prefix="o1coder-judge-") as folder:
        address = str(Path(folder) / "socket")
        with Listener(address, "AF_UNIX") as listener:
            threading.Thread(target=_serve, args=(listener,), name="node judge", daemon=True).start()
            yield address


def _serve(listener: Listener) -> None:
    """Serves the calls of other ranks, each in a thread, so that a waiting call delays no other."""
    with contextlib.suppress(OSError):  # the listener is closed
        while True:
            line = listener.accept()
            threading.Thread(target=_answer, args=(line,), name="rank's programs", daemon=True).start()


def _answer(line: Connection) -> None:
    with line, contextlib.suppress(EOFError, OSError):  # the rank has closed, or ended
        while True:
            asked = line.recv()
            try:
                line.send(shared_judge().evaluate(asked))
            except O1CoderError as error:
                line.send(error)
