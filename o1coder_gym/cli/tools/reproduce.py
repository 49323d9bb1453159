"""`o1coder reproduce`: a named result measured again, beside its stored figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.search.bench import run_shown
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.benchmark import ResultRow
from o1coder_gym.experiments.measures.reproduction import (
    FIGURES_FILE,
    RESULTS,
    ComparedFigure,
    Stored,
    compare_figures,
    reproduce,
    store_figures,
    stored_figures,
)
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.tables.estimate_table import interval_legend
from o1coder_gym.runs.progress import tracked
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson, Resume
from o1coder_gym.types.protocols import Policy

_VERDICTS = {True: "same", False: "differs", None: "–"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionSettings(Checked):
    """What is measured again.

    Attributes:
        name: codet, prm, search, table1, tcg or thinking; without a name the results are listed.
        quick: The tiny model that the package ships, minutes: the default.
        full: The default model, hours.
        out: Run folder; default: runs/reproduce/NAME-quick or NAME-full.
        store: Store what was measured as the figures of this version.
    """

    name: Annotated[str, Flag("NAME")] = ""
    quick: bool = False
    full: bool = False
    out: Path | None = None
    resume: Resume = False
    store: bool = False
    as_json: AsJson = False

    def __post_init__(self) -> None:
        """Checks what excludes each other."""
        Checked.__post_init__(self)
        if self.quick and self.full:
            raise UsageError("--quick and --full exclude each other")


def run(settings: ReproductionSettings) -> None:
    """Measure a named result again and compare it with its stored figures.

    Two figures agree where their 95 % intervals overlap.
    """
    name, scale = settings.name, "full" if settings.full else "quick"
    if not name:
        for known, result in RESULTS.items():
            row = {"name": known, "question": result.question}
            print(to_json(row) if settings.as_json else f"{known:9}{result.question}")
        return
    out = settings.out or Path("runs", "reproduce", f"{name}-{scale}")

    def shown(
        plan: Plan, out: Path, *, rows: Sequence[ProblemRow], resume: bool, policy: Policy | None = None
    ) -> list[ResultRow]:
        return run_shown(plan, rows, out, resume=resume, quiet=True, policy=policy)

    figures = reproduce(name, out, scale=scale, resume=settings.resume, run=shown, track=tracked)
    before = stored_figures(name, scale)
    compared = compare_figures(before.figures, figures)
    if settings.store:
        store_figures(name, scale, figures)
    if settings.as_json:
        rows = [one.to_row() for one in compared]
        print(to_json({"stored": before.made, "version": before.version, "figures": rows}))
    else:
        _print(RESULTS[name].question, before, compared)
        print(FIGURES_FILE if settings.store else out)


def _print(question: str, before: Stored, compared: Sequence[ComparedFigure]) -> None:
    stored = f"stored, {before.made}" if before.made else "nothing stored"
    table = Table("", stored, "now", "", box=None, title=question, title_justify="left")
    for one in compared:
        table.add_row(one.name, one.stored.percent(), one.measured.percent(), _VERDICTS[one.agrees])
    Console(highlight=False).print(table, interval_legend())
    verdicts = [one.agrees for one in compared if one.agrees is not None]
    if verdicts:
        print(f"{sum(verdicts)} of {len(verdicts)} figures are the same within their intervals.")


app = command(ReproductionSettings, run, name="reproduce")
