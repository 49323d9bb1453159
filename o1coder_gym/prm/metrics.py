"""How good scores are: ranking, calibration, and what choosing by them is worth. Pure.

N examples, M candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Numbers


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic over problems with its bootstrap interval.

    Attributes:
        value: NaN where it is not defined.
        low: Lower end of the 95 % interval over problems.
        high: Upper end.
        count: Examples that it is made of.
    """

    value: float
    low: float
    high: float
    count: int


def auc(scores: Numbers, labels: Numbers) -> float:
    """Returns the chance that a good example scores above a bad one, ties counting half (Mann–Whitney).

    Args:
        scores: [N].
        labels: 0 or 1, [N].

    Returns:
        A number in [0, 1]; NaN unless there are good and bad ones.
    """
    found, good = np.asarray(scores, float), np.asarray(labels, float) > 0.5
    positives, negatives = int(good.sum()), int((~good).sum())
    if not positives or not negatives:
        return math.nan
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((ranks[good].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def accuracy(scores: Numbers, labels: Numbers) -> float:
    """Returns the share of examples in which score > ½ agrees with label > ½; NaN without examples."""
    return _mean((np.asarray(scores, float) > 0.5) == (np.asarray(labels, float) > 0.5))


def pair_accuracy(chosen: Numbers, rejected: Numbers) -> float:
    """Returns the share of pairs whose better step scores higher, ties counting half; NaN without pairs."""
    margin = np.asarray(chosen, float) - np.asarray(rejected, float)
    return _mean((margin > 0) + 0.5 * (margin == 0))


def expected_best_of(values: Numbers, scores: Numbers, n: int) -> float:
    """Returns the expected value of the best-scored of n candidates drawn without replacement, exactly.

    With candidates in ascending order of score, the i-th (from 1) is the best of n with probability
    C(i − 1, n − 1) / C(M, n). Candidates of equal score count as their mean: ties are broken blindly.

    Args:
        values: What each candidate is worth, [M], M ≥ 1.
        scores: What it is chosen by, [M].
        n: Candidates drawn; more than there are means all of them.
    """
    total = len(values)
    n = min(n, total)
    if n < 1:
        raise UsageError("best of n needs a candidate and n of at least 1")
    worth, found = np.asarray(values, float), np.asarray(scores, float)
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=worth) / counts
    ascending = np.repeat(means, counts)
    chances = [math.comb(i, n - 1) / math.comb(total, n) for i in range(total)]
    return float(np.dot(ascending, chances))


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


def _mean(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan
