"""Significance of paired differences: exact permutation test, Holm's correction, what a run could show.

Pure functions.

N items (problems), each with a difference of two settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist

import numpy as np

LEVEL = 0.05
"""Chance of calling a difference shown where there is none."""

POWER = 0.8
"""Chance of showing a difference of the size that a run is said to be able to show."""

_RESAMPLES = 100_000
_FINEST = 10_000
"""Largest common denominator up to which the distribution of a sum is computed exactly."""


def permutation_test(differences: Sequence[float], *, seed: int = 0) -> float:
    """Returns p of the paired sign-flip test of a mean of 0, two-sided (Fisher 1935, section 21).

    Under the hypothesis that the two settings are alike each difference is as likely with the other sign. Of
    differences in {−1, 0, 1} this is McNemar's exact test; items that do not differ say nothing.

    Args:
        differences: [N]; of shares of seeds, say. Exact for fractions of small denominators, else by
            resampling.
        seed: Fixes the resamples.

    Returns:
        In (0, 1]; 1 where nothing differs.
    """
    found = [difference for difference in differences if difference]
    if not found:
        return 1.0
    fractions = [Fraction(difference).limit_denominator(1000) for difference in found]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    exact = all(abs(float(f) - d) < 1e-9 for f, d in zip(fractions, found, strict=True))
    if exact and scale <= _FINEST:
        return _exact([int(fraction * scale) for fraction in fractions])
    return _resampled(np.abs(np.asarray(found, float)), abs(sum(found)), seed)


def _exact(steps: Sequence[int]) -> float:
    """Sums the chances of all signs whose sum is as far from 0 as the one seen."""
    reach = sum(map(abs, steps))
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in map(abs, steps):
        chances = 0.5 * (np.roll(chances, step) + np.roll(chances, -step))  # never reaches past the ends
    seen = abs(sum(steps))
    return min(1.0, float(chances[: reach - seen + 1].sum() + chances[reach + seen :].sum()) if seen else 1.0)


def _resampled(sizes: np.ndarray, seen: float, seed: int) -> float:
    generator = np.random.default_rng(seed)
    block = max(1, 4_000_000 // len(sizes))
    extreme = 0
    for start in range(0, _RESAMPLES, block):
        signs = generator.choice((-1.0, 1.0), size=(min(block, _RESAMPLES - start), len(sizes)))
        extreme += int((np.abs(signs @ sizes) >= seen - 1e-9).sum())
    return (extreme + 1) / (_RESAMPLES + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Returns the p-values of several tests, corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    corrected = [1.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def fewest_differing() -> int:
    """Returns the number of items that must differ, all to one side, for a test to show anything."""
    return math.ceil(1 - math.log2(LEVEL))


def detectable_difference(differences: Sequence[float]) -> float:
    """Returns the mean difference that N such items show with a chance of `POWER`.

    (z_{1−α/2} + z_{power}) · s / √N, and no less than the fewest items that can show anything; items that
    hardly ever differ tell little of s.

    Args:
        differences: [N], N ≥ 1.
    """
    quantile = NormalDist().inv_cdf
    spread = float(np.std(np.asarray(differences, float), ddof=1)) if len(differences) > 1 else math.inf
    by_spread = (quantile(1 - LEVEL / 2) + quantile(POWER)) * spread / math.sqrt(len(differences))
    return min(1.0, max(by_spread, fewest_differing() / len(differences)))
