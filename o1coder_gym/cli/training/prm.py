"""``o1coder prm``: train, measure, calibrate and ask process reward models."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.agents.driver.cache import CachedScorer
from o1coder_gym.cli.options import (
    Dtype,
    DtypeOption,
    JsonOption,
    LearningRateOption,
    LoraRankOption,
    OptimizerStepsOption,
    OutOption,
    ProcessDataOption,
    ResumeOption,
    SaveStepsOption,
    SeedOption,
    TrainingOutOption,
    batch_option,
    epochs_option,
    max_length_option,
    rows_at_once_option,
)
from o1coder_gym.cli.run_folders import optional_folder, resumable
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.metrics import Estimate
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.trainers import PRM_SETTINGS, TrainingSettings, require_packages
from o1coder_gym.prm import load_scorer
from o1coder_gym.prm.calibration import read_calibration
from o1coder_gym.prm.evaluation import Choice, ScorerReport, evaluate_scorer
from o1coder_gym.prm.public import PUBLIC
from o1coder_gym.prm.training.calibrating import calibrate as calibrate_model
from o1coder_gym.prm.training.calibrating import unseen
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.process_data import PrefixRow, ProcessData, read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.reporting.figures import draw_reliability
from o1coder_gym.runs.provenance import artefact_path, input_hashes
from o1coder_gym.types import Problem, State

app = typer.Typer(help="Train, measure and ask process reward models.", no_args_is_help=True)

ScorerArgument = Annotated[str, typer.Argument(metavar="SCORER", help="heuristic, prm:FOLDER, prm:NAME, …")]
PartOption = Annotated[str, typer.Option("--split", help="validation, train, or all.")]


@app.command("train")
def train(
    data: ProcessDataOption,
    out: TrainingOutOption,
    model: Annotated[
        str, typer.Option("--model", help="Language model or PRM to start from: name, Hub id or folder.")
    ] = DEFAULT_MODEL,
    objective: Annotated[
        str, typer.Option("--objective", help="soft or hard labels (eq. 3), or pairwise (eq. 4).")
    ] = "soft",
    learning_rate: LearningRateOption = PRM_SETTINGS.learning_rate,
    epochs: Annotated[float, epochs_option("rows")] = PRM_SETTINGS.epochs,
    max_steps: OptimizerStepsOption = 0,
    batch: Annotated[int, batch_option("rows")] = PRM_SETTINGS.batch_size,
    rows_at_once: Annotated[int, rows_at_once_option("rows")] = PRM_SETTINGS.rows_at_once,
    lora_rank: LoraRankOption = PRM_SETTINGS.lora_rank,
    max_length: Annotated[int, max_length_option("chain")] = PRM_SETTINGS.max_length,
    dtype: DtypeOption = Dtype.AUTO,
    save_steps: SaveStepsOption = PRM_SETTINGS.save_steps,
    seed: SeedOption = PRM_SETTINGS.seed,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a language model with a scalar head to tell good steps from bad ones."""
    settings = TrainingSettings(
        learning_rate=learning_rate,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch,
        rows_at_once=rows_at_once,
        lora_rank=lora_rank,
        max_length=max_length,
        dtype=dtype.value,
        save_steps=save_steps,
        seed=seed,
    )
    require_packages("torch", "transformers")
    from o1coder_gym.prm.training.trainer import train_prm

    result = train_prm(model, data, out, objective, settings, resume=resume)
    typer.echo(json.dumps(result.to_row()) if as_json else f"prm:{result.model}")


