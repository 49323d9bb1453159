"""The report of a run as files in its folder: report.html, report.md, a page per search tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from o1coder_gym.reporting.pages.report_page import report_page
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.run_report import RunReport, read_run
from o1coder_gym.reporting.tables.markdown import markdown_report
from o1coder_gym.reporting.tables.measures import measures_markdown


def write_report(
    run: Path, rows: Sequence[ResultRow], title: str | None = None, config: Mapping[str, str] | None = None
) -> RunReport:
    """Writes report.html, report.md and the tree pages of a run.

    Args:
        run: Its folder.
        rows: Its rows, those without an answer too.
        title: Of report.md; None takes that of the report.
        config: The configuration that report.md shows; None takes the report's.
    """
    found = read_run(run, rows)
    (run / "report.html").write_text(report_page(found), encoding="utf-8")
    text = markdown_report(title or found.title, rows, config or dict(found.facts), found.pages)
    (run / "report.md").write_text(text + measures_markdown(rows), encoding="utf-8")
    return found
