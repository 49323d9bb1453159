"""What a worker makes of children that ended before they were confined."""

import socket
import time
from typing import Any

import pytest

from o1coder_gym.sandbox.wire import BEGUN_FRAME, ChildReport, Ending
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


def finished(*said: bytes, children: tuple[ChildReport, ...], waited_share: float = 0.0) -> Any:
    worker = Worker.__new__(Worker)
    worker._lines = [Line(one) for one in said]  # pyright: ignore[reportAttributeAccessIssue]
    worker._started, worker._waited_share = time.monotonic() - 100.0, waited_share
    return worker._finish(children)


def test_a_program_that_was_not_needed_any_more_need_not_have_begun() -> None:
    tester = ChildReport(WENT, Ending.OWN, 0.0)
    done = finished(b"", BEGUN_FRAME + b"x", children=(ChildReport(KILLED, Ending.STOPPED, 0.0), tester))
    assert done.answers == (b"", BEGUN_FRAME + b"x")


@pytest.mark.parametrize("ending", [Ending.OWN, Ending.CPU, Ending.WALL])
def test_one_that_ends_otherwise_before_it_was_confined_says_nothing(ending: Ending) -> None:
    with pytest.raises(WorkerDied, match="before it was confined"):
        finished(b"", children=(ChildReport(KILLED, ending, 0.0),))


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 100.0), (0.97, 3.0), (1.0, 0.0)])
def test_a_job_lasts_as_long_as_it_did_not_wait_for_a_core(share: float, seconds: float) -> None:
    """So that programs on a busy machine are not taken for programs that sleep in test after test."""
    done = finished(BEGUN_FRAME, children=(ChildReport(WENT, Ending.OWN, 0.0),), waited_share=share)
    assert done.wall_s == pytest.approx(seconds, abs=5.0)
