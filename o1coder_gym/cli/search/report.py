"""`o1coder report`: the report of a benchmark run, with figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from o1coder_gym.errors import MissingExtraError
from o1coder_gym.reporting.figures import FIGURES, write_figures
from o1coder_gym.reporting.measures import measures_markdown
from o1coder_gym.reporting.pages.report_page import report_page
from o1coder_gym.reporting.results import ResultRow, markdown_report, read_results
from o1coder_gym.reporting.run_report import RunReport, read_run


def report(
    run: Annotated[Path, typer.Argument(help="Run folder of bench, or a folder of several.")],
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Figures as PNG and SVG; needs the extra plots.")
    ] = True,
) -> None:
    """Write report.html, report.md and the pages of the search trees of a run anew, and its figures."""
    found = write_report(run, read_results(run))
    if figures:
        try:
            for file in write_figures(found, run / FIGURES):
                typer.echo(file)
        except MissingExtraError as error:
            Console(stderr=True).print(f"no figures: {error}", markup=False, soft_wrap=True)
    typer.echo(run / "report.html")


def write_report(
    run: Path, rows: Sequence[ResultRow], title: str | None = None, config: Mapping[str, str] | None = None
) -> RunReport:
    """Writes report.html, report.md and the tree pages of a run.

    Args:
        run: Its folder.
        rows: Its rows, those without an answer too.
        title: Of report.md; None takes that of the report.
        config: What report.md says of the run; None takes what the report says.
    """
    found = read_run(run, rows)
    (run / "report.html").write_text(report_page(found), encoding="utf-8")
    text = markdown_report(title or found.title, rows, config or dict(found.facts), found.pages)
    (run / "report.md").write_text(text + measures_markdown(rows), encoding="utf-8")
    return found
