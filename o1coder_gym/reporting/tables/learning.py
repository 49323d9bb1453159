"""Runs that learn, by RL or self-play, and measurements of a step scorer: tables and a figure for a paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.errors import JournalError, MissingExtraError
from o1coder_gym.metrics import Bin
from o1coder_gym.reporting.figures import draw_curve, draw_reliability, draw_updates, latest_updates
from o1coder_gym.reporting.results import RESULTS
from o1coder_gym.reporting.tables.export import Cell, Grid
from o1coder_gym.runs.journal import read_rows


def _draw_bins(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    bins = [Bin(row["score"], row["target"], row["count"]) for row in rows]
    try:
        draw_reliability(bins, path, rows[0]["scorer"])
    except MissingExtraError:
        return False
    return True


_DRAWN: Mapping[str, Callable[[Sequence[Mapping[str, Any]], Path], bool]] = {
    "updates": draw_updates,  # of rl policy: a row a batch
    "curve": draw_curve,  # of selfplay: a row a stage
    "reliability": _draw_bins,  # of prm eval: a row a bin
}
_MEASURED = ("auc", "accuracy", "pair_accuracy", "calibration_error")


def learning_grids(run: Path) -> list[Grid]:
    """Reads a run's learning, batch by batch or stage by stage, or the measurement of a scorer.

    Returns:
        The table of the figure first; nothing where it is not such a run.

    Raises:
        JournalError: When a file is damaged.
    """
    if any(run.rglob(f"{RESULTS}.jsonl")):
        return []
    for name in _DRAWN:
        if rows := list(read_rows(run / f"{name}.jsonl")):
            rows = latest_updates(rows) if name == "updates" else rows
            columns = dict.fromkeys(column for row in rows for column in row)
            return [Grid(name, [{column: _cell(row.get(column), run) for column in columns} for row in rows])]
    return list(_scorer_grids(run / "report.json"))


def _scorer_grids(file: Path) -> Iterator[Grid]:
    """Yields the tables of what `experiments.training.prm.measure_scorer` wrote."""
    if not file.exists():
        return
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        scorer = {"scorer": found["scorer"]}
        yield Grid("reliability", [scorer | one for one in found["bins"]])
        yield Grid("measures", [scorer | {"measure": name} | found[name] for name in _MEASURED])
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{file}: no report of a scorer: {error!r}") from error


def write_curves(grid: Grid, folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Writes the figure of a table of `learning_grids` as pdf, svg, png, …; returns the files.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{grid.name}.{kind}" for kind in kinds]
    if not all(_DRAWN[grid.name](grid.rows, file) for file in files):
        raise MissingExtraError("matplotlib", "plots")
    return files


def _cell(value: Any, run: Path) -> Cell:
    if isinstance(value, str):  # folders of a self-play run are kept relative to it
        return value.replace("RUN/", f"{run}/")
    return value if isinstance(value, int | float | None) else str(value)
