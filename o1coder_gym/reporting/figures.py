"""The report's figures as files, by matplotlib (extra `plots`): PNG for slides, SVG for papers.

Curves of learning: held-out problems by stage of self-play, episodes by update of RL.

The reliability figure: how often a score is right, by score.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from o1coder_gym.errors import MissingExtraError
from o1coder_gym.metrics import Bin, calibration_error
from o1coder_gym.metrics.estimates import ROUGH
from o1coder_gym.reporting.colours import (
    BAD,
    GOOD,
    MIDDLE,
    SERIES,
    UNKNOWN,
    drawing_order,
    line_colour,
    line_dashes,
    series_places,
)
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.run_report import Curve, RunReport
from o1coder_gym.reporting.search_reliability import ReliabilityBin
from o1coder_gym.runs.budget import Budget

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"
"""Name of the folder of figures in a run folder."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3dfd7",
    "legend.frameon": False,
    "legend.handlelength": 4,  # room for the longest dashes
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    # Fixed: matplotlib draws ids in an SVG at random, and equal figures should be equal files.
    "svg.hashsalt": "o1coder",
}


_WIDTH = 6.75
"""Of the report's figures, in inches: the text of a paper, so that letters keep their size there."""

_DATELESS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata that leaves dates out, so that equal figures are equal files."""


def write_figures(report: RunReport, folder: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Writes the figures of a report.

    Args:
        report: The run.
        folder: Where to; made if it is missing.
        kinds: Formats of the files: png, svg, pdf.

    Returns:
        The files.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ModuleNotFoundError as error:
        raise MissingExtraError("matplotlib", "plots") from error
    makers: dict[str, Callable[[], Figure]] = {}
    if report.curves:
        draw = curves_figure if report.swept else spending_figure
        makers["solved_against_tokens"] = lambda: draw(report.curves)
    makers["problems"] = lambda: problems_figure(report.rows)
    if report.reliability:
        makers["reliability"] = lambda: reliability_figure(report.reliability)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with rc_context(_STYLE):
        for name, make in makers.items():
            figure = make()
            for kind in kinds:
                files.append(folder / f"{name}.{kind}")
                figure.savefig(files[-1], metadata=_DATELESS.get(kind, {}))
    return files


def curves_figure(curves: Sequence[Curve]) -> Figure:
    """Draws solved against the budget, with 95 % bands; a point that left tokens unspent is hollow."""
    from matplotlib.figure import Figure

    names = max(len(curve.name) for curve in curves)
    across = max(1, 75 // (names + 10))  # letters, and what a line takes beside its name
    figure = Figure(figsize=(_WIDTH, 3.4 + 0.2 * math.ceil(len(curves) / across)))
    axes = figure.add_subplot()
    places = series_places(curve.name for curve in curves)
    for curve in sorted(curves, key=lambda one: drawing_order(places[one.name])):
        colour, dashes = line_colour(places[curve.name]), line_dashes(places[curve.name])
        tokens = [point.tokens for point in curve.points]
        rates = [100 * point.rate for point in curve.points]
        low = [100 * point.interval[0] for point in curve.points]
        high = [100 * point.interval[1] for point in curve.points]
        # above the axis and not clipped by it: where nothing is solved, lines lie on it
        line = axes.plot(tokens, rates, color=colour, label=curve.name, clip_on=False, zorder=2.8)[0]
        line.set_linestyle((0, dashes) if dashes else "-")
        inside = ["white" if point.thrifty else colour for point in curve.points]
        axes.scatter(tokens, rates, s=25, color=inside, edgecolors=colour, zorder=3, clip_on=False)
        axes.fill_between(tokens, low, high, color=colour, alpha=0.08, linewidth=0)
    ticks = sorted({point.tokens for curve in curves for point in curve.points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("budget: generated tokens per problem (hollow: over a tenth of it unspent)")
    axes.set_ylabel("problems solved, %, with 95 % bands")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=across)
    return figure


def spending_figure(curves: Sequence[Curve]) -> Figure:
    """Draws what was solved within one budget, with 95 % intervals; the names say what was spent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 1.0 + 0.5 * len(curves)))
    axes = figure.add_subplot()
    places = series_places(curve.name for curve in curves)
    for place, curve in enumerate(curves):
        point, colour = curve.points[-1], line_colour(places[curve.name])
        low, high = point.interval
        axes.hlines(place, 100 * low, 100 * high, color=colour, alpha=0.5)
        axes.plot(100 * point.rate, place, marker="o", markersize=6, color=colour)
    axes.set_yticks(range(len(curves)), [f"{one.name}\nspent {one.points[-1].cost}" for one in curves])
    axes.set_ylim(len(curves) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("problems solved, %, with 95 % intervals")
    return figure


def problems_figure(rows: Sequence[ResultRow]) -> Figure:
    """Draws which agent solves which problem at the largest budget; problems from easy to hard."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    agents = list(dict.fromkeys(row.agent for row in rows))
    tasks = list(dict.fromkeys(row.problem for row in rows))
    largest: dict[str, Budget] = {}
    for row in rows:
        largest[row.agent] = max(largest.get(row.agent, row.budget), row.budget, key=lambda one: one.size)
    totals, counts = np.zeros((len(agents), len(tasks))), np.zeros((len(agents), len(tasks)))
    lines, columns = ({name: place for place, name in enumerate(names)} for names in (agents, tasks))
    for row in rows:
        if row.counted and row.total and row.budget == largest[row.agent]:
            place = lines[row.agent], columns[row.problem]
            totals[place] += row.passed / row.total
            counts[place] += 1
    shares = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    # Easy problems first: by what all agents together pass.
    order = np.argsort(-np.nan_to_num(shares).sum(axis=0), kind="stable")
    figure = Figure(figsize=(_WIDTH, 0.7 + 0.28 * len(agents)))
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("value", [BAD, MIDDLE, GOOD]).with_extremes(bad=UNKNOWN)
    image = axes.pcolormesh(np.ma.masked_invalid(shares[:, order]), cmap=colours, vmin=0, vmax=1)
    axes.set_yticks(np.arange(len(agents)) + 0.5, agents)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel("problems")
    figure.colorbar(image, ax=axes, label="hidden tests passed", fraction=0.03, pad=0.02)
    return figure


def reliability_figure(bins: Sequence[ReliabilityBin]) -> Figure:
    """Draws the mean value of scored steps against their score, with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2))
    axes = figure.add_subplot()
    scores = [one.score for one in bins]
    values = [one.target for one in bins]
    axes.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1)
    axes.vlines(scores, [one.interval[0] for one in bins], [one.interval[1] for one in bins], color=SERIES[0])
    most = max(one.count for one in bins)
    axes.scatter(scores, values, s=[20 + 100 * one.count / most for one in bins], color=SERIES[0], zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("score of the step")
    axes.set_ylabel("value of the programs below it, with 95 % intervals")
    rough = "\nintervals of few problems are rough" if any(one.rough for one in bins) else ""
    axes.set_title(f"expected calibration error {calibration_error(bins):.3f}{rough}", fontsize=10)
    return figure


PICTURE = "curve.png"
"""Name of the picture in a run folder."""


def markdown_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the measurements as a table."""
    head = "| iteration | after | pass@1 (95 % int.) | greedy (95 % int.) | format |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {row['iteration']} | {row['stage']} | {_with_ends(row, 'pass_rate')} "
        f"| {_with_ends(row, 'greedy')} | {row['format_compliance']:.1%} |\n"
        for row in rows
    )


def _with_ends(row: Mapping[str, Any], name: str) -> str:
    """Says a measurement with its interval, which rows of earlier versions do not have."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    rough = ROUGH if row.get(f"{name}_rough") else ""
    ends = "" if low is None or high is None else f" ({100 * low:.0f} to {100 * high:.0f}){rough}"
    return f"{row[name]:.1%}{ends}"


def draw_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draws the measurements; returns false, and draws nothing, where matplotlib is not installed."""
    places = [
        "start" if row["stage"] == "start" else f"{row['stage']}\niteration {row['iteration']}"
        for row in rows
    ]
    names = {"pass_rate": "pass@1, sampled", "greedy": "greedy"}
    lines = {label: (places, [row[name] for row in rows]) for name, label in names.items()}
    bands = {
        label: ([row[f"{name}_low"] for row in rows], [row[f"{name}_high"] for row in rows])
        for name, label in names.items()
        if all(row.get(f"{name}_low") is not None for row in rows)
    }
    rough = ", rough" if any(row.get(f"{name}_rough") for row in rows for name in names) else ""
    title = "held-out problems solved" + (f", 95 % bands{rough}" if bands else "")
    return _draw(lines, "", title, path, bands)


def latest_updates(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows of ``updates.jsonl``, one a batch: the last, for a resumed run repeats some."""
    return list({row["t"]: row for row in rows}.values())


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


def _draw(
    lines: Mapping[str, tuple[Sequence[Any], Sequence[float]]],
    x: str,
    y: str,
    path: Path,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] = MappingProxyType({}),
) -> bool:
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.8, 3.5), layout="constrained")
    axes = figure.subplots()
    series = series_places(lines)
    for label, (places, values) in lines.items():
        colour, dashes = line_colour(series[label]), line_dashes(series[label])
        axes.plot(
            places, values, marker=".", label=label, color=colour, linestyle=(0, dashes) if dashes else "-"
        )
        if label in bands:
            axes.fill_between(places, *bands[label], color=colour, alpha=0.12, linewidth=0)
    if x:  # counted, not named
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend(handlelength=4, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=150, metadata=_DATELESS.get(path.suffix[1:], {}))
    return True


def draw_reliability(bins: Sequence[Bin], path: Path, title: str) -> None:
    """Draws mean target over mean score, with the number of examples below.

    Args:
        bins: From `metrics.reliability`.
        path: Image to write; its ending chooses the format.
        title: Above the figure.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", error) from error
    figure = Figure(figsize=(4.5, 5), layout="constrained")
    rates, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    scores = [one.score for one in bins]
    rates.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated")
    rates.plot(scores, [one.target for one in bins], marker="o", color=SERIES[0], label="measured")
    rates.set(ylabel="mean label", xlim=(0, 1), ylim=(0, 1), title=title)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    counts.bar(scores, [one.count for one in bins], width=0.08, color=SERIES[0], alpha=0.5)
    counts.set(xlabel="mean score", ylabel="steps")
    figure.savefig(path, dpi=150, metadata=_DATELESS.get(path.suffix[1:], {}))
