"""`o1coder report`: the report of a benchmark run, with figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from o1coder_gym.errors import MissingExtraError
from o1coder_gym.reporting.figures import FIGURES, write_figures
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import read_results


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
