"""`o1coder judge run`: the answers of a run on other hidden tests of the same problems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import run_folder
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.measures.rejudging import rejudge
from o1coder_gym.reporting.results import counted, summarize
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.runs.progress import notes, tracked, warn
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import RunSettings, SetName


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRunSettings(Checked):
    """What is judged on what.

    Attributes:
        folder: Folder of a benchmark, of a suite, or of a part of one.
    """

    folder: Annotated[Path, Flag("RUN")]
    problems: SetName
    run: RunSettings = RunSettings()


def judge_run(settings: JudgedRunSettings) -> None:
    """Judge the answers of a run on another set of tests of the same problems, e.g. humaneval+; no search.

    The rows keep their settings, so that compare and report read the new run as any other. Rows without a
    program stay, as not solved; those of problems that the set lacks are left out and counted.
    """
    run = settings.run
    out = run_folder("judge-run", run.out, resume=run.resume)
    made = rejudge(settings.folder, out, settings.problems, resume=run.resume, track=tracked, on_warning=warn)
    console, said = Console(), notes()
    if run.as_json:
        print(to_json([row.to_row() for row in made.results]))
    else:
        title = f"{settings.folder} on {settings.problems}"
        console.print(terminal_table(summarize(made.results), title, console.width))
    for note in made.notes:
        said.print(note, markup=False, highlight=False, soft_wrap=True)
    said.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)
    if made.undecided:
        rows = f"{made.undecided} of {counted(len(made.results), 'row')}"
        raise O1CoderError(f"the judge failed on {rows}; try them again with: --out {out} --resume")


app = command(JudgedRunSettings, judge_run, name="run")
