"""Reliability: the distance of scores from the rates that they claim, in bins and as one error. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.metrics.estimates import Numbers


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability figure.

    Attributes:
        score: Mean score in the bin.
        target: Mean target in the bin.
        count: Examples in the bin, ≥ 1.
    """

    score: float
    target: float
    count: int


def reliability(scores: Numbers, targets: Numbers, bins: int = 10) -> list[Bin]:
    """Groups examples by score into bins of equal width over [0, 1]; empty ones are left out.

    Args:
        scores: In [0, 1], [N].
        targets: In [0, 1], hard or soft, [N].
        bins: Number of bins.
    """
    found, wanted = np.asarray(scores, float), np.asarray(targets, float)
    return [
        Bin(float(found[group].mean()), float(wanted[group].mean()), len(group))
        for group in by_score(found, bins)
    ]


def by_score(scores: NDArray[Any], bins: int = 10) -> list[NDArray[np.intp]]:
    """Returns the indices of the examples in each bin of `reliability`, lowest scores first."""
    # A score of exactly 1 belongs to the last bin.
    places = np.minimum((scores * bins).astype(int), bins - 1)
    return [np.flatnonzero(places == place) for place in np.unique(places)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Computes ECE = Σ_b (n_b / N) |mean score − mean target| (Guo et al. 2017, equation 3).

    NaN without bins.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.score - one.target) for one in bins) / total if total else math.nan
