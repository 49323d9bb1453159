"""Harmless jobs that a zygote runs in itself, so that no child pays for one-time work.

The interpreter specializes code that it has run some times, by writing into it. What is special already
when children are forked stays shared with them; each page that a child writes is copied.
"""

from __future__ import annotations

import os
import sys
from _socket import socketpair
from collections.abc import Sequence
from functools import partial

from o1coder_gym.sandbox.wire import pack_job, read_job, write_frame
from o1coder_gym.sandbox.zygote import child, streams, tester
from o1coder_gym.sandbox.zygote.program import load
from o1coder_gym.sandbox.zygote.service import Port, Service

_ROUNDS = 20
_INPUTS = ([1, 2], [0, 1], [1, "a"], '[1,{"t":[2]}]')
_PROGRAM = b"""
import math
class Point:
    x: int = 1
    def double(self): return [2 * n for n in range(3)]
def entry(a, b):
    try:
        return {"sum": (a + b, f"{a}")} if a else math.inf
    except TypeError as error:
        raise ValueError("no") from error
"""
_TEST = b"""
def check(candidate):
    for n in range(1, 3):
        assert candidate(n, 2) == {"sum": (n + 2, str(n))}
"""


def run() -> None:
    """Runs the jobs."""
    null = os.open(os.devnull, os.O_WRONLY)
    near, far = socketpair()
    for _ in range(_ROUNDS):
        source, name, inputs = _through_pipe(pack_job(_PROGRAM, "entry", _INPUTS))
        child.answer_calls(source, b"", name, inputs, partial(write_frame, null))
        service = Service(load(source, "solution"), name, Port(far.fileno()))
        line = tester.Line(partial(_ask, Port(near.fileno()), Port(far.fileno()), service))
        tester.judge(_TEST, True, name, line)
        streams.offer(source)
        streams.flush()
        streams.forget({}, source)
    near.close()
    far.close()
    os.close(null)
    del sys.modules["solution"]


def _through_pipe(job: bytes) -> tuple[bytes, str, Sequence[list[object] | str]]:
    """Reads a job as a child does."""
    reader, writer = os.pipe()
    child.take(((os.write, (writer, job)), (os.close, (writer,))))
    source, name, inputs = read_job(reader)
    os.close(reader)
    return source, name, inputs


def _ask(near: Port, far: Port, service: Service, question: Sequence[bytes]) -> Sequence[bytes]:
    """Asks a program in this process, by the same line as if it were in another one."""
    near.send(question)
    far.send(service.answer(far.receive()))
    return near.receive()
