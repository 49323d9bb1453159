"""`o1coder demo`: what this project is, in a minute and a half, with the tiny model that ships with it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from o1coder_gym.cli.options import JsonOption, OutOption, ResumeOption, SeedOption
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.cli.search.demo_model import model_demo
from o1coder_gym.cli.search.demo_tiny import tiny_demo
from o1coder_gym.errors import UsageError


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="A language model instead of the tiny one, e.g. qwen2.5-coder-0.5b (fetched, about 400 MB).",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="Likewise, but any policy: hf:FOLDER, vllm:NAME, openai:URL#NAME."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=2, help="Only the first N held-out problems of the tiny model."),
    ] = None,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Watch a tree search solve what greedy decoding fails, and see whether searching pays."""
    if model is not None and policy is not None:
        raise UsageError("--model NAME is short for --policy hf:NAME; give one of them")
    console = Console(stderr=True)
    chosen = policy if model is None else f"hf:{model}"
    folder = out or default_folder("demo")
    with resumable(folder):
        found = (
            tiny_demo(console, folder, seed=seed, limit=limit, resume=resume)
            if chosen is None
            else model_demo(console, chosen, folder, seed=seed, resume=resume)
        )
    if as_json:
        typer.echo(json.dumps(found))