@app.command("fit")
def fit_heads(
    data: ProcessDataOption,
    out: TrainingOutOption,
    model: Annotated[
        str, typer.Option("--model", help="Language model whose body stays as it is: name, Hub id or folder.")
    ] = DEFAULT_MODEL,
    objective: Annotated[
        list[str] | None,
        typer.Option("--objective", help="soft, hard or pairwise; may be repeated. By default all three."),
    ] = None,
    max_length: Annotated[int, max_length_option("chain")] = PRM_SETTINGS.max_length,
    dtype: DtypeOption = Dtype.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Fit only the head, to what the untrained model says: no learning rate, minutes on a CPU."""
    require_packages("torch", "transformers")
    from o1coder_gym.prm.training.head_only import FitSettings, fit_prm
    from o1coder_gym.prm.training.trainer import OBJECTIVES

    settings = FitSettings(dtype.value, max_length)
    for result in fit_prm(model, data, out, objective or OBJECTIVES, settings):
        typer.echo(json.dumps(result.to_row()) if as_json else f"prm:{result.model}")


@app.command("eval")
def evaluate(
    scorer: ScorerArgument,
    data: ProcessDataOption,
    split: PartOption = "validation",
    n: Annotated[int, typer.Option("--n", min=1, help="Candidates of best-of-n.")] = 8,
    soft: Annotated[bool, typer.Option("--soft", help="Measure calibration against v, not 0 and 1.")] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=10, help="Of the bootstrap.")] = 1000,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a scorer on problems that it was not trained on; may be interrupted."""
    calibration = read_calibration(artefact_path(scorer))
    part = unseen(_part(read_data(data), split), calibration)
    config = {
        "scorer": scorer,
        "calibration": asdict(calibration),
        "inputs": input_hashes(scorer) | {"data": data_hash(data)},
    }
    asked = load_scorer(scorer)
    with resumable(out), optional_folder(out, config, resume) as folder:
        report = evaluate_scorer(CachedScorer(asked, folder), part, n=n, soft=soft, resamples=resamples)
    row = {"scorer": scorer, "data": str(data), "split": split, **report.to_row()}
    if out is not None:
        (out / "report.json").write_text(json.dumps(row, indent=2) + "\n")
        draw_reliability(report.bins, out / "reliability.png", scorer)
    if as_json:
        typer.echo(json.dumps(row))
    else:
        Console().print(_table(report, scorer))


@app.command("calibrate")
def calibrate(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model of o1coder prm train.")],
    data: ProcessDataOption,
    method: Annotated[str, typer.Option("--method", help="temperature, isotonic or none.")] = "temperature",
    split: PartOption = "validation",
    soft: Annotated[bool, typer.Option("--soft", help="Calibrate to v, not to hard labels.")] = False,
) -> None:
    """Fit a calibration on half of the held-out problems, keep it, and measure it on the other half."""
    found = calibrate_model(model, data, method, split, soft=soft)
    typer.echo(
        f"{method}" + (f", τ = {found.calibration.temperature:.3f}" if method == "temperature" else "")
    )
    figures = (("AUC", found.auc), ("calibration error", found.error))
    for name, (before, after) in figures if found.problems else ():
        typer.echo(f"{name} on {found.problems} other problems: {before:.3f} → {after:.3f}")


@app.command("score")
def score(
    scorer: ScorerArgument,
    data: ProcessDataOption,
    split: PartOption = "all",
) -> None:
    """Print a score for every prefix, one JSON object a line."""
    part = _part(read_data(data), split)
    scores = load_scorer(scorer).score(_items(part, part.prefixes))
    for row, value in zip(part.prefixes, scores, strict=True):
        line = {**row.state.to_row(), "score": value, "value": row.value, "hard": row.hard}
        typer.echo(json.dumps(line))


@app.command("list")
def list_public(as_json: JsonOption = False) -> None:
    """List the public process reward models that are known by name."""
    if as_json:
        rows = {name: {"hub": one.hub, "kind": one.kind} for name, one in PUBLIC.items()}
        typer.echo(json.dumps(rows))
        return
    table = Table("scorer", "model", "trained on", box=None)
    for name, one in PUBLIC.items():
        table.add_row(f"prm:{name}", one.hub, one.trained_on)
    Console().print(table)


def _part(data: ProcessData, split: str) -> ProcessData:
    if split == "all":
        return data
    if split not in SPLITS:
        raise UnknownNameError("split", split, (*SPLITS, "all"))
    return data.of_split(split)


def _items(data: ProcessData, rows: Sequence[PrefixRow]) -> list[tuple[Problem, State]]:
    problems = {problem.task_id: problem for problem in data.problems}
    return [(problems[row.state.problem_id], row.state) for row in rows]


def _table(report: ScorerReport, scorer: str) -> Table:
    table = Table("", "value", "95 % interval", "examples", title=f"{scorer}, {report.problems} problems")
    rows: dict[str, Estimate] = {
        "AUC": report.auc,
        "accuracy": report.accuracy,
        "pair accuracy": report.pair_accuracy,
        "calibration error": report.calibration_error,
        **{f"AUC, step {depth}": one for depth, one in report.auc_by_depth.items()},
        **_choice_rows(f"best of {report.n}", report.best_of),
    }
    for depth, choice in report.best_of_by_depth.items():
        rows |= _choice_rows(f"best of {report.n}, step {depth}", choice)
    for name, one in rows.items():
        table.add_row(name, _number(one.value), f"{_number(one.low)} – {_number(one.high)}", str(one.count))
    return table


def _choice_rows(name: str, choice: Choice) -> dict[str, Estimate]:
    return {
        f"{name}: random": choice.random,
        f"{name}: log-probability": choice.logprob,
        f"{name}: scorer": choice.scorer,
        f"{name}: lift over random": choice.lift,
    }


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
