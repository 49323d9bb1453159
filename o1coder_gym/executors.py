"""Where work runs: in this process, in several, or on a Ray cluster. One switch, the same results.

========================  ==================================================
spec                      meaning
========================  ==================================================
``serial``                in this process, one piece after the other
``processes:N``           N processes of this machine
``ray:N``                 N tasks at a time on a local Ray cluster of N CPUs
``ray:N@ADDRESS``         N tasks at a time on the cluster at ADDRESS
========================  ==================================================

A piece of work is a picklable function and a picklable argument; results come back in order.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from o1coder_gym.errors import MissingExtraError, UsageError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Executor: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Maps a function over pieces, in order."""


def serial(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Does the pieces one after the other."""
    return map(work, pieces)


def processes(work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: int) -> Iterator[Result]:
    """Does the pieces in fresh processes, `workers` at a time."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(work, pieces)


def ray(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: int, address: str = ""
) -> Iterator[Result]:
    """Does the pieces as Ray tasks, `workers` at a time; a cluster that was started here is ended here.

    Raises:
        MissingExtraError: When Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")
    cluster: Any = importlib.import_module("ray")
    started = not cluster.is_initialized()
    if started:
        local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
        cluster.init(log_to_driver=False, **({"address": address} if address else local))
    try:
        task = cluster.remote(work)
        waiting = [task.remote(piece) for piece in pieces[:workers]]
        for piece in pieces[workers:]:
            yield cluster.get(waiting.pop(0))
            waiting.append(task.remote(piece))
        for reference in waiting:
            yield cluster.get(reference)
    finally:
        if started:
            cluster.shutdown()


def load_executor(spec: str) -> tuple[Executor, int]:
    """Returns the executor that `spec` names, and how many pieces it does at a time.

    Raises:
        UsageError: When it names none.
    """
    kind, _, rest = spec.partition(":")
    count, _, address = rest.partition("@")
    if spec == "serial":
        return serial, 1
    if (
        kind not in ("processes", "ray")
        or not count.isdigit()
        or int(count) < 1
        or (address and kind != "ray")
    ):
        raise UsageError(f"executor {spec!r} is none of serial, processes:N, ray:N, ray:N@ADDRESS")
    if kind == "ray":
        return partial(ray, workers=int(count), address=address), int(count)
    return partial(processes, workers=int(count)), int(count)
