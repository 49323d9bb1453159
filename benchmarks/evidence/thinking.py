"""Fills the tables of docs/thinking.md from this version's stored figures and from benchmarks/README.md.

    o1coder reproduce thinking --full --store
    python benchmarks/evidence/thinking.py

Nothing of them is typed by hand; a test compares the page with what this fills in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.measures.figures import Stored, stored_figures
from o1coder_gym.experiments.measures.reproduction import DIRECT, LOST
from o1coder_gym.metrics.estimates import ROUGH, Estimate
from o1coder_gym.settings import Checked

ROOT = Path(__file__).resolve().parents[2]
PAGE, RESULTS = ROOT / "docs" / "thinking.md", ROOT / "benchmarks" / "README.md"
UNKNOWN = "*Not measured yet: `o1coder reproduce thinking --full --store`.*"
_SECTION = re.compile(r"(?P<begin><!-- table: (?P<name>[^>]+) -->\n).*?(?P<end><!-- /table -->)", flags=re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings(Checked):
    """Page.

    Attributes:
        page: Markdown with comments where tables belong.
    """

    page: Path = PAGE


def main(settings: PageSettings) -> None:
    """Writes the tables of the page anew."""
    settings.page.write_text(filled(settings.page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """Returns a page with its tables: ``solved``, ``differences``, ``failures``, else one of the results'."""
    stored = stored_figures("thinking", "full")
    made = {"solved": solved, "differences": differences, "failures": failures}

    def table(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in made:
            lines: Iterable[str] = first_table(name)
        else:
            lines = made[name](stored) if stored.figures else (UNKNOWN,)
        return found["begin"] + "".join(f"{line}\n" for line in lines) + found["end"]

    return _SECTION.sub(table, page)


def solved(stored: Stored) -> Iterator[str]:
    """Yields the shares solved: a row per format and agent, a column per budget."""
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for name, one in stored.figures.items():
        if found := re.fullmatch(r"(\w+): (\w+) @ (\d+)", name):
            count = f"{round(one.value * one.count)} of {one.count}"
            shown = f"{count}, {one.percent(0)} %"
            cells.setdefault((found[1], found[2]), {})[int(found[3])] = shown
    yield from _budget_table(("steps", "agent"), cells)


def differences(stored: Stored) -> Iterator[str]:
    """Yields what each format solves beyond direct answers, in points, paired by problem."""
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for name, one in stored.figures.items():
        if found := re.fullmatch(rf"(\w+) {DIRECT}: (\w+) @ (\d+)", name):
            cells.setdefault((found[1], found[2]), {})[int(found[3])] = _points(one)
    yield from _budget_table(("steps", "agent"), cells)


def failures(stored: Stored) -> Iterator[str]:
    """Yields how often each rule holds for problems that only direct answers solve."""
    found = [
        (match[1], match[2], round(one.value * one.count))
        for name, one in stored.figures.items()
        if (match := re.fullmatch(rf"(\w+: \w+) {LOST}: (.+)", name))
    ]
    columns = [*dict.fromkeys(column for column, _, _ in found)]
    counts = {(column, rule): count for column, rule, count in found}
    yield from _table(
        ("what is wrong", *columns),
        (
            (rule, *(f"{counts.get((column, rule), 0)}" for column in columns))
            for rule in dict.fromkeys(rule for _, rule, _ in found)
        ),
    )


def first_table(heading: str) -> list[str]:
    """Returns the first table below a heading of benchmarks/README.md."""
    text = RESULTS.read_text(encoding="utf-8")
    _, _, below = text.partition(f"\n### {heading}\n")
    lines = [*below.partition("\n### ")[0].splitlines()]
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    end = next((place for place in range(start, len(lines)) if not lines[place].startswith("|")), len(lines))
    return lines[start:end]


def _points(one: Estimate) -> str:
    ends = f"[{100 * one.low:+.0f}, {100 * one.high:+.0f}]{ROUGH * one.rough}"
    return f"{100 * one.value:+.0f} {ends}".replace("-", "−")


def _budget_table(names: Sequence[str], cells: Mapping[tuple[str, str], Mapping[int, str]]) -> Iterator[str]:
    budgets = sorted({budget for row in cells.values() for budget in row})
    heading = (*names, *(f"{budget:,} tokens" for budget in budgets))
    rows = ((*name, *(row.get(budget, "") for budget in budgets)) for name, row in cells.items())
    yield from _table(heading, rows)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.exit(main_of(command(PageSettings, main, name="thinking")))
