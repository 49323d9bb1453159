"""Work on a Ray cluster: lasting processes, placed by their needs, replaced when lost.

Ray decides where a process runs, and waits until there is room. Here a piece is given to a process that has
just answered, and to another one when that process is lost. `ray.util.ActorPool` gives pieces away likewise,
but forgets which one a lost process had; Ray's own retries keep it for the lost process until there is room
for that again, and a cluster of fixed size may never have any.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from o1coder_gym.errors import InfrastructureError, UsageError, require
from o1coder_gym.sandbox import default_judge

_LOSSES = 3
"""Processes that may be lost over one piece; before they are ready, beside one in each place."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The resources of each process.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs; a part of one, such as 0.5, shares it.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def room(self, nodes: Sequence[dict[str, Any]]) -> int:
        """Returns how many processes fit the machines of a cluster, as `ray.nodes` lists them."""
        asked = {"CPU": self.cpus, "GPU": self.gpus}
        return sum(
            min(int(node["Resources"].get(name, 0.0) / most) for name, most in asked.items() if most)
            for node in nodes
            if node["Alive"]
        )


@contextmanager
def connected(address: str, cpus: int | None = None) -> Iterator[Any]:
    """Yields the module ``ray``, connected; a cluster that is started here ends with the context.

    Args:
        address: Of the cluster; empty: this process's, or one is started on this machine.
        cpus: Cores of a cluster that is started here; None: all of them.

    Raises:
        MissingExtraError: When Ray is not installed.
        UsageError: When there is no cluster at the address.
    """
    require("ray", "ray")
    cluster: Any = importlib.import_module("ray")
    started = not cluster.is_initialized()
    if started:
        where = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
        try:
            cluster.init(log_to_driver=False, logging_level=logging.WARNING, **where)
        except ConnectionError as error:
            raise UsageError(f"executor ray: no cluster at {address}; ray start --head begins one") from error
    try:
        yield cluster
    finally:
        if started:
            cluster.shutdown()


class _Process:
    """A process of the cluster: it handles a piece at a time and keeps what the work has loaded."""

    def __init__(self, folder: str, cores: int) -> None:
        default_judge(cores)
        with suppress(OSError):  # paths of a spec may be relative to where the run was started
            os.chdir(folder)

    def ready(self) -> None:
        """Returns when the process has started."""

    def do(self, work: Callable[[Any], Any], piece: Any) -> Any:
        """Returns the result of a piece."""
        return work(piece)


class Crew:
    """Processes of a cluster that do one run of pieces after another; a context manager. Mutable."""

    def __init__(self, cluster: Any, workers: int, needs: Needs) -> None:
        """Asks for the processes; they start as soon as there is room.

        Args:
            cluster: The module ``ray``, connected.
            workers: How many, ≥ 1.
            needs: The resources of each.
        """
        self._cluster = cluster
        # No restarts by Ray: the crew has to know which piece was lost, and how often.
        kind = cluster.remote(_Process).options(num_cpus=needs.cpus, num_gpus=needs.gpus, max_restarts=0)
        self._start = partial(kind.remote, os.getcwd(), max(1, int(needs.cpus)))
        self._processes = [self._start() for _ in range(workers)]

    def results(self, work: Callable[[Any], Any], pieces: Sequence[Any]) -> Iterator[Any]:
        """Yields the results of pieces, in order, as soon as all before them are there. One run at a time.

        Args:
            work: What is done; picklable.
            pieces: What it is done to; picklable.

        Raises:
            InfrastructureError: When three processes are lost over one piece, or before they are ready.
        """
        self._work = self._cluster.put(work)  # sent to each machine once
        self._pieces = pieces
        self._waiting = deque(range(len(pieces)))
        self._losses: Counter[int | None] = Counter()
        self._busy: dict[Any, tuple[Any, int | None]] = {}
        self._call(self._processes)
        found: dict[int, Any] = {}
        for place in range(len(pieces)):
            while place not in found:
                self._advance(found)
            yield found.pop(place)

    def dismiss(self) -> None:
        """Ends all processes at once."""
        for process in self._processes:
            self._cluster.kill(process)
        self._processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dismiss()

    def _call(self, processes: Iterable[Any]) -> None:
        """Asks processes whether they have started: those that answer get pieces."""
        self._busy.update((process.ready.remote(), (process, None)) for process in processes)

    def _advance(self, found: dict[int, Any]) -> None:
        """Waits for one process, keeps its result, and gives it the next piece."""
        (reference,), _ = self._cluster.wait(list(self._busy), num_returns=1)
        process, piece = self._busy.pop(reference)
        errors = self._cluster.exceptions
        try:
            result = self._cluster.get(reference)
        except errors.RayTaskError as error:
            # The work's own error, as if it had run in this process.
            raise getattr(error, "cause", error) from None
        except (errors.RayActorError, errors.ObjectLostError, errors.NodeDiedError) as error:
            self._lost(process, piece, error)
            return
        if piece is not None:
            found[piece] = result
            # A result shows that processes do start: only losses in a row end the run.
            self._losses[None] = 0
        if self._waiting:
            piece = self._waiting.popleft()
            self._busy[process.do.remote(self._work, self._pieces[piece])] = process, piece

    def _lost(self, process: Any, piece: int | None, error: Exception) -> None:
        """Puts a piece back, and another process in the place of a lost one."""
        self._losses[piece] += 1
        if self._losses[piece] == _LOSSES + (len(self._processes) if piece is None else 0):
            what = "before it was ready" if piece is None else f"over piece {piece + 1}"
            first = str(error).strip().partition("\n")[0]
            raise InfrastructureError(
                f"executor ray: a process was lost {what}, {self._losses[piece]} times: {first}"
            ) from error
        if piece is not None:
            # First again: results are yielded in order, so all later ones wait for it.
            self._waiting.appendleft(piece)
        self._processes[self._processes.index(process)] = self._start()
        at_work = [one for one, _ in self._busy.values()]
        self._call(one for one in self._processes if one not in at_work)
