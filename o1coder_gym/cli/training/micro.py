"""`o1coder micro`: a problem file, and a tiny model that half knows how to solve it, in a minute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TaskID

from o1coder_gym.cli.options import JsonOption, ResumeOption, SeedOption
from o1coder_gym.experiments.micro.make import SPLITS, make_micro
from o1coder_gym.experiments.micro.tiny_model import TinySettings
from o1coder_gym.runs.progress import progress_bars

CountOption = Annotated[int, typer.Option(min=0, help="Problems of this split.")]


def micro(
    out: Annotated[Path, typer.Option("--out", help="Folder for problems.jsonl and model.")],
    train: CountOption = SPLITS["train"],
    validation: CountOption = SPLITS["validation"],
    test: CountOption = SPLITS["test"],
    steps: Annotated[int, typer.Option("--steps", min=1, help="Optimizer steps of the model.")] = 250,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make micro-problems and train a tiny model that solves some of them: everything runs on a laptop."""
    settings = TinySettings(steps=steps, seed=seed)
    splits = {"train": train, "validation": validation, "test": test}
    with progress_bars(Console(stderr=True)) as progress:
        bars: list[TaskID] = []

        def show(step: int, loss: float) -> None:
            if not bars:  # a model that is there already needs no bar
                bars.append(progress.add_task("training", total=steps, told=""))
            progress.update(bars[0], completed=step, told=f"loss {loss:.3f}")

        made = make_micro(out, splits, settings, resume=resume, on_step=show)
    if as_json:
        typer.echo(json.dumps({"problems": str(made.problems), "model": str(made.model)}))
    else:
        typer.echo(f"o1coder bench --problems {made.problems} --split test --policy hf:{made.model}")
