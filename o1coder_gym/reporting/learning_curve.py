"""The curve of a self-play run: pass rate on held-out problems, stage by stage."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def markdown_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the measurements as a table."""
    head = "| iteration | after | pass@1 | greedy | format |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {row['iteration']} | {row['stage']} | {row['pass_rate']:.1%} | {row['greedy']:.1%} | "
        f"{row['format_compliance']:.1%} |\n"
        for row in rows
    )


def draw_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draws the measurements; returns false, and draws nothing, where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    names = [f"{row['stage']} {row['iteration']}" for row in rows]
    for name, label in (("pass_rate", "pass@1, sampled"), ("greedy", "greedy")):
        axes.plot(names, [row[name] for row in rows], marker="o", label=label)
    axes.set_ylim(0, 1)
    axes.set_ylabel("held-out problems solved")
    axes.legend()
    figure.savefig(path, dpi=150)
    return True
