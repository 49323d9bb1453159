"""`o1coder selfplay`: the whole wheel, from a policy to a better one, in a folder that explains itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rich.markup import escape

from o1coder_gym.cli.bars import search_shown, train_shown
from o1coder_gym.cli.commands import command
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.experiments.self_play import self_play
from o1coder_gym.experiments.self_play_config import SelfPlaySettings
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.settings.groups import RunSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPlayCommand(SelfPlaySettings):
    """Self-play."""

    keeping: RunSettings = RunSettings()


def selfplay(settings: SelfPlayCommand) -> None:
    """Search, learn from what was found, search again: Algorithm 1.

    All of it is in one file, see --config; docs/self_play.md shows one.
    """
    console, run = notes(), settings.keeping
    out = run.out or default_folder("selfplay")
    with resumable(out):
        result = self_play(
            settings.config,
            out,
            resume=run.resume,
            tell=lambda line: console.print(escape(line)),
            on_warning=warn,
            search=search_shown,
            train=train_shown,
        )
    if run.as_json:
        print(json.dumps(result.to_row()))
    else:
        print((out / "report.md").read_text())


app = command(SelfPlayCommand, selfplay, name="selfplay")
