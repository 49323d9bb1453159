"""Charts as inline SVG: they follow the page's light or dark, print as vectors and need no library.

Colours are the page's classes ``s0``, ``s1``, …; lengths are in units of the view box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from o1coder_gym.metrics.estimates import ROUGH
from o1coder_gym.reporting.colours import SERIES, drawing_order, line_dashes, series_places
from o1coder_gym.reporting.pages.page import spec_words
from o1coder_gym.reporting.run_report import Curve, CurvePoint
from o1coder_gym.reporting.search_reliability import ReliabilityBin

WIDTH, HEIGHT = 1080, 430
LEFT, RIGHT, TOP, BOTTOM = 56, 345, 16, 52
LINE = 18
"""Height of a label's line."""

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The axes: x and y map values to positions."""

    x: Scale
    y: Scale
    right: float
    bottom: float


def curves_chart(curves: Sequence[Curve]) -> str:
    """Returns solved against budgets: a line per agent with its 95 % band, named at its end.

    The axis is logarithmic and its ticks are the budgets. A point is hollow where more than a tenth of the
    budget was left unspent.

    Args:
        curves: At least one.
    """
    tokens = sorted({point.tokens for curve in curves for point in curve.points})
    highest = max(point.interval[1] for curve in curves for point in curve.points)
    step = next(step for step in (0.05, 0.1, 0.2) if highest <= 5 * step)
    top = 5 * step
    frame = _frame(_axis(tokens), top)
    word = "budget: generated tokens per problem"
    parts = [_grid(frame, [(tick, f"{tick:,.0f}") for tick in tokens], top, word, "problems solved")]
    places = series_places(curve.name for curve in curves)
    parts += [
        _curve(curve, places[curve.name], frame)
        for curve in sorted(curves, key=lambda one: drawing_order(places[one.name]))
    ]
    parts.append(_names(curves, places, frame))
    return _svg(parts, WIDTH, HEIGHT, "Share of problems solved against the budget")


def spending_chart(curves: Sequence[Curve]) -> str:
    """Returns the share solved within one budget, and beside it the share of that budget spent.

    Rows of HTML instead of an SVG, so that they fit any width.

    Args:
        curves: Of one point each, at least one.
    """
    points = [curve.points[-1] for curve in curves]
    most = max(max(point.tokens for point in points), 1.0)
    lines = []
    places = series_places(curve.name for curve in curves)
    for curve, point in zip(curves, points, strict=True):
        place = places[curve.name]
        spent = point.tokens if point.spent is None else point.spent
        chip = f'<i class="chip {series_class(place)}">{place + 1}</i>'
        lines.append(
            f'<div class="series {series_class(place)}" data-series="{place}">'
            f'<span class="name">{chip}{spec_words(curve.name)}</span>'
            f'{interval_bar(point.rate, point.interval)}<b class="rate">{100 * point.rate:.0f} %</b>'
            f'<span class="spent"><i style="width:{100 * spent / most:.1f}%"></i></span>'
            f'<span class="cost">spent {point.cost}</span></div>'
        )
    return f'<div class="spending">{"".join(lines)}</div>'


def interval_bar(rate: float, interval: tuple[float, float]) -> str:
    """Returns a share in [0, 1] as a dot in its interval, on a line from 0 to 1."""
    low, high = interval
    return (
        f'<span class="interval" title="{100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f})">'
        f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        f'<b style="left:{100 * rate:.1f}%"></b></span>'
    )


def reliability_chart(bins: Sequence[ReliabilityBin]) -> str:
    """Returns scores against the values that the steps led to; the diagonal is perfect calibration."""
    size = 430
    frame = _Frame(
        x=lambda v: LEFT + v * (size - LEFT - 20),
        y=lambda v: size - BOTTOM - v * (size - BOTTOM - TOP),
        right=size - 20,
        bottom=size - BOTTOM,
    )
    ticks = [(tick / 5, f"{tick / 5:.1f}") for tick in range(6)]
    parts = [_grid(frame, ticks, 1.0, "score of the step", "value of the programs below it")]
    parts.append(
        f'<line class="ideal" x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" '
        f'x2="{frame.x(1):.1f}" y2="{frame.y(1):.1f}"/>'
    )
    most = max(one.count for one in bins)
    for one in bins:
        x, y, (low, high) = frame.x(one.score), frame.y(one.target), one.interval
        ends = f"({low:.2f} to {high:.2f}){ROUGH * one.rough}"
        told = f"{one.count} steps, mean score {one.score:.2f}, value {one.target:.2f} {ends}"
        parts.append(
            f'<g class="s0"><title>{told}</title>'
            f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(low):.1f}" y2="{frame.y(high):.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 + 7 * math.sqrt(one.count / most):.1f}"/></g>'
        )
    return _svg(parts, size, size, "Reliability of the step scorer")


def series_class(place: int) -> str:
    """Returns the class that gives a series its colour."""
    return f"s{place % len(SERIES)}"


def _curve(curve: Curve, place: int, frame: _Frame) -> str:
    points = curve.points
    line = " ".join(f"{frame.x(p.tokens):.1f},{frame.y(p.rate):.1f}" for p in points)
    upper = [f"{frame.x(p.tokens):.1f},{frame.y(p.interval[1]):.1f}" for p in points]
    lower = [f"{frame.x(p.tokens):.1f},{frame.y(p.interval[0]):.1f}" for p in reversed(points)]
    parts = [f'<g class="series {series_class(place)}" data-series="{place}">']
    if len(points) > 1:
        parts.append(f'<polygon class="band" points="{" ".join(upper + lower)}"/>')
        dashes = " ".join(f"{2.5 * length:g}" for length in line_dashes(place))
        parts.append(f'<polyline points="{line}" stroke-dasharray="{dashes or "none"}"/>')
    for point in points:
        low, high = point.interval
        x, y = frame.x(point.tokens), frame.y(point.rate)
        interval = f"({100 * low:.0f} to {100 * high:.0f})"
        told = f"{curve.name}: {100 * point.rate:.1f} % {interval}, {point.cost} spent"
        if len(points) == 1:
            ends = f'y1="{frame.y(low):.1f}" y2="{frame.y(high):.1f}"'
            parts.append(f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
        kind = ' class="hollow"' if point.thrifty else ""
        parts.append(
            f'<circle{kind} cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{escape(told)}</title></circle>'
        )
    return "".join([*parts, "</g>"])


def _names(curves: Sequence[Curve], series: Mapping[str, int], frame: _Frame) -> str:
    """Writes each curve's name beside its end, moved apart where ends are close."""
    order = sorted(range(len(curves)), key=lambda i: frame.y(curves[i].points[-1].rate))
    places: dict[int, float] = {}
    last = -math.inf
    for index in order:
        # From the top down, each label at least a line below the last; an overflow then lifts all of them.
        last = max(frame.y(curves[index].points[-1].rate), last + LINE)
        places[index] = last
    overflow = max(0.0, last - frame.bottom)
    parts = []
    for index, y in places.items():
        curve, place = curves[index], series[curves[index].name]
        end = curve.points[-1]
        x0, y0, y1 = frame.x(end.tokens), frame.y(end.rate), y - overflow
        name = curve.name if len(curve.name) <= 30 else f"{curve.name[:29]}…"
        parts.append(
            f'<g class="series {series_class(place)}" data-series="{place}">'
            f'<path class="lead" d="M{x0 + 6:.1f},{y0:.1f} L{frame.right + 10:.1f},{y1:.1f}"/>'
            f'<text x="{frame.right + 15:.1f}" y="{y1 + 4:.1f}"><title>{escape(curve.name)}</title>'
            f'{escape(name)}<tspan class="rate" dx="7">{100 * end.rate:.1f} %{_share_spent(end)}</tspan>'
            "</text></g>"
        )
    return "".join(parts)


