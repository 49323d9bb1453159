"""`o1coder attack`: inputs on which the programs of one problem differ, minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.measures.attacks import ProgramsToAttack, attack_programs
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.runs.progress import notes, progress_bars

_SHOWN = 100
"""Characters that are shown of an input, an output, a name, or of all names of a class."""


def attack(settings: ProgramsToAttack) -> None:
    """Find inputs on which programs for one problem disagree; say what most of them do there.

    No reference and no hidden test is looked at. Programs whose results change by themselves are reported
    and part nobody.
    """
    with progress_bars(notes(), transient=True) as progress:
        bar = progress.add_task("attacking", total=None, told="")
        for row in attack_programs(settings, on_start=lambda total: progress.update(bar, total=total)):
            print(to_json(row) if settings.as_json else _shown(row), flush=True)
            progress.advance(bar)


def _shown(row: Mapping[str, Any]) -> str:
    """Returns a row for people."""
    head = f"{_brief(row['task_id'])}: {counted(row['programs'], 'program')}, {row['distinct']} distinct"
    if row["untried"]:
        return f"{head}, not attacked: {row['untried']}"
    found = f"{counted(len(row['classes']), 'behaviour')} (entropy {row['entropy']:.2f} bits)"
    small = f", {row['shrinking']} to make inputs small" if row["shrinking"] else ""
    lines = [f"{head}, {found}, {counted(row['executions'], 'execution')}{small}"]
    for found in row["attacks"]:
        lines.append(f"  {_brief(found['input'])}")
        for output, names in found["outputs"].items():
            mark = f"   ← right? {found['confidence']:.0%}" if output == found["right"] else ""
            lines.append(f"    {_brief(output)}: {_listed(names)}{mark}")
    lines += [f"  noisy: {_brief(name)}: {why}" for name, why in row["noisy"].items()]
    if row["untold"]:
        lines.append(f"  cannot be told apart, as they return no literal: {_listed(row['untold'])}")
    if row["hanging"]:
        lines.append(f"  ran into a time limit: {_listed(row['hanging'])}")
    if row["rounded"]:
        inputs = counted(row["rounded"], "input")
        lines.append(f"  outputs differ by rounding alone on {inputs}, which part nobody")
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    """Returns the first names, as many as are shown, and at least one."""
    shown = [_brief(name) for name in names]
    ends = accumulate(len(name) + len(", ") for name in shown)
    whole = max(sum(end <= _SHOWN for end in ends), 1)
    more = f" and {len(names) - whole} more" if len(names) > whole else ""
    return ", ".join(shown[:whole]) + more


def _brief(text: str) -> str:
    """Returns a text on one line that no terminal takes for a command."""
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


app = command(ProgramsToAttack, attack, name="attack")
