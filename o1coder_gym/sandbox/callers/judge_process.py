"""One process of a judge pool: judges what comes over a connection, and answers in the order of the verdicts.

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
from typing import Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.sandbox.callers.concurrent_judge import ConcurrentJudge
from o1coder_gym.sandbox.judge import Judge


def serve(channel: Connection, workers: int, settings: dict[str, Any]) -> None:
    """Answers until the other end has closed the connection."""
    sending = threading.Lock()

    def answer(number: int, result: object) -> None:
        with sending, suppress(OSError):  # nobody is there any more
            channel.send((number, result))

    def tell(number: int, future: Future[Any]) -> None:
        answer(number, future.exception() or future.result())

    try:
        judge = Judge(workers, **settings)
    except O1CoderError as error:  # the sandbox cannot be what was asked for: all who ask are told
        while True:
            answer(channel.recv()[0], error)
    with judge, ConcurrentJudge(judge) as many:
        while True:
            number, method, submission, keywords = channel.recv()
            try:
                getattr(many, method)(submission, **keywords).add_done_callback(partial(tell, number))
            except O1CoderError as error:
                answer(number, error)


if __name__ == "__main__":
    with suppress(EOFError):
        serve(Connection(int(sys.argv[1])), int(sys.argv[2]), json.loads(sys.argv[3]))
