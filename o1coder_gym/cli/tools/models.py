"""``o1coder models``: which weights there are, fetch them, say where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import WeightsError
from o1coder_gym.models import lookup
from o1coder_gym.models.card import card_text
from o1coder_gym.models.sources.adapters import shipped_adapters
from o1coder_gym.models.sources.weights import Progress as OnProgress
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson, OutputSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(Checked):
    """Model.

    Attributes:
        name: Known name, Hugging Face id or local folder.
    """

    name: Annotated[str, Flag("NAME")]
    as_json: AsJson = False


@contextmanager
def fetch_progress() -> Iterator[OnProgress]:
    """Shows on stderr what `models.lookup.model_path` does; yields what to pass as its `on_progress`."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = notes()
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


def list_models(settings: OutputSettings) -> None:
    """List the known models and where they are."""
    known = {**lookup.BUNDLED_MODELS, **lookup.KNOWN_MODELS, **shipped_adapters()}
    found = {name: lookup.find_model(name) for name in known}
    if settings.as_json:
        for name, model in known.items():
            row = {"name": name, "title": model.title, "license": model.license}
            size = lookup.parameter_count(name)
            row |= {"parameters": size, "path": str(found[name]) if found[name] else None}
            print(to_json(row))
        return
    table = Table("name", "model", "licence", "size", box=None)
    for name, model in known.items():
        size = lookup.parameter_count(name) or 0
        table.add_row(name, model.title, model.license, f"{size / 1e6:.3g} M")
    Console().print(table)
    for name, folder in found.items():
        where = f"bundled, {folder}" if name in lookup.BUNDLED_MODELS else folder or "not fetched"
        print(f"{name}: {where}")
    print("A local model folder and a Hugging Face id (owner/model) are names too.")


def fetch(settings: ModelSettings) -> None:
    """Fetch a model unless it is there, and print its folder."""
    with fetch_progress() as on_progress:
        folder = lookup.model_path(settings.name, on_progress=on_progress)
    _print_folder(folder, settings)


def path(settings: ModelSettings) -> None:
    """Print the folder of a model that is on this machine."""
    name = settings.name
    folder = lookup.find_model(name)
    if folder is None:
        raise lookup.absent_model(name)
    _print_folder(folder, settings)


def card(settings: ModelSettings) -> None:
    """Print the card of a shipped adapter, or of a model that was trained here: data, settings, figures."""
    adapter = shipped_adapters().get(settings.name)
    folder = lookup.find_model(settings.name) if adapter is None else None
    if adapter is not None:
        print(to_json(dict(adapter.card)) if settings.as_json else card_text(adapter.name, adapter.card))
    elif folder is not None and (folder / "README.md").is_file():
        text = (folder / "README.md").read_text(encoding="utf-8")
        print(to_json({"name": settings.name, "card": text}) if settings.as_json else text)
    else:
        raise WeightsError(f"{settings.name} has no card: it is neither a shipped adapter nor trained here")


def _print_folder(folder: Path, settings: ModelSettings) -> None:
    print(to_json({"name": settings.name, "path": str(folder)}) if settings.as_json else folder)


app = new_app("models", "List, find and fetch model weights.")
app.command(command(OutputSettings, list_models, name="list"))
app.command(command(ModelSettings, fetch, name="fetch"))
app.command(command(ModelSettings, path, name="path"))
app.command(command(ModelSettings, card, name="card"))
