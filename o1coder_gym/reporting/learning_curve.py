"""Curves of learning: held-out problems by stage of self-play, episodes by update of RL."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PICTURE = "curve.png"
"""Name of the picture in a run folder."""


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
    places = [f"{row['stage']} {row['iteration']}" for row in rows]
    lines = {
        label: (places, [row[name] for row in rows])
        for name, label in (("pass_rate", "pass@1, sampled"), ("greedy", "greedy"))
    }
    return _draw(lines, "", "held-out problems solved", path)


def draw_updates(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draws the batches of an RL run, ``updates.jsonl``; likewise.

    Args:
        rows: With ``t`` and shares in [0, 1], which may be missing or None.
        path: Of the picture.
    """
    names = {
        "episodes/pass_rate": "episodes that pass",
        "episodes/compile_rate": "programs that compile",
        "episodes/format_compliance": "episodes in the format",
        "validation/pass_rate": "held out, pass@1",
    }
    lines = {}
    for name, label in names.items():
        known = [(row["t"], row[name]) for row in rows if row.get(name) is not None]
        if known:
            lines[label] = tuple(zip(*known, strict=True))
    return _draw(lines, "optimizer steps", "share", path)


def _draw(lines: Mapping[str, tuple[Sequence[Any], Sequence[float]]], x: str, y: str, path: Path) -> bool:
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for label, (places, values) in lines.items():
        axes.plot(places, values, marker=".", label=label)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend()
    figure.savefig(path, dpi=150)
    return True
