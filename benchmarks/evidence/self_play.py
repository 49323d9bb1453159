"""Measures self-play with the tiny model: what each method gains, what DPO lacks, what kills do to a run.

Commands, whose results are in benchmarks/README.md::

    python benchmarks/evidence/self_play.py gains --out runs/gains   # four methods, five seeds
    python benchmarks/evidence/self_play.py gains --version before=OLD --version after=. --out runs/gains
    python benchmarks/evidence/self_play.py pairs --out runs/gains   # DPO from the SFT policies of `gains`
    python benchmarks/evidence/self_play.py table --out runs/gains
    o1coder micro --out runs/micro
    python benchmarks/evidence/self_play.py kills --out runs/kills   # killed ten times, resumed

`gains` and `pairs` go cell by cell and append a row for each to ``gains.jsonl`` and ``rounds.jsonl``;
called again, they go on within the cell that a kill interrupted. OLD is a checkout of another revision with
its own .venv: policies are trained by the code of each version and all measured by the code that runs this
file, with the same draws for all policies of a seed. Problems and first policy are those of the package.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.measures.held_out import HeldOut
from o1coder_gym.experiments.self_play.config import read_config
from o1coder_gym.experiments.self_play.stages import Learned, RealStages
from o1coder_gym.metrics.estimates import Estimate, estimate_mean
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.process_data.store import FILES
from o1coder_gym.runs.files import replacing, write_whole
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import Checked, Flag, to_row
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Sampling

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "benchmarks" / "selfplay" / "tiny.toml"
SEEDS = (1000, 2000, 3000, 4000, 5000)
"""Far apart: up to 268bfca a run's stages and samples had its seed and the numbers that follow."""
MEASURED = Sampling(1.0, top_p=1.0, top_k=0, max_tokens=96)
SAMPLES = 4
STAGES = ("data", "sft", "prm")
"""Of a first iteration, alike for all methods of a seed."""

_SKIP = "skip = true\n"
_DPO = DPOSettings(learning_rate=2e-5, beta=0.1, batch_size=16, rows_at_once=16)

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


@dataclass(frozen=True, slots=True)
class Variant:
    """One round of DPO on the SFT policy.

    Attributes:
        rollouts: K of the values that pairs are made of; 0: W / N of the search.
        before_code: Whether pairs of programs are left out.
        by_sft: Whether the SFT policy searches for the pairs; else they are those that SFT had.
        fixed: Whether a second search and a second round follow, with the SFT policy as reference again; the
            method dpo of `gains` has that of the first round there.
    """

    rollouts: int = 0
    before_code: bool = False
    by_sft: bool = False
    fixed: bool = False


