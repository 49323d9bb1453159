"""`o1coder attack`: inputs on which the programs of one problem differ, minimised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.measures.attacks import ProgramsToAttack, attack_programs
from o1coder_gym.runs.progress import notes, progress_bars

_SHOWN = 100
"""Characters of an input or an output that are shown."""


def attack(settings: ProgramsToAttack) -> None:
    """Find inputs on which programs of one problem differ; say what most of them do there.

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
    head = f"{row['task_id']}: {row['programs']} programs, {row['distinct']} distinct"
    lines = [
        f"{head}, {len(row['classes'])} behaviours (entropy {row['entropy']:.2f} bits), "
        f"{row['executions']} executions"
    ]
    for found in row["attacks"]:
        lines.append(f"  {_brief(found['input'])}")
        for output, names in found["outputs"].items():
            mark = f"   ← right? {found['confidence']:.0%}" if output == found["right"] else ""
            lines.append(f"    {_brief(output)}: {_listed(names)}{mark}")
    lines += [f"  noisy: {name}: {why}" for name, why in row["noisy"].items()]
    if row["untold"]:
        lines.append(f"  cannot be told apart, as they return no literal: {_listed(row['untold'])}")
    if row["hanging"]:
        lines.append(f"  ran into a time limit: {_listed(row['hanging'])}")
    if row["rounded"]:
        lines.append(f"  outputs differ by rounding alone on {row['rounded']} inputs, which part nobody")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _brief(text: str) -> str:
    shown = text if text.isprintable() else repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


app = command(ProgramsToAttack, attack, name="attack")
