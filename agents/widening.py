"""Widening: how many samples a node may have, given its visits."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import TypeAlias

Widening: TypeAlias = Callable[[int, int], int]
"""From (visits of the node, most samples it may ever have) to the samples it may have now, ≥ 1."""


def all_at_once(visits: int, width: int) -> int:
    """Draws all siblings in one call, at the first expansion (the paper's)."""
    return width


def progressive(visits: int, width: int, *, k: float = 1.0, alpha: float = 0.5) -> int:
    """Allows ⌈k · N^α⌉ samples (progressive widening, Coulom 2007), from 1 to `width`."""
    return min(width, max(1, ceil(k * visits**alpha)))
