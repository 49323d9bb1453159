"""Measures what each method of self-play gains with the tiny model, by seed and version.

    python benchmarks/evidence/self_play/gains.py --out runs/gains   # four methods, five seeds
    python benchmarks/evidence/self_play/gains.py --version before=OLD --version after=. --out runs/gains

It goes cell by cell and appends a row for each to ``gains.jsonl``; called again, it goes on within the cell
that a kill interrupted. OLD is a checkout of another revision with its own .venv: policies are trained by the
code of each version and all measured by the code that runs this file, with the same draws for all policies of
a seed. Problems and first policy are those of the package.
"""

from __future__ import annotations

import gzip
import json
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from process import CONFIG, DPO, ROOT, copy_tests, run
from table import TableSettings, table, told

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.measures.held_out import HeldOut
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs.files import replacing, write_whole
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Sampling

SEEDS = (1000, 2000, 3000, 4000, 5000)
"""Far apart: up to 268bfca a run's stages and samples had its seed and the numbers that follow."""
MEASURED = Sampling(1.0, top_p=1.0, top_k=0, max_tokens=96)
SAMPLES = 4
STAGES = ("data", "sft", "prm")
"""Of a first iteration, alike for all methods of a seed."""

_SKIP = "skip = true\n"

Method = Literal["sft", "dpo", "step", "outcome"]
"""SFT alone; SFT and then two turns with DPO, with GRPO by step, or with GRPO by outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainSettings(Checked):
    """Gains.

    Attributes:
        out: Folder of all runs.
        start: Configuration of self-play with the method step.
        methods: Only this one; may be repeated.
        seeds: Of the runs.
        versions: NAME=CHECKOUT, may be repeated; by default this one.
    """

    out: Path
    start: Path = CONFIG
    methods: Annotated[tuple[Method, ...], Flag("--method")] = get_args(Method)
    seeds: tuple[int, ...] = SEEDS
    versions: Annotated[tuple[str, ...], Flag("--version")] = (f"after={ROOT}",)


def gains(settings: GainSettings) -> None:
    """Trains by each method, seed and version what is not there yet, and measures it on the test split."""
    out, text = settings.out.resolve(), settings.start.read_text()
    versions = dict(one.split("=", 1) for one in settings.versions)
    with RunFolder.open(out, {"command": "self_play gains", "config": text}, resume=True) as folder:
        problems = out / "problems.jsonl"
        write_whole(problems, gzip.decompress((ROOT / "o1coder_gym/data/micro.jsonl.gz").read_bytes()))
        done = {(row["seed"], row["method"], row["version"]) for row in folder.rows("gains")}
        for seed, method, version in _cells(settings, versions):
            if (seed, method, version) in done:
                continue
            begun = _cpu_s()
            model = str(model_path("tiny"))
            if method != "start":
                config = _written(text, method, problems, out)
                model = _trained(Path(versions[version]).resolve(), config, out / version, method, seed)
            trained_s = _cpu_s() - begun
            row = {"seed": seed, "method": method, "version": version, "trained_cpu_s": round(trained_s)}
            row |= measured(model, seed)
            folder.append("gains", row)
            print(told(row), flush=True)
    table(TableSettings(out=out))


def _cells(settings: GainSettings, versions: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yields seed, method and version; what is cheap first, versions beside each other."""
    for seed in settings.seeds:
        yield seed, "start", ""
        for method in settings.methods:
            for version in versions:
                yield seed, method, version


def measured(model: str, seed: int) -> dict[str, list[float]]:
    """Returns pass@1 of samples and of greedy decoding for each problem of the test split, in its order."""
    found = _held_out().by_problem(load_policy(f"hf:{model}?dtype=float32", format="pseudocode"), seed)
    return {name: [row[name] for row in found.values()] for name in ("pass_rate", "greedy")}


def _held_out() -> HeldOut:
    rows = load_rows("micro", split="test").rows
    return HeldOut(
        rows, default_judge(), step_format=PSEUDOCODE, max_steps=5, sampling=MEASURED, samples=SAMPLES
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _written(text: str, method: str, problems: Path, out: Path) -> Path:
    """Writes the configuration of a method; returns its path. What it measures by itself is kept short."""
    text = text.replace('"runs/micro/model"', json.dumps(str(model_path("tiny"))))
    text = text.replace('"runs/micro/problems.jsonl"', f"{json.dumps(str(problems))}\nheld_out_limit = 8")
    text = text.replace("samples = 4", "samples = 1")
    before, _, rl = text.partition("[rl]\n")
    head, _, _ = before.partition("[prm]\n")
    match method:
        case "sft":  # SFT is in the first iteration only
            text = head.replace("iterations = 2", "iterations = 1") + f"[prm]\n{_SKIP}[rl]\n{_SKIP}"
        case "dpo":  # asks no PRM
            given = ("learning_rate", "beta", "batch_size", "rows_at_once")
            told = "".join(f"{name} = {getattr(DPO, name)}\n" for name in given)
            text = f'{head}[prm]\n{_SKIP}[rl]\nmethod = "dpo"\n{told}'
        case _:
            text = before + "[rl]\n" + rl.replace('credit = "step"', f'credit = "{method}"')
    path = out / f"{method}.toml"
    write_whole(path, text)
    return path


def _trained(tree: Path, config: Path, out: Path, method: str, seed: int) -> str:
    """Runs self-play by the code of a checkout; returns its last policy."""
    folder = out / method / f"seed-{seed}"
    if not (folder / "config.json").exists():
        for other in get_args(Method):
            _take_over(out / other / folder.name, folder)
    return json.loads(run(config, folder, seed, tree))["policy"]


def _take_over(finished: Path, folder: Path) -> None:
    """Copies the first stages, and the generated tests, of a run that differs in what comes later."""
    copy_tests(finished, folder)
    for stage in STAGES:
        one, other = (run / "iteration-00" / stage for run in (finished, folder))
        if (one / "stage.json").exists() and not other.exists():
            other.parent.mkdir(parents=True, exist_ok=True)
            with replacing(other) as part:
                shutil.copytree(one, part)


if __name__ == "__main__":
    sys.exit(main_of(command(GainSettings, gains, name="gains")))
