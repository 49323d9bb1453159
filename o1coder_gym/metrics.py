"""Metrics: pass@k, ASPR, solved-against-cost curves, and the intervals around them. Pure.

N items (problems), B resamples, P points of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.errors import UsageError


def pass_at_k(n: int, c: int, k: int) -> float:
    """Estimates Pass@k, the chance that one of k samples passes, without bias, from n samples.

    1 − C(n − c, k) / C(n, k) as a product, which neither overflows nor cancels (Codex,
    arXiv 2107.03374, equation 1).

    Args:
        n: Samples drawn, ≥ k.
        c: Samples that passed, in [0, n].
        k: Samples allowed, ≥ 1.

    Raises:
        UsageError: When the numbers do not fit together.
    """
    if not (1 <= k <= n and 0 <= c <= n):
        raise UsageError(f"pass@k needs 1 ≤ k ≤ n and 0 ≤ c ≤ n, got n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic over items with its interval.

    Attributes:
        value: NaN where it is not defined.
        low: Lower end.
        high: Upper end.
        count: Items, or examples, that it is made of.
    """

    value: float
    low: float
    high: float
    count: int

    @property
    def mean(self) -> float:
        """The value, by the name it has where the statistic is a mean."""
        return self.value

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0; if not, no difference is shown."""
        return self.low > 0 or self.high < 0


def estimate_pass_at_k(
    counts: Sequence[tuple[int, int]],
    k: int,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Estimates pass@k over problems.

    The interval resamples problems, for the samples of one problem are not independent.

    Args:
        counts: (n, c) by problem, at least one; n ≥ k everywhere.
        k: Samples allowed.
        confidence: Coverage in (0, 1).
        resamples: B.
        seed: Fixes the resamples.

    Raises:
        UsageError: When there is no problem, or one has fewer than k samples.
    """
    if not counts:
        raise UsageError("pass@k needs at least one problem")
    values = [pass_at_k(n, c, k) for n, c in counts]
    return estimate_mean(values, confidence=confidence, resamples=resamples, seed=seed)


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's score interval of a rate (Wilson 1927); (0, 1) for no trials.

    Args:
        successes: In [0, total].
        total: Trials.
        confidence: Coverage in (0, 1).
    """
    if not 0 <= successes <= total:
        raise UsageError(f"got {successes} successes of {total} trials")
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, shrink = successes / total, z * z / total
    centre = (rate + shrink / 2) / (1 + shrink)
    half = z / (1 + shrink) * math.sqrt(rate * (1 - rate) / total + shrink / (4 * total))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return low, high


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean (Efron 1979).

    Args:
        values: One number per item, [N], N ≥ 1.
        confidence: Coverage in (0, 1).
        resamples: B.
        seed: Fixes the resamples.
    """
    if not len(values):
        raise UsageError("a bootstrap interval needs at least one value")
    means = _resampled_means(np.asarray(values, dtype=float), resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def estimate_mean(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """Estimates a mean, with the interval of `bootstrap_interval`; NaN without values.

    Args:
        values: One number per item, [N].
        confidence: Coverage in (0, 1).
        resamples: B.
        seed: Fixes the resamples.
    """
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, 0)
    low, high = bootstrap_interval(values, confidence=confidence, resamples=resamples, seed=seed)
    return Estimate(sum(values) / len(values), low, high, len(values))


Statistic = Callable[[Sequence[int]], float]
"""A number made of the examples with these indices; NaN where it is not defined."""


def estimate(
    groups: Mapping[str, Sequence[int]], statistic: Statistic, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Computes a statistic and its percentile bootstrap interval over problems.

    Problems are drawn, not examples: the steps of one problem depend on each other.

    Args:
        groups: Indices of the examples of each problem.
        statistic: Made of indices; examples of a problem drawn twice occur twice.
        resamples: Number of resamples; those in which the statistic is not defined are left out.
        seed: Fixes them.
    """
    members = [list(found) for found in groups.values() if len(found)]
    everything = [index for found in members for index in found]
    value = statistic(everything) if everything else math.nan
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, len(everything))
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = generator.integers(len(members), size=len(members))
        drawn.append(statistic([index for place in chosen for index in members[place]]))
    known = [number for number in drawn if not math.isnan(number)]
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(everything))


def paired_difference(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Estimate:
    """Compares two results item by item, with a paired bootstrap interval.

    Args:
        a: Value by item, e.g. 1.0 for a solved problem.
        b: Value by item; must have the same items.
        confidence: Coverage in (0, 1).
        resamples: B.
        seed: Fixes the resamples.

    Raises:
        UsageError: When the items differ or there is none.
    """
    if a.keys() != b.keys() or not a:
        only = sorted(a.keys() ^ b.keys())[:3]
        raise UsageError(f"paired results need the same items, at least one; only on one side: {only}")
    differences = [a[item] - b[item] for item in sorted(a)]
    return estimate_mean(differences, confidence=confidence, resamples=resamples, seed=seed)


@dataclass(frozen=True, slots=True)
class SamplingPassRate:
    """ASPR with what it is conditioned on; print all of it.

    Attributes:
        rate: ASPR in [0, 1]; NaN without a passing path.
        samples: K, final steps sampled per path.
        paths: |P|, passing paths.
        solved: Problems that have at least one passing path.
    """

    rate: float
    samples: int
    paths: int
    solved: int


def average_sampling_pass_rate(outcomes: Mapping[str, Sequence[Sequence[bool]]]) -> SamplingPassRate:
    """Computes ASPR = (1/|P|) Σ_p (1/K) Σ_k 1[code passes all tests] (paper, section 3).

    Args:
        outcomes: By problem, one list per passing path p ∈ P: for each of K final steps sampled after
            its frozen prefix S^{1:m−1}, whether the code passes. K is the same everywhere, ≥ 1.

    Raises:
        UsageError: When the paths have different numbers of samples, or none.
    """
    paths = [path for found in outcomes.values() for path in found]
    counts = {len(path) for path in paths}
    if len(counts) > 1 or 0 in counts:
        raise UsageError(f"ASPR needs the same number of samples, at least 1, for each path; got {counts}")
    solved = sum(bool(found) for found in outcomes.values())
    samples = counts.pop() if counts else 0
    rate = sum(sum(path) / samples for path in paths) / len(paths) if paths else math.nan
    return SamplingPassRate(rate, samples, len(paths), solved)


def area_under_curve(points: Iterable[tuple[float, float]]) -> float:
    """Returns the mean height of a curve over the logarithm of its budgets, by trapezoids.

    Budgets are compared by doublings, so each doubling weighs the same; a curve that is 1 everywhere has
    area 1. Heights at equal budgets count by their mean; one budget has the area of its height.

    Args:
        points: Pairs of budget > 0 and height (e.g. share solved, in [0, 1]); P ≥ 1, in any order.

    Raises:
        UsageError: When there is no point, or a budget is not positive and finite.
    """
    found = np.array(list(points), dtype=float).reshape(-1, 2)
    budgets, places = np.unique(found[:, 0], return_inverse=True)
    if not len(budgets) or not (budgets > 0).all() or not np.isfinite(budgets).all():
        raise UsageError(f"a curve needs finite budgets above 0, at least one; got {budgets.tolist()}")
    heights = np.bincount(places, found[:, 1]) / np.bincount(places)
    if len(budgets) == 1:
        return float(heights[0])
    places = np.log(budgets)
    return float(np.trapezoid(heights, places) / (places[-1] - places[0]))


def generation_flops(parameters: int, tokens: int) -> float:
    """Estimates the FLOPs of running a model over tokens: 2 per weight and token.

    That is the forward pass without the attention over the context (Kaplan et al. 2020, arXiv 2001.08361,
    section 2.1), which is below 10 % for contexts of a few thousand tokens.

    Args:
        parameters: Weights of the model, embeddings included.
        tokens: Tokens computed: generated ones, and prompt tokens where they are known.
    """
    return 2.0 * parameters * tokens


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Returns the means of B resamples of [N] values, [B]; a block at a time, to bound memory."""
    generator = np.random.default_rng(seed)
    block = max(1, 4_000_000 // len(values))
    means = [
        values[generator.integers(len(values), size=(min(block, resamples - start), len(values)))].mean(
            axis=1
        )
        for start in range(0, resamples, block)
    ]
    return np.concatenate(means)


Numbers: TypeAlias = Sequence[float] | NDArray[Any]


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
    places = np.minimum((scores * bins).astype(int), bins - 1)
    return [np.flatnonzero(places == place) for place in np.unique(places)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Computes ECE = Σ_b (n_b / N) |mean score − mean target| (Guo et al. 2017, equation 3).

    NaN without bins.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.score - one.target) for one in bins) / total if total else math.nan
