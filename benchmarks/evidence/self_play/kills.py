"""Kills self-play with the tiny model again and again, and compares what is left with an undisturbed run.

Commands::

    o1coder micro --out runs/micro
    python benchmarks/evidence/self_play/kills.py --out runs/kills   # killed ten times, resumed
"""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from process import CONFIG, command_of, run

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.process_data.store import FILES
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.settings import Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSettings(Checked):
    """Kills.

    Attributes:
        out: Folder of both runs.
        start: Configuration of self-play with the method step.
        times: Kills.
        seconds: Longest time between two kills.
        seed: Seed of self-play and of the moments.
    """

    out: Path
    start: Path = CONFIG
    times: int = 10
    seconds: float = 60.0
    seed: int = 0


def kills(settings: KillSettings) -> int:
    """Runs self-play twice, once killed with all its processes at random moments; compares what is left."""
    config, out, seed = settings.start, settings.out, settings.seed
    whole, killed = out / "whole", out / "killed"
    run(config, whole, seed)
    moments = random.Random(seed)
    hit = 0
    for number in range(settings.times):
        process = subprocess.Popen(
            command_of(config, killed, seed),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            code: int | None = process.wait(timeout=moments.uniform(1.0, settings.seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code, hit = None, hit + 1
        stages = len(list(killed.glob("iteration-*/*/stage.json")))
        told = "killed" if code is None else f"ended with {code}"
        print(f"{number + 1}: {told}, {stages} stages done")
    run(config, killed, seed)
    one, two = (_artefacts(folder) for folder in (whole, killed))
    differing = sorted(name for name in one.keys() | two.keys() if not _same(one.get(name), two.get(name)))
    for name in differing:
        print(f"differs: {name}")
    print(f"{len(one) - len(differing)} of {len(one)} files are the same after {hit} kills")
    return int(bool(differing))


def _artefacts(folder: Path) -> dict[str, Path]:
    """Returns what a run leaves: data, weights, measurements and the report."""
    names: Sequence[str] = ("curve.jsonl", "tested.jsonl", "report.md", *(f"{name}.jsonl" for name in FILES))
    paths = [path for path in folder.rglob("*") if path.name in names or _is_model(path)]
    return {str(path.relative_to(folder)): path for path in paths}


def _same(one: Path | None, two: Path | None) -> bool:
    """Whether two files are equal: byte by byte, rows of data but for the rounding of log-probabilities.

    A search that was resumed samples the same tokens in other batches, which shows in the last digits. Ids of
    sources are left out: they are hashes of what was run, the policy's path included.
    """
    if one is None or two is None:
        return False
    if one.stem not in FILES:
        return one.read_bytes() == two.read_bytes()
    rows, others = (list(read_rows(path)) for path in (one, two))
    return len(rows) == len(others) and all(map(_same_row, rows, others))


def _same_row(one: dict[str, Any], two: dict[str, Any]) -> bool:
    left, right = one.get("logprob"), two.get("logprob")
    apart = {"logprob": None, "sources": None}
    if {**one, **apart} != {**two, **apart}:
        return False
    if left is None or right is None:
        return left is right
    return math.isclose(left, right, abs_tol=1e-3)


def _is_model(path: Path) -> bool:
    return path.suffix == ".safetensors" and path.parent.name == "model"


if __name__ == "__main__":
    sys.exit(main_of(command(KillSettings, kills, name="kills")))
