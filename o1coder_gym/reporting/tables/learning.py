"""Runs that learn, of RL and of self-play, as a table and a figure for a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.errors import MissingExtraError
from o1coder_gym.reporting.figures import draw_curve, draw_updates
from o1coder_gym.reporting.results import RESULTS
from o1coder_gym.reporting.tables.export import Cell, Grid
from o1coder_gym.runs.journal import read_rows

_DRAWN: Mapping[str, Callable[[Sequence[Mapping[str, Any]], Path], bool]] = {
    "updates": draw_updates,  # of rl policy: a row a batch
    "curve": draw_curve,  # of selfplay: a row a stage
}


def learning_grid(run: Path) -> Grid | None:
    """Reads what a run learned, batch by batch or stage by stage; None where it is no such run."""
    if any(run.rglob(f"{RESULTS}.jsonl")):
        return None
    for name in _DRAWN:
        if rows := list(read_rows(run / f"{name}.jsonl")):
            columns = dict.fromkeys(column for row in rows for column in row)
            return Grid(name, [{column: _cell(row.get(column)) for column in columns} for row in rows])
    return None


def write_curves(grid: Grid, folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Writes the learning curve of a run in formats such as pdf, svg and png; returns the files.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{grid.name}.{kind}" for kind in kinds]
    if not all(_DRAWN[grid.name](grid.rows, file) for file in files):
        raise MissingExtraError("matplotlib", "plots")
    return files


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float | None) else str(value)
