"""`o1coder reproduce`: a named result measured again, beside its stored figures."""

from __future__ import annotations

from collections import Counter
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
from o1coder_gym.experiments.measures.figures import (
    FIGURES_FILE,
    VERDICTS,
    ComparedFigure,
    Stored,
    compare_figures,
    store_figures,
    stored_figures,
)
from o1coder_gym.experiments.measures.reproduction import RESULTS, reproduce
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.reporting.tables.estimate_table import interval_legend
from o1coder_gym.runs.progress import tracked
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson, Resume
from o1coder_gym.types.protocols import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionSettings(Checked):
    """What is measured again.

    Attributes:
        name: codet, prm, search, table1, tcg or thinking; without a name the results are listed.
        quick: The tiny model that the package ships, minutes: the default.
        full: The default model, hours.
        out: Run folder; default: runs/reproduce/NAME-quick or NAME-full.
        store: Store what was measured as the figures of this version; the exit status is 0 then.
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


def run(settings: ReproductionSettings) -> int:
    """Measure a named result again and compare it with its stored figures; exit 1 if one differs.

    Figures are compared problem by problem where the outcomes of problems are stored, else by their 95 %
    intervals; not where they are of another configuration or another number of problems. One that either
    side lacks differs.
    """
    name, scale = settings.name, "full" if settings.full else "quick"
    if not name:
        for known, result in RESULTS.items():
            row = {"name": known, "question": result.question}
            print(to_json(row) if settings.as_json else f"{known:9}{result.question}")
        return 0
    out = settings.out or Path("runs", "reproduce", f"{name}-{scale}")

    def shown(
        plan: Plan, out: Path, *, rows: Sequence[ProblemRow], resume: bool, policy: Policy | None = None
    ) -> list[ResultRow]:
        return run_shown(plan, rows, out, resume=resume, quiet=True, policy=policy)

    measured = reproduce(name, out, scale=scale, resume=settings.resume, run=shown, track=tracked)
    before = stored_figures(name, scale)
    compared = compare_figures(before, measured)
    if settings.store:
        store_figures(name, scale, measured)
    if settings.as_json:
        rows = [one.to_row() for one in compared]
        told = {"stored": before.made, "version": before.version, "unknown": before.unknown}
        print(to_json(told | {"figures": rows}))
    else:
        _print(RESULTS[name].question, before, compared)
        print(FIGURES_FILE if settings.store else out)
    # What is stored now is what was measured: nothing differs from it any more.
    return int(not settings.store and any(one.verdict == "differs" for one in compared))


def _print(question: str, before: Stored, compared: Sequence[ComparedFigure]) -> None:
    stored = f"stored, {before.made}" if before.made else "nothing stored"
    table = Table("", stored, "now", "", "", box=None, title=question, title_justify="left")
    for one in compared:
        table.add_row(one.name, one.stored.percent(), one.measured.percent(), one.verdict, one.why)
    Console(highlight=False).print(table, interval_legend())
    if before.unknown:
        print(f"Stored without {' and '.join(before.unknown)}: the figures alone are compared.")
    counts = Counter(one.verdict for one in compared)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    print(f"Of {counted(len(compared), 'figure')}: {told}.")


app = command(ReproductionSettings, run, name="reproduce")
