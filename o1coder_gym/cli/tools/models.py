"""``o1coder models``: which weights there are, fetch them, say where they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from o1coder_gym.cli.options import JsonOption
from o1coder_gym.errors import WeightsError
from o1coder_gym.models import lookup
from o1coder_gym.models.weights import Progress as OnProgress

app = typer.Typer(help="Fetch and find model weights.", no_args_is_help=True)


@contextmanager
def fetch_progress() -> Iterator[OnProgress]:
    """Shows on stderr what `models.lookup.model_path` does; yields what to pass as its `on_progress`."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("looking", total=None)
        current = ""

        def show(stage: str, done: int, total: int) -> None:
            nonlocal bar, current
            if stage != current:
                current = stage
                progress.remove_task(bar)
                bar = progress.add_task(stage, total=total or None)
                if not total:
                    progress.console.print(stage, highlight=False, soft_wrap=True)
            progress.update(bar, completed=done)

        yield show


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the known models and where they are."""
    known = {**lookup.BUNDLED_MODELS, **lookup.KNOWN_MODELS}
    found = {name: lookup.find_model(name) for name in known}
    if as_json:
        for name, model in known.items():
            row = {"name": name, "title": model.title, "license": model.license}
            row |= {"parameters": model.parameters, "path": str(found[name]) if found[name] else None}
            typer.echo(json.dumps(row))
        return
    table = Table("name", "model", "licence", "size", box=None)
    for name, model in known.items():
        table.add_row(name, model.title, model.license, f"{model.parameters / 1e6:.3g} M")
    Console().print(table)
    for name, folder in found.items():
        where = f"bundled, {folder}" if name in lookup.BUNDLED_MODELS else folder or "not fetched"
        typer.echo(f"{name}: {where}")
    typer.echo("Any local model folder and any Hugging Face id (owner/model) works as a name too.")


@app.command()
def fetch(name: Annotated[str, typer.Argument(help="Known name, or Hugging Face id.")]) -> None:
    """Fetch a model unless it is there, and print its folder."""
    with fetch_progress() as on_progress:
        folder = lookup.model_path(name, on_progress=on_progress)
    typer.echo(folder)


@app.command()
def path(name: Annotated[str, typer.Argument(help="Known name, or local folder.")]) -> None:
    """Print the folder of a model that is on this machine."""
    folder = lookup.find_model(name)
    if folder is None:
        raise WeightsError(f"model {name!r} is not on this machine; run: o1coder models fetch {name}")
    typer.echo(folder)
