"""Colours of values, the same in every figure: orange for 0, sand for a half, teal for 1.

They differ in lightness and along blue to yellow, so that colour-blind readers tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import count

BAD = "#c2450e"
MIDDLE = "#d9c98f"
GOOD = "#0d7a70"
UNKNOWN = "#e3dfd7"

SERIES = ("#3a56c5", "#0d7a70", "#c2450e", "#8a4fbf", "#b28400", "#1f8fc0", "#b5366f", "#5c6b2e", "#6b5d52")
"""Colours of lines, by place."""
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 2.5), (2, 2), (9, 2, 2, 2), (4, 1.5), (12, 3), (1, 1.5))
"""Dashes of lines, by place, in line widths: where lines coincide, the one below shows through the gaps."""

_AGENTS = (
    "greedy",
    "best_of_n_random",
    "oracle",
    "best_of_n",
    "mcts",
    "puct",
    "beam",
    "ab_mcts",
    "self_repair",
    "random",
    "epsilon_greedy",
)


def series_places(names: Iterable[str]) -> dict[str, int]:
    """Returns the place of each line: an agent of this project has the same one in every figure.

    Args:
        names: Agent specs, also with what tells them from others, ``FOLDER#SPEC@1024`` or ``SPEC hf:tiny``;
            or any other names of lines. The second line of one agent gets a place that is free.
    """
    names = list(dict.fromkeys(names))
    places: dict[str, int] = {}
    for name in names:
        agent = re.split(r"[:?@\s]", name.rpartition("#")[2], maxsplit=1)[0]
        if agent in _AGENTS and _AGENTS.index(agent) not in places.values():
            places[name] = _AGENTS.index(agent)
    taken = {*places.values()}
    free = (place for place in count() if place not in taken)
    return {name: places[name] if name in places else next(free) for name in names}


def line_colour(place: int) -> str:
    """Returns the colour of the line at a place."""
    return SERIES[place % len(SERIES)]


def line_dashes(place: int) -> tuple[float, ...]:
    """Returns the dashes of the line at a place, empty for a solid one."""
    return DASHES[place % len(DASHES)]


def drawing_order(place: int) -> tuple[bool, int]:
    """Returns a key that sorts places: solid lines first, since they would hide the dashed ones."""
    return bool(line_dashes(place)), place


def value_colour(value: float | None) -> str:
    """Returns the colour of a value in [0, 1] as #rrggbb; that of the unknown for None."""
    if value is None:
        return UNKNOWN
    # Linear in RGB between three anchors, the middle one at a half.
    low, high, part = (BAD, MIDDLE, 2 * value) if value < 0.5 else (MIDDLE, GOOD, 2 * value - 1)
    channels = (round(a + (b - a) * part) for a, b in zip(_rgb(low), _rgb(high), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
