"""Results as report.md: the run's settings, a row per setting, and grids with a row per problem."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from o1coder_gym.metrics.estimates import ROUGH_LEGEND
from o1coder_gym.reporting.results.notes import failed_note, missing_note, overdrawn_note, untested_note
from o1coder_gym.reporting.results.rows import ResultRow, Setting
from o1coder_gym.reporting.results.summaries import AgentSummary, group, labels, summarize
from o1coder_gym.reporting.results.words import budget_words, share_words

HEADINGS = ("agent", "solved", "%, 95 % int.", "tests", "code", "tokens", "spent", "calls", "runs", "latency")
LEGEND = (
    "solved: every hidden test passed; tests: % of hidden tests passed; code: programs committed; "
    "spent: share of the budget; runs: programs judged; costs: means per problem; latency: seconds from a "
    "problem's start to its answer"
)


def markdown_report(
    title: str,
    rows: Sequence[ResultRow],
    config: Mapping[str, Any],
    pages: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Writes report.md: the run's settings, a row per setting, and grids with a row per problem.

    There is a grid for each problem set and budget, with the agents beside each other.

    Args:
        title: First line.
        rows: All rows.
        config: What was run.
        pages: Address of the tree page of a problem.
    """
    summaries = summarize(rows)
    lines = [f"# {title}", ""]
    lines += [f"- **{key}**: `{value}`" for key, value in config.items()]
    lines += ["", f"{LEGEND.capitalize()}. Agents see public tests only.", ""]
    lines += _markdown_table(HEADINGS, [_cells(summary) for summary in summaries])
    if note := untested_note(rows):
        lines += ["", f"\\* {note}"]
    if any(summary.share.rough for summary in summaries):
        lines += ["", f"{ROUGH_LEGEND}."]
    for note in filter(None, (missing_note(rows), failed_note(summaries), overdrawn_note(rows))):
        lines += ["", note]
    if capped := [summary.agent for summary in summaries if summary.capped]:
        lines += ["", f"Ended by themselves, at a cap of their own, with budget left: {', '.join(capped)}."]
    lines += ["", "## By problem", *_grids(rows, [summary.setting for summary in summaries], pages)]
    failed = [row for row in rows if row.error]
    if failed:
        lines += ["", "## Without an answer", ""]
        lines += [f"- `{row.task_id}` · {row.agent}: {row.error}" for row in failed]
    return "\n".join(lines) + "\n"


def _cells(summary: AgentSummary) -> tuple[str, ...]:
    total, usage, mean = summary.total, summary.usage, summary.mean
    return (
        summary.agent,
        f"{summary.solved}/{total}" + ("*" if summary.untested else ""),
        summary.share.percent(),
        "–" if math.isnan(summary.tests_passed) else f"{100 * summary.tests_passed:.0f}",
        f"{summary.committed}/{total}",
        f"{mean(usage.tokens):,.0f}",
        share_words(summary.spent),
        f"{mean(usage.calls):,.1f}",
        f"{mean(usage.executions):,.1f}",
        f"{mean(usage.seconds):,.1f}" if summary.timed else "",
    )


def _grids(rows: Sequence[ResultRow], settings: Sequence[Setting], pages: Mapping[str, str]) -> Iterator[str]:
    """Yields the lines of a grid for each problem set and budget: a column per setting, a row per problem."""
    columns: dict[Setting, dict[str, list[str]]] = {}
    for setting, found in group(rows).items():
        cells = columns.setdefault(setting, {})
        for row in found:
            cell = "solved" if row.solved else (row.outcome or row.missing).replace("_", " ")
            cells.setdefault(row.task_id, []).append(cell)
    tasks = {row.task_id: row.task_id for row in rows}
    tasks |= {task: f"[{task}]({page})" for task, page in pages.items() if task in tasks}
    parts: dict[str, list[Setting]] = {}
    for setting in settings:
        parts.setdefault(f"{setting.problems}, {budget_words(setting.budget)}", []).append(setting)
    for name, part in parts.items():
        if len(parts) > 1:
            yield from ("", f"### {name}")
        shown, named = [columns[setting] for setting in part], labels(part)
        grid = [
            (named_task, *(", ".join(cells.get(task, [])) for cells in shown))
            for task, named_task in tasks.items()
            if any(task in cells for cells in shown)
        ]
        yield ""
        yield from _markdown_table(("problem", *(named[setting] for setting in part)), grid)


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