VARIANTS: Mapping[str, Variant] = {
    "all pairs": Variant(),
    "before code": Variant(before_code=True),
    "K = 8": Variant(rollouts=8),
    "K = 8, before code": Variant(rollouts=8, before_code=True),
    "searched by SFT": Variant(by_sft=True),
    "searched by SFT, K = 8": Variant(rollouts=8, by_sft=True),
    "two rounds, fixed": Variant(fixed=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings(Checked):
    """Pairs.

    Attributes:
        out: Folder of `gains`, whose SFT policies are the start.
        version: Whose.
        seeds: Of these runs.
        variants: Only this one; may be repeated.
    """

    out: Path
    version: str = "after"
    seeds: tuple[int, ...] = SEEDS
    variants: Annotated[tuple[str, ...], Flag("--variant")] = tuple(VARIANTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings(Checked):
    """Table.

    Attributes:
        out: Folder of `gains`, or of its journals.
    """

    out: Path


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
            print(_told(row), flush=True)
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


def pairs(settings: PairSettings) -> None:
    """Trains one round of DPO, or two, on the SFT policy of each seed; one thing varies at a time."""
    out = settings.out.resolve()
    config = {"command": "self_play pairs", "config": to_row(_DPO)}
    with RunFolder.open(out / "pairs", config, resume=True) as folder:
        done = {(row["seed"], row["method"]) for row in folder.rows("rounds")}
        for seed in settings.seeds:
            start = out / settings.version / "sft" / f"seed-{seed}" / "iteration-00"
            for name in settings.variants:
                if (seed, name) in done or not (start / "sft" / "model").exists():
                    continue
                model, count = _dpo(VARIANTS[name], start, out, seed)
                row = {"seed": seed, "method": name, "version": settings.version, "pairs": count}
                row |= measured(str(model), seed)
                folder.append("rounds", row)
                print(_told(row), flush=True)
    table(TableSettings(out=out))


def _dpo(variant: Variant, start: Path, out: Path, seed: int) -> tuple[Path, int]:
    """Trains a variant; returns its policy and the pairs that it has learned from, in the last round."""
    place, sft = out / "pairs" / f"seed-{seed}", start / "sft" / "model"
    _copy_tests(start.parent, place)
    stages = _searching(variant.rollouts, out, seed, place)
    by, name = (sft, "by-sft") if variant.by_sft else (model_path("tiny"), "by-start")
    data = start / "data"
    if variant.by_sft or variant.rollouts:
        data = stages.synthesize(Learned(str(by)), 0, place / f"{name}-{variant.rollouts}")
    part = "before-code" if variant.before_code else "all"
    first = place / f"dpo-{data.parent.name}-{data.name}-{part}"
    model, count = _round(sft, data, first, variant.before_code)
    if not variant.fixed:
        return model, count
    again = stages.synthesize(Learned(str(model), data=data), 1, place / "second")
    return _round(model, again, place / "dpo-second-fixed", variant.before_code, str(sft))


def _round(
    model: Path, data: Path, out: Path, before_code: bool, reference: str | None = None
) -> tuple[Path, int]:
    from o1coder_gym.agents.rl.dpo import train_dpo

    found = read_data(data)
    found = replace(found, pairs=_kept(found, before_code))
    trained = out / "model"
    if not trained.exists():
        options: dict[str, Any] = {"step_format": PSEUDOCODE, "resume": True, "reference": reference}
        trained = train_dpo(str(model), found, out, _DPO, **options)
    return trained, len(found.of_split("train").pairs)


def _kept(data: ProcessData, before_code: bool) -> tuple[Any, ...]:
    """Returns the pairs, without those of which a side is a program if so asked."""
    if not before_code:
        return data.pairs
    return tuple(pair for pair in data.pairs if ActionType.CODE not in (pair.chosen.type, pair.rejected.type))


def _searching(rollouts: int, out: Path, seed: int, place: Path) -> RealStages:
    """Returns the stages of self-play with as many completions of each prefix."""
    config = read_config(out / "sft.toml", seed=seed)
    synthesis = replace(config.synthesis, rollouts=rollouts)
    return RealStages(replace(config, synthesis=synthesis), place)


def table(settings: TableSettings) -> None:
    """Prints gains over the first policy and over SFT, with Student's interval over seeds."""
    names = ("gains.jsonl", "rounds.jsonl", "pairs/rounds.jsonl")
    rows = [row for path in map(settings.out.joinpath, names) if path.exists() for row in read_rows(path)]
    found = {(row["method"], row["version"], row["seed"]): row for row in rows}
    print("| method | version | seeds | test pass@1 by seed | over the start | over SFT | greedy, over SFT |")
    print("|---|---|---|---|---|---|---|")
    for method, version in dict.fromkeys(key[:2] for key in found):
        seeds = _seeds(found, method, version)
        rates = [_mean(found[method, version, seed]["pass_rate"]) for seed in seeds]
        over_start = _over(found, (method, version), ("start", ""), seeds)
        over_sft = [
            _over(found, (method, version), ("sft", version), seeds, name) for name in ("pass_rate", "greedy")
        ]
        by_seed = ", ".join(f"{100 * rate:.1f}" for rate in rates)
        cells = [method, version, str(len(seeds)), by_seed, *map(_points, (over_start, *over_sft))]
        print(f"| {' | '.join(cells)} |")
    for method, version in dict.fromkeys(key[:2] for key in found):
        if version not in ("", "before") and ((method, "before") in {key[:2] for key in found}):
            apart = _over(found, (method, version), (method, "before"), _seeds(found, method, version))
            print(f"{method}: {version} less before {_points(apart)} over {apart.count} seeds")


def _seeds(found: Mapping[tuple[str, str, int], Any], method: str, version: str) -> list[int]:
    return sorted(seed for name, by, seed in found if (name, by) == (method, version))


def _over(
    found: Mapping[tuple[str, str, int], Mapping[str, Any]],
    one: tuple[str, str],
    other: tuple[str, str],
    seeds: Sequence[int],
    name: str = "pass_rate",
) -> Estimate:
    """Estimates the mean difference over the seeds that both have."""
    both = [seed for seed in seeds if (*other, seed) in found]
    return estimate_mean([_mean(found[*one, seed][name]) - _mean(found[*other, seed][name]) for seed in both])


def _points(over: Estimate) -> str:
    if math.isnan(over.value):
        return "–"
    ends = "" if math.isnan(over.low) else f" [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
    return f"{100 * over.value:+.1f}{ends}"


def _told(row: Mapping[str, Any]) -> str:
    where = f"seed {row['seed']}, {row['method']} {row['version']}"
    return f"{where}: pass@1 {_mean(row['pass_rate']):.1%}, greedy {_mean(row['greedy']):.1%}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
            told = "".join(f"{name} = {getattr(_DPO, name)}\n" for name in given)
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
    return json.loads(_run(config, folder, seed, tree))["policy"]


def _take_over(finished: Path, folder: Path) -> None:
    """Copies the first stages, and the generated tests, of a run that differs in what comes later."""
    _copy_tests(finished, folder)
    for stage in STAGES:
        one, other = (run / "iteration-00" / stage for run in (finished, folder))
        if (one / "stage.json").exists() and not other.exists():
            other.parent.mkdir(parents=True, exist_ok=True)
            with replacing(other) as part:
                shutil.copytree(one, part)


def _copy_tests(finished: Path, folder: Path) -> None:
    """Copies generated tests, which depend on the problems alone."""
    if (finished / "tests.jsonl").exists() and not (folder / "tests.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "tests.jsonl", (finished / "tests.jsonl").read_bytes())


def _command(config: Path, folder: Path, seed: int, tree: Path = ROOT) -> list[str]:
    own = tree / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    options = ["--config", str(config), "--out", str(folder), "--seed", str(seed), "--resume", "--json"]
    return [python, "-P", "-m", "o1coder_gym.cli.main", "selfplay", *options]


def _run(config: Path, folder: Path, seed: int, tree: Path = ROOT) -> str:
    """Runs self-play to its end, by the code of a checkout; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    return subprocess.run(
        _command(config, folder, seed, tree), check=True, stdout=subprocess.PIPE, text=True, env=environment
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
    app.command(command(PairSettings, pairs, name="pairs"))
    app.command(command(TableSettings, table, name="table"))
    app.command(command(KillSettings, kills, name="kills"))
    sys.exit(main_of(app))
