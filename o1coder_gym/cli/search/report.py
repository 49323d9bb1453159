"""`o1coder report`: the report of a benchmark run, with figures as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.reporting.figures import FIGURES, write_figures
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import read_results
from o1coder_gym.reporting.tables.export import SUFFIXES
from o1coder_gym.reporting.tables.run_tables import write_tables
from o1coder_gym.runs.progress import notes
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings(Checked):
    """Report.

    Attributes:
        run: Run folder of bench, or a folder of several.
        figures: Figures as PNG and SVG; needs the extra plots.
        export: Tables into RUN/tables: csv, latex, parquet; figures into RUN/figures: pdf, svg, png; may be
            repeated.
    """

    run: Annotated[Path, Flag("RUN")]
    figures: bool = True
    export: tuple[Literal["csv", "latex", "parquet", "pdf", "svg", "png"], ...] = ()
    as_json: AsJson = False


def report(settings: ReportSettings) -> None:
    """Write the report of a run anew, with its figures and pages of search trees."""
    run = settings.run
    found = write_report(run, read_results(run))
    tables = write_tables(found, run / "tables", [kind for kind in settings.export if kind in SUFFIXES])
    figures: list[Path] = []
    if settings.figures:
        kinds = [kind for kind in settings.export if kind not in SUFFIXES] or ["png", "svg"]
        try:
            figures = write_figures(found, run / FIGURES, kinds)
        except MissingExtraError as error:
            notes().print(f"no figures: {error}", markup=False, soft_wrap=True)
    page = run / "report.html"
    if settings.as_json:
        print(
            to_json(
                {"report": str(page), "tables": list(map(str, tables)), "figures": list(map(str, figures))}
            )
        )
    else:
        print(*tables, *figures, page, sep="\n")


app = command(ReportSettings, report, name="report")
