"""`o1coder report`: the report of a benchmark run, with figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.reporting.figures import FIGURES, write_figures
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import read_results
from o1coder_gym.reporting.tables.export import SUFFIXES
from o1coder_gym.reporting.tables.learning import learning_grids, write_curves
from o1coder_gym.reporting.tables.run_tables import run_grids, write_tables
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings(Checked):
    """Report.

    Attributes:
        run: Run folder of bench, or a folder of several; of rl policy, selfplay or prm eval.
        figures: Figures as PNG and SVG; needs the extra plots.
        export: Tables into RUN/tables: csv, latex, parquet; figures into RUN/figures: pdf, svg, png; may be
            repeated.
    """

    run: Annotated[Path, Flag("RUN")]
    figures: bool = True
    export: tuple[Literal["csv", "latex", "parquet", "pdf", "svg", "png"], ...] = ()
    as_json: AsJson = False


def report(settings: ReportSettings) -> int:
    """Write the report of a run: tables, figures and pages of search trees.

    Of a run of rl policy or selfplay: its learning curve as a figure, its rows as a table. Of prm eval: the
    reliability of the scorer likewise. Exits with 1 where figures of --export could not be drawn.
    """
    run = settings.run
    asked = [kind for kind in settings.export if kind not in SUFFIXES]
    kinds = asked or ["png", "svg"]
    pages: list[Path] = []
    if grids := learning_grids(run):
        draw = partial(write_curves, grids[0], run / FIGURES, kinds)
    else:
        found = write_report(run, read_results(run))
        pages, grids = [run / "report.html"], list(run_grids(found))
        draw = partial(write_figures, found, run / FIGURES, kinds)
    tables = write_tables(grids, run / "tables", [kind for kind in settings.export if kind in SUFFIXES])
    figures: list[Path] = []
    status = 0
    if settings.figures:
        try:
            figures = draw()
        except MissingExtraError as error:
            status = 1 if asked else 0
            notes().print(f"no figures: {error}", markup=False, soft_wrap=True)
    _tell({"pages": pages, "tables": tables, "figures": figures}, settings.as_json)
    return status


def _tell(written: Mapping[str, Sequence[Path]], as_json: bool) -> None:
    if as_json:
        print(to_json({name: list(map(str, files)) for name, files in written.items()}))
        return
    for file in (*written["tables"], *written["figures"], *written["pages"]):
        print(file)


app = command(ReportSettings, report, name="report")
