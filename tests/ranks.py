"""Ranks of the tests: processes of one training, without a launcher, so that a test may end one.

They are forked by a server that has imported what trainings need, once for all tests of this process.
"""

import contextlib
import gc
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

NEEDED = ["o1coder_gym.agents.rl.grpo", "o1coder_gym.agents.rl.dpo", "o1coder_gym.prm.training.trainer"]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(NEEDED)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a rank ended, and what it printed."""

    status: int
    stdout: str
    stderr: str


class Ranks:
    """Ranks that run, or have run."""

    def __init__(self, processes: Sequence[BaseProcess], folder: Path) -> None:
        self._processes = processes
        self._folder = folder

    @property
    def run(self) -> bool:
        """Whether all still do."""
        return all(one.is_alive() for one in self._processes)

    def kill(self, rank: int) -> None:
        """Ends one, which hears nothing of it."""
        self._processes[rank].kill()

    def ended(self, timeout: float = 280) -> list[Ended]:
        """Waits for all; after the time those that are left are killed."""
        until = time.monotonic() + timeout
        for one in self._processes:
            one.join(max(0.0, until - time.monotonic()))
        self.end()
        return [
            Ended(one.exitcode or 0, *(self._told(rank, name) for name in ("out", "err")))
            for rank, one in enumerate(self._processes)
        ]

    def end(self) -> None:
        """Kills those that are left."""
        for one in self._processes:
            one.kill()
            one.join()

    def _told(self, rank: int, name: str) -> str:
        return (self._folder / f"{name}-{rank}").read_text()


@contextlib.contextmanager
def started(count: int, work: Callable[..., Any], *given: Any) -> Iterator[Ranks]:
    """Starts ``work(*given)`` in so many ranks; what it returns is the status."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        words = [(rank, count, port, Path(folder), work, given) for rank in range(count)]
        processes = [SERVER.Process(target=_rank, args=one) for one in words]
        # A rank imports the tests by their names, and pytest has them on no path.
        with patch.object(sys, "path", [*sys.path, str(Path(__file__).parents[1])]):
            for one in processes:
                one.start()
        ranks = Ranks(processes, Path(folder))
        try:
            yield ranks
        finally:
            ranks.end()


def run(count: int, work: Callable[..., Any], *given: Any) -> list[Ended]:
    """Runs ``work(*given)`` in so many ranks to its end."""
    with started(count, work, *given) as ranks:
        return ranks.ended()


def _rank(
    rank: int, count: int, port: int, folder: Path, work: Callable[..., Any], given: tuple[Any, ...]
) -> None:
    gc.freeze()  # the server's imports are no garbage, and are shared until they are looked through for it
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    os.environ |= {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    import torch

    torch.set_num_threads(1)
    sys.exit(work(*given))
