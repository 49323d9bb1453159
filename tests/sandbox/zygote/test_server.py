"""What a zygote says of its job, by whatever way is open."""

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.sandbox.wire import ASKING, unpack_report
from o1coder_gym.sandbox.zygote.server import Server


@pytest.mark.parametrize("refused", [False, True])
def test_a_question_is_asked_also_where_pidfds_cannot_be_sent(refused: bool) -> None:
    """The kernel counts the descriptors that are under way by user, over all zygotes."""
    sent: list[tuple[bytes, int]] = []

    def send(parts: list[bytes], rights: list[Any]) -> None:
        if refused:
            raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
        sent.append((b"".join(parts), len(rights)))

    server: Any = Server.__new__(Server)
    server._control = SimpleNamespace(sendmsg=send, sendall=lambda data: sent.append((data, 0)))
    server._ask_waited([7, 8])
    ((question, rights),) = sent
    assert unpack_report(question).kind == ASKING
    assert rights == (not refused)
