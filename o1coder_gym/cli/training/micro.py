"""`o1coder micro`: a problem file, and a tiny model that half knows how to solve it, in a minute."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from o1coder_gym.cli.options import JsonOption, ResumeOption, SeedOption
from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.experiments.micro.tiny_model import TinySettings, train_tiny_model
from o1coder_gym.models.lookup import find_model
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import progress_bars

PROBLEMS, MODEL = "problems.jsonl", "model"
CountOption = Annotated[int, typer.Option(min=0, help="Problems of this split.")]


def micro(
    out: Annotated[Path, typer.Option("--out", help="Folder for problems.jsonl and model.")],
    train: CountOption = 512,
    validation: CountOption = 64,
    test: CountOption = 128,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps of the model.")] = 250,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make micro-problems and train a tiny model that solves some of them: everything runs on a laptop."""
    settings = TinySettings(steps=steps, seed=seed)
    splits = {"train": train, "validation": validation, "test": test}
    config = {"command": "micro", "splits": splits, "model": asdict(settings)}
    with RunFolder.open(out, config, resume=resume):
        write_rows(micro_rows(splits, seed), out / PROBLEMS)
        if find_model(str(out / MODEL)) is None:
            _train(out / MODEL, settings)
    if as_json:
        typer.echo(json.dumps({"problems": str(out / PROBLEMS), "model": str(out / MODEL)}))
    else:
        typer.echo(f"o1coder bench --problems {out / PROBLEMS} --split test --policy hf:{out / MODEL}")


def _train(folder: Path, settings: TinySettings) -> None:
    with progress_bars(Console(stderr=True)) as progress:
        bar = progress.add_task("training", total=settings.steps, told="")

        def show(step: int, loss: float) -> None:
            progress.update(bar, completed=step, told=f"loss {loss:.3f}")

        train_tiny_model(folder, settings, on_step=show)
