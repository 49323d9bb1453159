"""Comparisons as a terminal table with a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from o1coder_gym.metrics.estimates import ROUGH, ROUGH_LEGEND
from o1coder_gym.reporting.comparison import Comparison, power_words
from o1coder_gym.reporting.tables.places import Pair
from o1coder_gym.reporting.tables.terminal_table import legend_text, name_lines

LEGEND = (
    "%: of problems solved; against: by what it is compared with\n"
    "+ more, − fewer solved, = no difference shown, ? too few problems differ\n"
    "points: difference of shares solved, paired by problem, with its 95 % interval\n"
    "p: exact permutation test, corrected for all lines of a budget (Holm)"
)
_HEADINGS = ("", "%", "against", "points (95 %)", "differ", "p")


def comparison_table(pairs: Sequence[Pair], width: int) -> Group:
    """Builds the table and its legend: a section per budget, or per place of comparison.

    Args:
        pairs: At least one.
        width: Columns of the terminal; names are broken so that the table fits, where numbers leave room.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    cells = {id(pair): _cells(pair.comparison) for pair in pairs}
    room = _room(list(cells.values()), width)
    table.add_column("compared", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading else "center", no_wrap=True)
    parts = _parts(pairs)
    if len({against for against, _ in parts}) == 1:
        table.title = f"against {next(iter(parts))[0]}"
    for (against, budget), part in parts.items():
        title = budget if table.title else f"against {against}" + (f", {budget}" if budget else "")
        if len(parts) > 1:
            table.add_section()
        if len(parts) > 1 and title:  # the pairs' names say their budgets otherwise
            table.add_row(Text("\n".join(name_lines(title, room)), style="bold"))
        for pair in part:
            name = Text("\n".join(name_lines(pair.name, room)))
            table.add_row(name, *cells[id(pair)], style="" if pair.comparison.shown else "dim")
    return Group(table, legend_text(_legend(pairs)))


def change_lines(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yields which problems the first of each pair gained and lost beside the second."""
    for pair in pairs:
        yield f"{pair.name} against {pair.against}" + (f" @ {pair.budget}" if pair.budget else "")
        yield f"  + {', '.join(pair.changes.gained) or 'none'}"
        yield f"  − {', '.join(pair.changes.lost) or 'none'}"


def failure_lines(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yields the faults of the first's answers to problems that only the second of a pair solves."""
    for pair in pairs:
        yield f"{pair.name}, where only {pair.against} solves" + (f" @ {pair.budget}" if pair.budget else "")
        yield from (f"  {count:3} {name}" for name, count in pair.failures.items())


def _legend(pairs: Sequence[Pair]) -> str:
    rough = any(pair.comparison.difference.rough for pair in pairs)
    power = power_words(pair.comparison for pair in pairs)
    return "\n".join(filter(None, (LEGEND, ROUGH_LEGEND * rough, power)))


def _parts(pairs: Sequence[Pair]) -> dict[tuple[str, str], list[Pair]]:
    """Returns the pairs by their second member and the budget."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.against, pair.budget), []).append(pair)
    return found


def _cells(one: Comparison) -> tuple[str, ...]:
    gap, rough = one.difference, ROUGH if one.difference.rough else ""
    ends = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"  # one digit: −0.1 is not 0
    return (
        _sign(one),
        f"{100 * one.solved_a:.0f}",
        f"{100 * one.solved_b:.0f}",
        f"{100 * gap.mean:+.1f} ({ends}){rough}".replace("-", "−"),
        f"{one.differing}/{gap.count}",
        f"{one.p_corrected:.2g}",
    )


def _sign(one: Comparison) -> str:
    if one.shown:
        return "+" if one.difference.mean > 0 else "−"
    return "?" if one.too_few else "="


def _room(cells: Sequence[Sequence[str]], width: int) -> int:
    columns = zip(_HEADINGS, *cells, strict=True)
    return max(12, width - 2 - sum(2 + max(map(len, column)) for column in columns))
