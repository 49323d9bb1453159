"""`o1coder selfplay`: the whole wheel, from a policy to a better one, in a folder that explains itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from o1coder_gym.cli.bars import search_shown, train_shown
from o1coder_gym.cli.options import JsonOption, OutOption, ResumeOption
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.experiments.self_play import self_play
from o1coder_gym.experiments.self_play_config import read_config
from o1coder_gym.runs.progress import warn


def selfplay(
    config: Annotated[Path, typer.Option("--config", help="TOML file; see docs/self_play.md.")],
    seed: Annotated[int | None, typer.Option("--seed", help="Replaces the seed of the file.")] = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search, learn from what was found, search again: Algorithm 1, from one file."""
    plan = read_config(config, seed=seed)
    console = Console(stderr=True)
    out = out or default_folder("selfplay")
    with resumable(out):
        result = self_play(
            plan,
            out,
            resume=resume,
            tell=lambda line: console.print(escape(line)),
            on_warning=warn,
            search=search_shown,
            train=train_shown,
        )
    if as_json:
        typer.echo(json.dumps(result.to_row()))
    else:
        typer.echo((out / "report.md").read_text())
