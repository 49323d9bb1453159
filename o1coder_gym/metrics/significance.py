"""Significance of paired differences: exact permutation test, Holm's correction, detectable difference.

Pure functions of N items (problems), each with the difference between two settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from statistics import NormalDist

import numpy as np

LEVEL = 0.05
"""Significance level α: the chance of a false positive."""

POWER = 0.8
"""Power 1 − β at which `detectable_difference` is stated."""

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
    # A difference of 0 has no sign to flip; it would only double the number of equal outcomes.
    found = [difference for difference in differences if difference]
    if not found:
        return 1.0
    # Means over a few seeds are fractions of small denominators; a common one makes their sums whole numbers.
    fractions = [Fraction(difference).limit_denominator(1000) for difference in found]
    scale = math.lcm(*(fraction.denominator for fraction in fractions))
    exact = all(abs(float(f) - d) < 1e-9 for f, d in zip(fractions, found, strict=True))
    if exact and scale <= _FINEST:
        return _exact([int(fraction * scale) for fraction in fractions])
    return _resampled(np.abs(np.asarray(found, float)), abs(sum(found)), seed)


def _exact(steps: Sequence[int]) -> float:
    """Sums the chances of all signs whose sum is as far from 0 as the one seen."""
    reach = sum(map(abs, steps))
    # The distribution of the sum on a grid of integers, convolved with one ± step at a time: no sampling
    # error.
    chances = np.zeros(2 * reach + 1)
    chances[reach] = 1.0
    for step in map(abs, steps):
        chances = 0.5 * (np.roll(chances, step) + np.roll(chances, -step))  # never reaches past the ends
    seen = abs(sum(steps))
    # Of a sum of 0 the tails are all there is, and the middle twice.
    return min(1.0, float(chances[: reach - seen + 1].sum() + chances[reach + seen :].sum()))


def _resampled(sizes: np.ndarray, seen: float, seed: int) -> float:
    generator = np.random.default_rng(seed)
    block = max(1, 4_000_000 // len(sizes))
    extreme = 0
    for start in range(0, _RESAMPLES, block):
        # [b, N] of ±1; times [N] the sums of b resamples.
        signs = generator.choice((-1.0, 1.0), size=(min(block, _RESAMPLES - start), len(sizes)))
        # The margin lets sums that differ by rounding alone count as equal.
        extreme += int((np.abs(signs @ sizes) >= seen - 1e-9).sum())
    # The observed signs count as one draw, so that p is never 0 and the test stays valid.
    return (extreme + 1) / (_RESAMPLES + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Returns the p-values of several tests, corrected for their number (Holm 1979), in their order."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    scaled = [min(1.0, (len(values) - rank) * values[place]) for rank, place in enumerate(order)]
    # Step-down: a corrected p is never below that of a smaller p.
    corrected = dict(zip(order, accumulate(scaled, max), strict=True))
    return [corrected[place] for place in range(len(values))]


def fewest_differing(tests: int = 1) -> int:
    """Returns the fewest items that can reach significance if all differ in one direction: 2·2^−n ≤ α.

    Args:
        tests: Number of tests that are corrected together, ≥ 1: α is `LEVEL` / tests, Holm's first step.
    """
    return math.ceil(1 - math.log2(LEVEL / tests))


def detectable_difference(differences: Sequence[float], *, tests: int = 1) -> float:
    """Returns the mean difference that N such items detect with power `POWER`.

    (z_{1−α/2} + z_{power}) · s / √N, and at least `fewest_differing` / N, since s is unreliable if hardly any
    item differs.

    Args:
        differences: [N], N ≥ 1.
        tests: As of `fewest_differing`. Later steps of Holm's method ask for less, but only of a test beside
            others that show a difference, which nobody can count on.
    """
    quantile = NormalDist().inv_cdf
    spread = float(np.std(np.asarray(differences, float), ddof=1)) if len(differences) > 1 else math.inf
    by_spread = (quantile(1 - LEVEL / tests / 2) + quantile(POWER)) * spread / math.sqrt(len(differences))
    return min(1.0, max(by_spread, fewest_differing(tests) / len(differences)))
