"""Colours of values, the same in every figure: orange for 0, sand for a half, teal for 1.

They differ in lightness and along blue to yellow, so that colour-blind readers tell them apart.
"""

from __future__ import annotations

BAD = "#c2450e"
MIDDLE = "#d9c98f"
GOOD = "#0d7a70"
UNKNOWN = "#e3dfd7"

SERIES = ("#3a56c5", "#0d7a70", "#c2450e", "#8a4fbf", "#b28400", "#1f8fc0", "#b5366f", "#5c6b2e", "#6b5d52")
"""Colours of lines, in order."""


def value_colour(value: float | None) -> str:
    """Returns the colour of a value in [0, 1] as #rrggbb; that of the unknown for None."""
    if value is None:
        return UNKNOWN
    low, high, part = (BAD, MIDDLE, 2 * value) if value < 0.5 else (MIDDLE, GOOD, 2 * value - 1)
    channels = (round(a + (b - a) * part) for a, b in zip(_rgb(low), _rgb(high), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
