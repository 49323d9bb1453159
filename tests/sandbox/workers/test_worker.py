"""What a worker makes of the end of a job."""

import socket
from typing import Any

import pytest

from o1coder_gym.sandbox.wire import (
    BEGUN_FRAME,
    REPORT,
    ChildReport,
    Ending,
    Report,
    pack_report,
    unpack_report,
)
from o1coder_gym.sandbox.workers.worker import Worker, WorkerDied

WENT, KILLED = 0, 9


class Line:
    """A line on which a child has said something, or nothing."""

    def __init__(self, said: bytes) -> None:
        self.incoming = bytearray(said)
        self.overflown = self.watched = False
        self.socket, other = socket.socketpair()
        other.close()

    def read(self) -> bool:
        return False


def finished(*said: bytes, children: tuple[ChildReport, ...], own_s: float = 0.0) -> Any:
    worker = Worker.__new__(Worker)
    worker._lines = [Line(one) for one in said]  # pyright: ignore[reportAttributeAccessIssue]
    return worker._finish(unpack_report(pack_report(Report(REPORT, True, children, own_s))))


def test_a_program_that_was_not_needed_any_more_need_not_have_begun() -> None:
    tester = ChildReport(WENT, Ending.OWN, 0.0)
    done = finished(b"", BEGUN_FRAME + b"x", children=(ChildReport(KILLED, Ending.STOPPED, 0.0), tester))
    assert done.answers == (b"", BEGUN_FRAME + b"x")


@pytest.mark.parametrize("ending", [Ending.OWN, Ending.CPU, Ending.WALL])
def test_one_that_ends_otherwise_before_it_was_confined_says_nothing(ending: Ending) -> None:
    with pytest.raises(WorkerDied, match="before it was confined"):
        finished(b"", children=(ChildReport(KILLED, ending, 0.0),))


def test_a_job_lasts_as_long_as_its_zygote_says() -> None:
    done = finished(BEGUN_FRAME, children=(ChildReport(WENT, Ending.OWN, 0.0),), own_s=0.75)
    assert done.own_s == 0.75
