"""`o1coder selfplay`: the whole loop, from a policy to a better one, in a folder that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.markup import escape

from o1coder_gym.cli.bars import search_shown
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.self_play import self_play
from o1coder_gym.experiments.self_play.config import ProblemSection, RunSection, SelfPlaySettings
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.settings import Checked, Flag, to_toml
from o1coder_gym.settings.groups import ModelName, RunSettings, SetName


@dataclass(frozen=True, slots=True, kw_only=True)
class InitSettings(Checked):
    """New file.

    Attributes:
        file: The TOML file to write; an existing file is not overwritten.
        model: The first policy: known name, Hub id or folder.
        problems: Name or path of a problem set; one without splits is divided into them.
    """

    file: Annotated[Path, Flag("FILE")] = Path("selfplay.toml")
    model: ModelName = DEFAULT_MODEL
    problems: SetName = "mbpp"


def init(settings: InitSettings) -> None:
    """Write a settings file for self-play: each key with its meaning and its default."""
    chosen = SelfPlaySettings(
        run=RunSection(model=settings.model), problems=ProblemSection(set=settings.problems)
    )
    try:
        with settings.file.open("x", encoding="utf-8") as file:
            file.write(to_toml(chosen))
    except FileExistsError as error:
        raise UsageError(f"{settings.file} is there already; name another file") from error
    print(f"o1coder selfplay --config {settings.file} --out runs/selfplay")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPlayCommand(SelfPlaySettings):
    """Self-play."""

    keeping: RunSettings = RunSettings()


def selfplay(settings: SelfPlayCommand) -> None:
    """Search, train on what was found, search again: the paper's Algorithm 1.

    All of it is in one file, which --init writes and --config reads; docs/self_play.md shows one.
    """
    console, run = notes(), settings.keeping
    out = run_folder("selfplay", run.out, resume=run.resume)
    with resumable(out):
        result = self_play(
            settings.config,
            out,
            resume=run.resume,
            tell=lambda line: console.print(escape(line)),
            on_warning=warn,
            search=search_shown,
        )
    if run.as_json:
        print(to_json(result.to_row()))
    else:
        print((out / "report.md").read_text())


app = command(SelfPlayCommand, selfplay, name="selfplay")
app.command(command(InitSettings, init, name="init"), name=("init", "--init"))
