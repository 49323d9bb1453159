"""Executors: run work in this process, in several, or on a Ray cluster, with the same results.

==============================  =================  ==================================================
spec                            or                 meaning
==============================  =================  ==================================================
``serial``                                         in this process, one piece after the other
``processes?workers=N``         ``processes:N``    N processes of this machine
``ray?workers=N``               ``ray:N``          N tasks at a time on a local Ray cluster of N CPUs
``ray?workers=N&address=A``     ``ray:N@A``        N tasks at a time on the cluster at A
==============================  =================  ==================================================

A piece of work is a picklable function and a picklable argument; results come back in order.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from o1coder_gym.errors import MissingExtraError, UsageError
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.parameters import AtLeastOne

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Executor: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Maps a function over pieces, in order."""

_EARLIER = re.compile(r"(?:(processes):([0-9]+)|(ray):([0-9]+)(?:@(.+))?)")


def serial(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Does the pieces one after the other."""
    return map(work, pieces)


def processes(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: AtLeastOne
) -> Iterator[Result]:
    """Does the pieces in fresh processes, `workers` at a time.

    Args:
        work: What is done; picklable.
        pieces: What it is done to; picklable.
        workers: Processes, ≥ 1.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(work, pieces)


def ray(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: AtLeastOne, address: str = ""
) -> Iterator[Result]:
    """Does the pieces as Ray tasks, `workers` at a time; a cluster that was started here is ended here.

    Args:
        work: What is done; picklable.
        pieces: What it is done to; picklable.
        workers: Tasks at a time, ≥ 1.
        address: Of the cluster; empty: one is started here, with `workers` CPUs.

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
        # At most `workers` tasks are submitted at a time: the cluster may be shared and larger than was asked
        # for.
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
    """Returns the executor that `spec` names, and its degree of parallelism.

    Raises:
        UsageError: When it names none.
        PluginError: When the package that it comes from does not work.
    """
    try:
        executor, arguments = registry.arguments_of("executor", _spec(spec), spec)
    except UsageError as error:
        if "?" in spec:
            raise
        known = "none of serial, processes:N, ray:N, ray:N@ADDRESS"
        raise UsageError(f"executor {spec!r} is {known}: {error}") from error
    return (partial(executor, **arguments) if arguments else executor), int(arguments.get("workers", 1))


def _spec(text: str) -> Spec:
    """Reads a spec, also one such as ``ray:64@ADDRESS``."""
    found = _EARLIER.fullmatch(text)
    if found is None:
        return parse(text)
    name, workers = found[1] or found[3], found[2] or found[4]
    address = (("address", found[5]),) if found[5] else ()
    return Spec(name, None, (("workers", workers), *address))
