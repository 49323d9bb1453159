"""Ranks of the tests: processes of one training, started without a launcher, so that a test may end one."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(count: int, words: Sequence[object], *options: Sequence[object]) -> list[subprocess.Popen[str]]:
    """Starts ``python words`` as so many ranks; each may have options of its own behind."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count)}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, (*words, *(options[rank] if options else ())))],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(ranks: Sequence[subprocess.Popen[str]], timeout: float = 120) -> list[tuple[int, str, str]]:
    """Waits for all; returns status, standard output and standard error of each."""
    try:
        told = [one.communicate(timeout=timeout) for one in ranks]
    finally:
        for one in ranks:
            one.kill()
    return [(one.returncode, *words) for one, words in zip(ranks, told, strict=True)]
