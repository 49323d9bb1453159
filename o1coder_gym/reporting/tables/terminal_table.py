"""Results as a terminal table: a line per agent, or agents × budgets if there are several."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from o1coder_gym.metrics.estimates import ROUGH_LEGEND
from o1coder_gym.reporting.results import (
    AgentSummary,
    Setting,
    budget_words,
    failed_note,
    labels,
    share_words,
)
from o1coder_gym.runs.budget import UNLIMITED, Budget

HEADINGS = ("solved", "% (95 %)", "tests", "tokens", "spent", "runs", "latency")
LEGEND = (
    "solved: runs whose hidden tests all pass; %: of problems (95 % interval)\n"
    "tests: share of the hidden tests passed · spent: share of the budget\n"
    "tokens, runs (programs judged), latency (seconds to the answer): means"
)
GRID_LEGEND = (
    "% of problems whose hidden tests all pass, with its 95 % interval;\n"
    "below it the share of the budget that was spent"
)
LATENCY_LEGEND = "\nlatency: mean seconds to the answer, at the largest budget"
WIDTH = 80
_LEAST = 12
"""Columns that a line of a name has at least."""
_DISPENSABLE = ("tests", "runs", "tokens", "latency", "spent")
"""Columns that a terminal too narrow for all goes without, the first ones first; the report has them."""


def terminal_table(summaries: Sequence[AgentSummary], title: str, width: int = WIDTH) -> Group:
    """Builds the terminal table.

    It leaves out the programs committed and the samples drawn, which the report has.

    Args:
        summaries: At least one.
        title: Stands above it.
        width: Columns of the terminal. Names are broken between their words; where budgets take more room
            than there is, the table continues below.
    """
    budgets = sorted(dict.fromkeys(one.setting.budget for one in summaries), key=lambda one: one.size)
    if len(budgets) == 1:
        return _one_budget(summaries, title, width)
    parts = [_grid(summaries, part, width) for part in _that_fit(summaries, budgets, width)]
    timed = any(one.timed for one in summaries)
    failed = "\nfailed runs count as not solved" if any(one.failed for one in summaries) else ""
    legend = GRID_LEGEND + LATENCY_LEGEND * timed + _totals(summaries)
    return Group(_heading_text(title), *parts, legend_text(legend + _notes(summaries) + failed))


def legend_text(words: str) -> Text:
    """Returns what stands below a table, as wide as the terminal: a caption is as narrow as its table."""
    return Text(words, style="table.caption")


def _heading_text(title: str) -> Text:
    return Text(title, style="table.title")  # a table's own title is folded to the width of the table


def _one_budget(summaries: Sequence[AgentSummary], title: str, width: int) -> Group:
    numbers: list[dict[str, str]] = [
        dict(zip(HEADINGS, _numbers(summary), strict=True)) for summary in summaries
    ]
    shown = [heading for heading in HEADINGS if any(cells[heading] for cells in numbers)]
    for heading in _DISPENSABLE:
        if _room(shown, numbers, width) < _LEAST and heading in shown:
            shown.remove(heading)
    table = _table(shown)
    room, names = max(_LEAST, _room(shown, numbers, width)), _names(summaries)
    for summary, cells in zip(summaries, numbers, strict=True):
        table.add_row(_broken(names[_agent(summary)], room), *(Text(cells[one]) for one in shown))
    told = failed_note(summaries)
    failed = f"\n{told[0].lower()}{told[1:-1]}" if told else ""
    return Group(_heading_text(title), table, legend_text(LEGEND + _notes(summaries) + failed))


def _grid(summaries: Sequence[AgentSummary], budgets: Sequence[Budget], width: int) -> Table:
    """Builds agents × some of the budgets."""
    names, found = _names(summaries), {one.setting: one for one in summaries}
    largest = max((one.setting.budget for one in summaries), key=lambda one: one.size)
    latencies = {
        one.setting: f"{one.mean(one.usage.seconds):,.1f}"
        for one in summaries
        if one.timed and one.setting.budget == largest and largest in budgets
    }
    headings = list(map(_heading, budgets))
    rows: list[Mapping[str, str]] = []
    for agent in names:
        at = [found.get(replace(agent, budget=budget)) for budget in budgets]
        cells = {word: _cell(one) for word, one in zip(headings, at, strict=True)}
        rows.append(cells | {"latency": latencies.get(replace(agent, budget=largest), "")})
    shown = [*headings, *(["latency"] if latencies else [])]
    room = max(_LEAST, _room(shown, rows, width))
    table = _table(shown)
    for agent, cells in zip(names, rows, strict=True):
        table.add_row(_broken(names[agent], room), *(_two_lines(cells[one]) for one in shown))
    return table


def _that_fit(
    summaries: Sequence[AgentSummary], budgets: Sequence[Budget], width: int
) -> Iterator[list[Budget]]:
    """Yields the budgets in groups that fit beside names, one at least."""
    part: list[Budget] = []
    taken = len("latency  ")
    for budget in budgets:
        cells = (_cell(one) for one in summaries if one.setting.budget == budget)
        needed = 2 + max(map(_width, (_heading(budget), *cells)))
        if part and taken + needed > width - 2 - _LEAST:
            yield part
            part, taken = [], len("latency  ")
        part.append(budget)
        taken += needed
    yield part


def _heading(budget: Budget) -> str:
    return budget_words(budget).replace(", ", "\n")


def _cell(summary: AgentSummary | None) -> str:
    """Returns the share solved, and below it what was spent, and how many failed."""
    if summary is None:
        return ""
    below = [f"{share_words(summary.spent)} spent"] if summary.spent is not None else []
    below += [f"{summary.failed} failed"] if summary.failed else []
    return "\n".join([summary.share.percent(0, "–") + "*" * bool(summary.untested), *below])


def _two_lines(cell: str) -> Text:
    first, _, below = cell.partition("\n")
    return Text.assemble(first, (f"\n{below}", "dim") if below else "")


def _numbers(summary: AgentSummary) -> tuple[str, ...]:
    """Returns the cells after a setting's name in a table of one budget."""
    usage, mean = summary.usage, summary.mean
    return (
        f"{summary.solved}/{summary.total}" + ("*" if summary.untested else ""),
        summary.share.percent(0, "–"),
        "–" if math.isnan(summary.tests_passed) else share_words(summary.tests_passed),
        f"{mean(usage.tokens):,.0f}",
        share_words(summary.spent),
        f"{mean(usage.executions):,.1f}",
        f"{mean(usage.seconds):,.1f}" if summary.timed else "",
    )


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("agent", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _notes(summaries: Sequence[AgentSummary]) -> str:
    """Says what the signs in the cells mean, and what is not in them."""
    counts = dict.fromkeys(f"{one.untested} of {one.total}" for one in summaries if one.untested)
    note = f"\n*: {', '.join(counts)} rows have no hidden tests and are never solved" if counts else ""
    note += f"\n{ROUGH_LEGEND}" if any(one.share.rough for one in summaries) else ""
    missing = sum(one.missing for one in summaries)
    note += f"\nleft out: {missing} rows that the judge could not decide" if missing else ""
    return note


def _totals(summaries: Sequence[AgentSummary]) -> str:
    """Returns the number of runs behind each share, if it is the same for all."""
    totals = {one.total for one in summaries}
    return f"\n{next(iter(totals)):,} runs an agent and budget" if len(totals) == 1 else ""


def _names(summaries: Sequence[AgentSummary]) -> dict[Setting, str]:
    """Names each agent, whatever its budget, by all that distinguishes it from the others."""
    return labels(list(dict.fromkeys(map(_agent, summaries))))


def _agent(summary: AgentSummary) -> Setting:
    return replace(summary.setting, budget=UNLIMITED)


def _width(cell: str) -> int:
    return max(map(len, cell.split("\n")))


def _room(headings: Sequence[str], rows: Sequence[Mapping[str, str]], width: int) -> int:
    """Returns the width of a name's line; two blanks stand between columns, one at each edge."""
    return (
        width
        - 2
        - sum(2 + max(_width(text) for text in (one, *(row[one] for row in rows))) for one in headings)
    )


def _broken(name: str, room: int) -> Text:
    return Text("\n".join(name_lines(name, room)))


_ARGUMENTS = re.compile(r"[^\s:,/?&]+[:,/?&]?|\s+|[:,/?&]")
"""What a spec is made of: it may be broken behind each of them."""
_WORDS = re.compile(r"[^=_]+[=_]?|[=_]")
"""What an argument is made of that is too long for a line."""


def name_lines(name: str, width: int) -> list[str]:
    """Breaks a name into lines of at most `width` characters, between its words and arguments.

    A word that is longer than that stands on a line of its own.
    """
    arguments = _ARGUMENTS.findall(name)
    pieces = [piece for one in arguments for piece in (_WORDS.findall(one) if len(one) > width else [one])]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.rstrip() for line in lines]
