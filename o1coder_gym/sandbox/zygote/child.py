"""The forked candidate: confines itself, runs the program, exits.

Everything here shares the candidate's process, so nothing here is trusted: whatever the candidate
patches or forges, it can only change what *it* answers, and the right answers are not here.
"""

from __future__ import annotations

import atexit
import marshal
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from o1coder_gym.sandbox.confinement.child_steps import Step, take
from o1coder_gym.sandbox.values.codec import HandleTable, decode, encode
from o1coder_gym.sandbox.wire import CHANNEL, RPC, WHOLE, FrameKind, read_job, write_frame
from o1coder_gym.sandbox.zygote import streams
from o1coder_gym.sandbox.zygote.program import CompileFailure, failure, find_entry, load
from o1coder_gym.sandbox.zygote.service import Port, Service


def run(steps: Sequence[Step], body: Callable[[], int]) -> None:
    """Runs one child from fork to end; never returns."""
    try:
        # Each way out is `_exit`: a child that returned would go on in the zygote's loop and serve jobs, and
        # one that raised would run the zygote's exit functions.
        take(steps)
        os._exit(body())
    except MemoryError as error:  # inputs or test code too large for the limit
        os._exit(_failed(error))
    finally:
        os._exit(1)


def call() -> int:
    """Loads a program and calls its entry point once for each input; returns the exit status."""
    source, prelude, name, inputs = read_job(CHANNEL)
    return answer_calls(source, prelude, name, marshal.loads(inputs), partial(write_frame, CHANNEL))


def answer_calls(
    source: bytes,
    prelude: bytes,
    name: str,
    inputs: Sequence[list[Any] | str],
    answer: Callable[[FrameKind, int, bytes], None],
) -> int:
    """Does the work of `call`.

    Args:
        source: UTF-8 text of the program.
        prelude: What is run before it.
        name: The entry point; empty for none.
        inputs: Positional arguments of each call, encoded where JSON alone cannot hold them.
        answer: Takes the frames.

    Returns:
        The exit status.
    """
    try:
        namespace = load(source, "solution", prelude, name)
        # Looked up once, before any call: a program that replaces its entry point while it runs is judged by
        # the first one.
        function = find_entry(namespace, name) if name else _nothing
    except BaseException as error:
        return _failed(error)
    handles = HandleTable()
    # `SystemExit` and `KeyboardInterrupt` are answers too: a call that exits has failed, and the next one
    # is made all the same.
    for index, given in enumerate(inputs):
        try:
            values = decode(given) if isinstance(given, str) else given
            # Encoded at once, before the next call: a result that the program keeps and changes later stays
            # what it was.
            kind, body = FrameKind.VALUE, encode(function(*values), handles).encode()
        except BaseException as error:
            kind, body = failure(error)
        answer(kind, index, body)
    answer(FrameKind.DONE, WHOLE, b"")
    return 0


def _nothing() -> None:
    """Stands for the entry point of a program that is only loaded."""


def stdio() -> int:
    """Runs a whole program as ``__main__`` and shuts it down like Python; returns the exit status."""
    source, prelude = read_job(CHANNEL)
    try:
        streams.offer(source)
        return _run_main(source, prelude)
    except BaseException as error:
        return _failed(error)


def repeat() -> int:
    """Runs a whole program once for each input, and answers with what it printed; returns the exit status.

    A run could find what an earlier one left in the process, so only programs that leave nothing come here
    (`values.repeatable`), and the trusted process repeats a failure in a process of its own.
    """
    source, prelude, inputs = read_job(CHANNEL)
    streams.offer(source)
    files, recursion_limit = [os.dup(0), os.dup(1)], sys.getrecursionlimit()
    for index, given in enumerate(marshal.loads(inputs)):
        streams.renew(given, files, recursion_limit)
        try:
            status = _run_main(source, prelude)
            kind, body = FrameKind.VALUE, streams.content(files[1])
            if status:
                kind, body = FrameKind.ERROR, b"the program left with status %d before it answered" % status
        except CompileFailure as error:
            return _failed(error)
        except BaseException as error:
            kind, body = failure(error)
        write_frame(CHANNEL, kind, index, body)
    write_frame(CHANNEL, FrameKind.DONE, WHOLE)
    return 0


def _run_main(source: bytes, prelude: bytes) -> int:
    """Runs the program, waits for its threads, calls its exit functions and flushes its output."""
    status = 0
    try:
        load(source, "__main__", prelude)
    except SystemExit as request:
        status = _exit_status(request.code)
    # In the order of CPython's `Py_FinalizeEx`: threads, exit functions, streams, then the names of the
    # main module, whose finalizers may print once more.
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    streams.flush()
    streams.forget(sys.modules["__main__"].__dict__, source)
    streams.flush()
    return status


def _failed(error: BaseException) -> int:
    """Reports that the program as a whole failed; returns the exit status."""
    kind, body = failure(error)
    write_frame(CHANNEL, kind, WHOLE, body)
    return 1


def _exit_status(code: object) -> int:
    """Returns the exit status that an argument of ``sys.exit`` stands for."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def serve() -> int:
    """Loads a program and calls it for the tester until that hangs up; returns the exit status."""
    source, prelude, name = read_job(CHANNEL)
    try:
        service = Service(load(source, "solution", prelude, name), name, Port(RPC))
    except BaseException as error:
        return _failed(error)
    service.serve()
    return 0
