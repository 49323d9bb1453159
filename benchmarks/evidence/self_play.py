"""Measures self-play with the tiny model: what it gains by seed and by method of RL, and what kills do to it.

Commands, whose results are in benchmarks/README.md::

    o1coder micro --out runs/micro
    python benchmarks/evidence/self_play.py gains --out runs/selfplay-gains  # three methods, five seeds
    python benchmarks/evidence/self_play.py kills --out runs/selfplay-kills  # killed ten times, resumed

`gains` goes on where it was when it is called again.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.metrics.estimates import estimate_mean
from o1coder_gym.process_data.store import FILES
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.settings import Checked, Flag

CONFIG = Path(__file__).parents[1] / "selfplay" / "tiny.toml"
SEEDS = 5
_DPO = '[rl]\nmethod = "dpo"\nlearning_rate = 2e-5\nbeta = 0.1\nbatch_size = 16\nrows_at_once = 16\n'


Method = Literal["step", "outcome", "dpo"]
"""What ``[rl]`` of the configuration is made to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainSettings(Checked):
    """Gains.

    Attributes:
        out: Folder of all runs.
        start: Configuration of self-play with the method step.
        methods: Only this one; may be repeated.
    """

    out: Path
    start: Path = CONFIG
    methods: Annotated[tuple[Method, ...], Flag("--method")] = get_args(Method)


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


def gains(settings: GainSettings) -> None:
    """Gain of pass@1 by whole runs on the test split, and of RL over SFT on the validation split."""
    out = settings.out
    for method in settings.methods:
        written = _written(settings.start, method, out)
        results = []
        for seed in range(SEEDS):
            folder = out / method / f"seed-{seed}"
            result = json.loads(_run(written, folder, seed))["pass_rate"]
            curve = {row["stage"]: row["pass_rate"] for row in read_rows(folder / "curve.jsonl")}
            results.append((result["gain"], curve["end"] - curve["sft"]))
            ends = f"{result['before']:.1%} → {result['after']:.1%}"
            print(
                f"{method}, seed {seed}: test {ends}; validation after SFT {curve['sft']:.1%}, "
                f"after RL {curve['end']:.1%}"
            )
        titles = ("whole run, test", "RL over SFT, validation")
        for title, values in zip(titles, zip(*results, strict=True), strict=True):
            over = estimate_mean(values)
            risen = sum(value > 0 for value in values)
            print(
                f"{method}, {title}: {over.mean:+.1%} [{over.low:+.1%}, {over.high:+.1%}] over seeds, "
                f"{risen} of {SEEDS} seeds rose"
            )


def kills(settings: KillSettings) -> int:
    """Runs self-play twice, once killed with all its processes at random moments; compares what is left."""
    config, out, seed = settings.start, settings.out, settings.seed
    whole, killed = out / "whole", out / "killed"
    _run(config, whole, seed)
    moments = random.Random(seed)
    hit = 0
    for number in range(settings.times):
        process = subprocess.Popen(
            _command(config, killed, seed),
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
    _run(config, killed, seed)
    one, two = (_artefacts(folder) for folder in (whole, killed))
    differing = sorted(name for name in one.keys() | two.keys() if not _same(one.get(name), two.get(name)))
    for name in differing:
        print(f"differs: {name}")
    print(f"{len(one) - len(differing)} of {len(one)} files are the same after {hit} kills")
    return int(bool(differing))


def _written(config: Path, method: Method, out: Path) -> Path:
    """Writes the configuration of a method; returns its path."""
    text = config.read_text()
    if method == "dpo":
        text = text.partition("[rl]")[0] + _DPO
    else:
        text = text.replace('credit = "step"', f'credit = "{method}"')
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{method}.toml"
    path.write_text(text)
    return path


def _command(config: Path, folder: Path, seed: int) -> list[str]:
    options = ["--config", str(config), "--out", str(folder), "--seed", str(seed), "--resume", "--json"]
    return [sys.executable, "-m", "o1coder_gym.cli.main", "selfplay", *options]


def _run(config: Path, folder: Path, seed: int) -> str:
    """Runs self-play to its end; returns what it prints."""
    return subprocess.run(
        _command(config, folder, seed), check=True, stdout=subprocess.PIPE, text=True
    ).stdout


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
    app = new_app("self_play", __doc__ or "")
    app.command(command(GainSettings, gains, name="gains"))
    app.command(command(KillSettings, kills, name="kills"))
    sys.exit(main_of(app))
