"""`o1coder compare`: is one run, agent or budget better than another, or is no difference shown?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.text import Text

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.tables.comparison_table import change_lines, comparison_table, failure_lines
from o1coder_gym.reporting.tables.export import SUFFIXES, write_grid
from o1coder_gym.reporting.tables.places import Pair, Place, compare_places, other_problems, read_place
from o1coder_gym.reporting.tables.run_tables import comparison_grid
from o1coder_gym.runs.progress import notes, warn
from o1coder_gym.settings import Checked, Flag, Hint
from o1coder_gym.settings.groups import AsJson

if TYPE_CHECKING:
    from o1coder_gym.reporting.run_report import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings(Checked):
    """Comparison.

    Attributes:
        a: A run folder, FOLDER#AGENT, FOLDER@1024 or FOLDER#AGENT@1024.
        b: Another, which is compared with A; without it, A's agents with --baseline.
        others: More of them, each compared with A.
        baseline: Without B: the agent that the others are compared with.
        baseline_format: Without B: compare formats instead, each agent with itself in this one, e.g. vanilla,
            or with the baseline if it was not run in it. A policy that was not run in it is compared with the
            one that was.
        baseline_policy: Without B: compare policies instead, or with the formats: each agent with itself of
            this one, e.g. hf:qwen2.5-coder-0.5b, or with the baseline if it was not run with it.
        changed: Name the problems that one solves and the other does not.
        why: Count by rule what is wrong with the answers to problems that only the other solves.
        export: Write the table to a file that ends in .csv, .tex (LaTeX), .parquet, or .html (a page with
            tables, curves and problems); may be repeated.
    """

    a: Annotated[str, Flag("A"), Hint("e.g. o1coder compare runs/first --baseline best_of_n")]
    b: Annotated[str | None, Flag("B")] = None
    others: Annotated[tuple[str, ...], Flag("MORE")] = ()
    baseline: str = "greedy"
    baseline_format: str | None = None
    baseline_policy: str | None = None
    changed: bool = False
    why: bool = False
    export: tuple[Path, ...] = ()
    as_json: AsJson = False


def compare(settings: CompareSettings) -> None:
    """Compare results problem by problem, paired, with 95 % intervals over problems."""
    names = (settings.a, *((settings.b,) if settings.b is not None else ()), *settings.others)
    places = [read_place(name) for name in names]
    warn(*other_problems(places))
    pairs = compare_places(places, settings.baseline, settings.baseline_format, settings.baseline_policy)
    if not pairs:
        asked = {"format": settings.baseline_format, "policy": settings.baseline_policy}
        named = {kind: name for kind, name in asked.items() if name} or {"agent": settings.baseline}
        kinds, names = " and ".join(named), " and ".join(named.values())
        raise UsageError(f"{settings.a} has no other {kinds} than {names} to compare on the same problems")
    for path in settings.export:
        _export(path, places, pairs)
    if settings.as_json:
        print(to_json([_row(pair) for pair in pairs]))
        return
    console = Console()
    console.print(comparison_table(pairs, console.width))
    if settings.changed:
        _print(console, change_lines(pairs))
    if settings.why:
        _print(console, failure_lines(pairs))


def _print(console: Console, lines: Iterable[str]) -> None:
    """Prints lines that go on below where they are long; names are not broken."""
    for line in lines:
        text = fill(
            line, console.width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        console.print(Text(text), soft_wrap=True)


def _row(pair: Pair) -> dict[str, object]:
    one = pair.comparison
    told = {
        "detectable": one.detectable,
        "conclusion": one.conclusion,
        "budget": pair.budget,
        "failures": dict(pair.failures),
    }
    numbers = asdict(one)
    del numbers["gaps"]  # a number per problem
    return numbers | told | asdict(pair.changes)


def _export(path: Path, places: Sequence[Place], pairs: Sequence[Pair]) -> None:
    if path.suffix == ".html":
        from o1coder_gym.reporting.pages.report_page import report_page  # a third of what a comparison costs

        path.write_text(report_page(_page(places, pairs)), encoding="utf-8")
    elif path.suffix in SUFFIXES.values():
        write_grid(comparison_grid([pair.comparison for pair in pairs]), path)
    else:
        known = ", ".join((*SUFFIXES.values(), ".html"))
        raise UsageError(f"{path}: expected a file that ends in {known}")
    notes().print(f"written: {path}", markup=False, soft_wrap=True)


def _page(places: Sequence[Place], pairs: Sequence[Pair]) -> RunReport:
    """Returns what the page says: the same comparisons as the terminal."""
    from o1coder_gym.reporting.run_report import command_line, make_report, row_facts

    rows = [row for place in places for row in place.rows]
    if len(places) > 1:  # two runs may have agents of the same name
        rows = [replace(row, agent=place.named(row.agent)) for place in places for row in place.rows]
    report = make_report(rows, row_facts(rows))
    found = {pair.setting: pair.comparison for pair in pairs}
    return replace(
        report,
        kind="comparison",
        title=f"{_named(pair.name for pair in pairs)} against {_named(pair.against for pair in pairs)}",
        differences=tuple(found.get(summary.setting) for summary in report.summaries),
        baseline=pairs[0].against,
        command=command_line(sys.argv[1:]),
    )


def _named(names: Iterable[str]) -> str:
    """Returns names, each once; of many the first."""
    first, *others = dict.fromkeys(names)
    return f"{first} and {len(others)} more" if len(others) > 1 else " and ".join([first, *others])


app = command(CompareSettings, compare, name="compare")
