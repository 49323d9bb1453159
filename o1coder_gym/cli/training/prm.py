"""``o1coder prm``: train, measure, calibrate and ask process reward models."""

from __future__ import annotations

import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable
from o1coder_gym.experiments.training import prm
from o1coder_gym.experiments.training.prm import (
    CalibrationSettings,
    HeadSettings,
    MeasurementSettings,
    PRMSettings,
    ScoreSettings,
)
from o1coder_gym.reporting.tables.estimate_table import estimate_table
from o1coder_gym.settings.groups import FitRun, JsonLines, OutputSettings, RunSettings, TrainingRun


def train(settings: PRMSettings, run: TrainingRun) -> None:
    """Train a language model with a scalar head to tell good steps from bad ones."""
    result = prm.train_scorer(settings, run.out, resume=run.resume)
    print(to_json(result.to_row()) if run.as_json else f"prm:{result.model}")


def fit(settings: HeadSettings, run: FitRun) -> None:
    """Fit only the head, on the untrained model's hidden states: no learning rate, minutes on a CPU."""
    for result in prm.fit_heads(settings, run.out):
        print(to_json(result.to_row()) if run.as_json else f"prm:{result.model}")


def evaluate(settings: MeasurementSettings, run: RunSettings) -> None:
    """Measure a scorer on problems that it was not trained on; may be interrupted."""
    with resumable(run.out):
        report, row = prm.measure_scorer(settings, run.out, resume=run.resume)
    if run.as_json:
        print(to_json(row))
    else:
        title = f"{settings.scorer}, {report.problems} problems"
        Console().print(estimate_table(report.estimates(), "value", "examples", title))
    if seen := row.get("trained_on"):
        print(f"{settings.scorer} was trained on {len(seen)} of these problems", file=sys.stderr)


def calibrate(settings: CalibrationSettings, run: OutputSettings) -> None:
    """Fit a calibration on half of the held-out problems, keep it, and measure it on the other half."""
    found, method = prm.calibrate(settings), settings.method
    if run.as_json:
        print(to_json(asdict(found)))
        return
    print(f"{method}" + (f", τ = {found.calibration.temperature:.3f}" if method == "temperature" else ""))
    figures = (("AUC", found.auc), ("calibration error", found.error))
    for name, (before, after) in figures if found.problems else ():
        print(f"{name} on {found.problems} other problems: {before:.3f} → {after:.3f}")


def score(settings: ScoreSettings, _: JsonLines) -> None:
    """Print a score for every prefix, one JSON object per line."""
    for row in prm.scores(settings):
        print(to_json(row))


def list_public(settings: OutputSettings) -> None:
    """List the public process reward models that are known by name."""
    known = prm.public_scorers()
    if settings.as_json:
        print(to_json({name: {"hub": one.hub, "kind": one.kind} for name, one in known.items()}))
        return
    table = Table("scorer", "model, and what it was trained on", box=None)
    for name, one in known.items():  # one below the other: side by side they are cut at 80 columns
        table.add_row(f"prm:{name}", f"{one.hub}\n{one.trained_on}")
    Console().print(table)


app = new_app("prm", "Train, measure and apply process reward models.")
app.command(command(PRMSettings, train, "train", TrainingRun, ranked=True))
app.command(command(HeadSettings, fit, "fit", FitRun))
app.command(command(MeasurementSettings, evaluate, "eval", RunSettings))
app.command(command(CalibrationSettings, calibrate, "calibrate", OutputSettings))
app.command(command(ScoreSettings, score, "score", JsonLines))
app.command(command(OutputSettings, list_public, name="list"))
