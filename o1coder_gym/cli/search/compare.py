"""`o1coder bench compare`: is one run, or one agent, better than another, or is no difference shown?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from o1coder_gym.cli.commands import command
from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.comparison import Comparison, compare_rows, compare_with, corrected, group
from o1coder_gym.reporting.results import ResultRow, budget_words, read_results
from o1coder_gym.settings import Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings(Checked):
    """Comparison.

    Attributes:
        a: A run folder, or FOLDER#AGENT.
        b: Another; without it, A's agents with --baseline.
        baseline: Without B: the agent that the others are compared with.
    """

    a: Annotated[str, Flag("A")]
    b: Annotated[str | None, Flag("B")] = None
    baseline: str = "greedy"
    as_json: AsJson = False


def compare(settings: CompareSettings) -> None:
    """Compare results problem by problem, paired, with 95 % intervals over problems."""
    a, b, baseline = settings.a, settings.b, settings.baseline
    found = compare_with(_rows(a), baseline) if b is None else compared(_rows(a), _rows(b), (a, b))
    if not found:
        raise UsageError(f"{a} has no other agent than {baseline} to compare")
    if settings.as_json:
        rows = [asdict(one) | {"conclusion": one.conclusion} for one in found]
        print(json.dumps(rows))
    else:
        print("\n".join(map(_lines, found)), end="")


def compared(a: Sequence[ResultRow], b: Sequence[ResultRow], names: tuple[str, str]) -> list[Comparison]:
    """Compares two runs: agent by agent where they have agents in common, else the one with the other.

    Raises:
        UsageError: When it is not plain which of several agents are meant.
    """
    groups_a, groups_b = group(a), group(b)
    if len(groups_a) == len(groups_b) == 1:
        return [compare_rows(a, b, names)]
    pairs = [
        (one, other)
        for one in groups_a
        for other in groups_b
        if (one.agent, one.budget) == (other.agent, other.budget)
    ]
    if not pairs:
        raise UsageError(
            f"{names[0]} and {names[1]} have no agent and budget in common; name them: FOLDER#AGENT"
        )
    titles = [f"{one.agent} @ {budget_words(one.budget)}" for one, _ in pairs]
    return corrected(
        [
            compare_rows(groups_a[one], groups_b[other], (f"{names[0]}#{title}", f"{names[1]}#{title}"))
            for title, (one, other) in zip(titles, pairs, strict=True)
        ]
    )


def _rows(place: str) -> list[ResultRow]:
    """Reads the rows of ``FOLDER`` or ``FOLDER#AGENT``."""
    folder, _, agent = place.partition("#")
    rows = read_results(Path(folder))
    chosen = [row for row in rows if agent in ("", row.agent)]
    if not chosen:
        known = ", ".join(dict.fromkeys(row.agent for row in rows))
        raise UsageError(f"{folder} has no rows of agent {agent!r}; there are: {known}")
    return chosen


def _lines(one: Comparison) -> str:
    difference = one.difference
    return (
        f"a  {one.a}: {100 * one.solved_a:.1f} % solved, {one.tokens_a:,.0f} tokens a problem\n"
        f"b  {one.b}: {100 * one.solved_b:.1f} % solved, {one.tokens_b:,.0f} tokens a problem\n"
        f"a − b over {difference.count} problems: {100 * difference.mean:+.1f} points, "
        f"95 % {100 * difference.low:+.1f} to {100 * difference.high:+.1f}: {one.conclusion}\n"
        f"{one.evidence}\n"
    )


app = command(CompareSettings, compare, name="compare")
