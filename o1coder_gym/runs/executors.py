"""Executors: run work in this process, in several, or on a Ray cluster, with the same results.

=================================  =====================  ====================================================
spec                               or                     meaning
=================================  =====================  ====================================================
``serial``                                                in this process, one piece after the other
``processes?workers=N``            ``processes:N``        N processes of this machine
``ray?workers=N``                  ``ray:N``              N processes on a Ray cluster of N CPUs, started here
``ray?workers=N&address=A``        ``ray:N@A``            N processes on the cluster at A
``ray?address=A&cpus=C&gpus=G``    ``ray:A?cpus=C&…``     as many as A has room for, C cores and G GPUs each
=================================  =====================  ====================================================

An address is ``auto`` (the cluster of this machine, or of ``RAY_ADDRESS``), ``HOST:PORT`` or
``ray://HOST:PORT``. A piece of work is a picklable function and a picklable argument; results come back in
order. A piece whose process of a cluster is lost, with its machine or alone, is done again elsewhere.
"""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeAlias, TypeVar

from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.runs.ray_workers import Crew, Needs, connected
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.parameters import AtLeastOne, NonNegative, Positive

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Executor: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Maps a function over pieces, in order."""

PIECES_PER_WORKER = 4
"""More than one, so that a slow piece at the end keeps few workers waiting."""

_TARGET = re.compile(r"([0-9]+)(?:@(.+))?|(auto|.+:[0-9]+)")
"""What may stand for arguments: workers, workers and an address, or an address."""


def serial(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
    """Processes the pieces one after the other."""
    return map(work, pieces)


def processes(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], *, workers: AtLeastOne
) -> Iterator[Result]:
    """Processes the pieces in fresh processes, `workers` at a time.

    Args:
        work: What is done; picklable.
        pieces: What it is done to; picklable.
        workers: Processes, ≥ 1.

    Raises:
        InfrastructureError: When a process is lost.
    """
    # Fresh processes: a fork would inherit torch's threads, the judge's locks and open sockets in the middle
    # of their work.
    context = multiprocessing.get_context("spawn")
    # One core for each worker's judge: several judges with all cores would take them from each other.
    one_core = {"initializer": default_judge, "initargs": (1,)}
    try:
        with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, **one_core) as pool:
            yield from pool.map(work, pieces)
    except BrokenProcessPool as error:
        raise InfrastructureError(
            "executor processes: a process was lost, perhaps for lack of memory; continue with --resume"
        ) from error


def ray(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    *,
    workers: AtLeastOne | None = None,
    address: str = "",
    cpus: Positive = 1.0,
    gpus: NonNegative = 0.0,
) -> Iterator[Result]:
    """Processes the pieces on a Ray cluster; a cluster that was started here is shut down here.

    Args:
        work: What is done; picklable.
        pieces: What it is done to; picklable.
        workers: Processes, ≥ 1; None: as many as the cluster has room for.
        address: Of the cluster; empty: one is started here.
        cpus: Cores that each process has.
        gpus: GPUs that each process has; 0.5 shares one between two.

    Raises:
        MissingExtraError: When Ray is not installed.
        UsageError: When there is no cluster at `address`, or none of its machines has room.
        InfrastructureError: When processes are lost again and again.
    """
    needs = Needs(cpus, gpus)
    with connected(address, workers and math.ceil(workers * cpus)) as cluster:
        if not address:
            _room(cluster, needs)  # a cluster of this machine alone would be waited for in vain
        count = min(workers or _room(cluster, needs), max(1, len(pieces)))
        with Crew(cluster, count, needs) as crew:
            yield from crew.results(work, pieces)


def _room(cluster: Any, needs: Needs) -> int:
    """Returns how many processes a cluster has room for."""
    found = needs.room(cluster.nodes())
    if not found:
        asked = f"{needs.cpus:g} CPUs and {needs.gpus:g} GPUs"
        raise UsageError(f"executor ray: no machine of the cluster has {asked} for a process")
    return found


def load_executor(spec: str) -> tuple[Executor, int]:
    """Returns the executor that `spec` names, and its degree of parallelism.

    Raises:
        UsageError: When it names none, or a cluster that is not there or has no room.
        PluginError: When the package that it comes from does not work.
    """
    try:
        executor, arguments = registry.arguments_of("executor", _spec(spec), spec)
    except UsageError as error:
        if "?" in spec:
            raise
        known = "none of serial, processes:N, ray:N, ray:N@ADDRESS, ray:ADDRESS"
        raise UsageError(f"executor {spec!r} is {known}: {error}") from error
    if executor is ray and not arguments.get("workers"):
        # Counted once: work is cut for so many processes before it is done.
        needs = Needs(*(float(arguments.get(name, most)) for name, most in (("cpus", 1), ("gpus", 0))))
        with connected(arguments.get("address", "")) as cluster:
            arguments["workers"] = _room(cluster, needs)
    return (partial(executor, **arguments) if arguments else executor), int(arguments.get("workers", 1))


def has_gpus(spec: str) -> bool:
    """Whether each process of an executor has a GPU, or a part of one."""
    return float(dict(_spec(spec).arguments).get("gpus", 0)) > 0


def cut(items: Sequence[Piece], workers: int) -> list[Sequence[Piece]]:
    """Cuts items into pieces for an executor: in order, and about `PIECES_PER_WORKER` for each worker."""
    size = max(1, -(-len(items) // (workers * PIECES_PER_WORKER)))  # rounded up: never more pieces
    return [items[start : start + size] for start in range(0, len(items), size)]


def _spec(text: str) -> Spec:
    """Reads a spec, also one such as ``ray:64@ADDRESS`` or ``ray:auto?gpus=1``."""
    spec = parse(text)
    found = _TARGET.fullmatch(spec.target or "") if spec.name in ("processes", "ray") else None
    if found is None:
        return spec
    told = (("workers", found[1]), ("address", found[2] or found[3]))
    return Spec(spec.name, None, (*((name, value) for name, value in told if value), *spec.arguments))