def _share_spent(point: CurvePoint) -> str:
    """Names the share spent where a point has left tokens unspent."""
    return (
        f", {100 * point.spent / point.tokens:.0f} % spent"
        if point.thrifty and point.spent is not None
        else ""
    )


def _axis(ticks: Sequence[float]) -> Scale:
    """Returns tokens → [0, 1], logarithmic; the ends of the axis are the ends of the ticks."""
    low, high = math.log(max(ticks[0], 1)), math.log(max(ticks[-1], 2))
    return lambda v: (math.log(max(v, 1)) - low) / max(high - low, 1e-9)


def _frame(axis: Scale, top: float) -> _Frame:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    return _Frame(
        x=lambda v: LEFT + 14 + axis(v) * (right - LEFT - 28),
        y=lambda v: bottom - v / top * (bottom - TOP),
        right=right,
        bottom=bottom,
    )


def _grid(frame: _Frame, ticks: Sequence[tuple[float, str]], top: float, below: str, beside: str) -> str:
    parts = []
    for step in range(6):
        value = top * step / 5
        y = frame.y(value)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{frame.right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 9}" y="{y + 4:.1f}" text-anchor="end">{100 * value:.0f}</text>'
        )
    for value, text in ticks:
        x = frame.x(value)
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{frame.bottom + 20:.1f}" text-anchor="middle">{text}</text>'
        )
    middle = (LEFT + frame.right) / 2
    height = (TOP + frame.bottom) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{frame.bottom + 43:.1f}" text-anchor="middle">{below}</text>'
    )
    turned = f'transform="translate(14,{height:.1f}) rotate(-90)"'
    parts.append(f'<text class="axis" {turned} text-anchor="middle">{beside}, %</text>')
    return "".join(parts)


def _svg(parts: Sequence[str], width: int, height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
