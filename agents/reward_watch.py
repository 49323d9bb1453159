"""Reward hacking: the learned reward rises while the verified one falls."""

from __future__ import annotations

import math
from collections.abc import Sequence


def divergence(process: Sequence[float], verified: Sequence[float], window: int = 10) -> float:
    """Measures by how much the process reward has risen while the pass rate fell, over two windows.

    Args:
        process: Mean process reward of each update so far, in [0, 1].
        verified: Pass rate of each update, in [0, 1]; as many.
        window: Updates per window, ≥ 1; the last `window` updates are compared with those before them.

    Returns:
        min(rise of the process reward, fall of the pass rate), 0 if either did not happen or fewer than two
        windows of updates are there. In [0, 1].
    """
    pairs = [pair for pair in zip(process, verified, strict=True) if not any(map(math.isnan, pair))]
    if len(pairs) < 2 * window:
        return 0.0
    before, now = pairs[-2 * window : -window], pairs[-window:]
    rise = sum(p for p, _ in now) - sum(p for p, _ in before)
    fall = sum(v for _, v in before) - sum(v for _, v in now)
    return max(0.0, min(rise, fall) / window)
