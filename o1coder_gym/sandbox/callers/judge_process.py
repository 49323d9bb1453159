"""One process of a judge pool: it judges the requests of a connection and answers as verdicts arrive.

    python -m o1coder_gym.sandbox.callers.judge_process DESCRIPTOR WORKERS SETTINGS

Questions are ``(number, "submit" or "submit_run", submission, keywords)``, answers ``(number, result or
error)``. Both ends are trusted: programs run in the zygotes of this process, behind their fences.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeAlias

from o1coder_gym.errors import InfrastructureError, O1CoderError
from o1coder_gym.sandbox.callers.concurrent_judge import ConcurrentJudge
from o1coder_gym.sandbox.judge import Judge

_Answers: TypeAlias = "SimpleQueue[tuple[int, object] | None]"
"""Number and result or error, to be sent; None is the end."""


def serve(channel: Connection, workers: int, settings: dict[str, Any]) -> None:
    """Answers until the other end closes the connection."""
    answers: _Answers = SimpleQueue()
    # Whoever reads questions must not wait until an answer is read: the other end reads none while it sends.
    sender = threading.Thread(target=_send, args=(channel, answers), name="answers")
    sender.start()
    try:
        _judge(channel, workers, settings, answers)
    finally:
        answers.put(None)
        sender.join()


def _judge(channel: Connection, workers: int, settings: dict[str, Any], answers: _Answers) -> None:
    """Queues an answer to each request, until there are no more."""

    def tell(number: int, future: Future[Any]) -> None:
        answers.put((number, future.exception() or future.result()))

    try:
        judge = Judge(workers, **settings)
    except O1CoderError as error:  # the sandbox cannot be what was asked for: all who ask are told
        while True:
            answers.put((channel.recv()[0], error))
    with judge, ConcurrentJudge(judge) as many:
        while True:
            number, method, submission, keywords = channel.recv()
            try:
                # `method` comes from the pool alone, which names two of this project's own.
                getattr(many, method)(submission, **keywords).add_done_callback(partial(tell, number))
            except O1CoderError as error:
                answers.put((number, error))
            except Exception as error:  # a fault of this judge: the other programs must not end with it
                failure = InfrastructureError(f"the judge failed: {type(error).__name__}: {error}")
                answers.put((number, failure))


def _send(channel: Connection, answers: _Answers) -> None:
    """Sends the queued answers, until the end of the queue."""
    while (one := answers.get()) is not None:
        with suppress(OSError):  # nobody is there any more
            channel.send(one)


if __name__ == "__main__":
    with suppress(EOFError):
        serve(Connection(int(sys.argv[1])), int(sys.argv[2]), json.loads(sys.argv[3]))
