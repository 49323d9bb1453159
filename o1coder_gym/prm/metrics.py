"""Quality of scores: ranking, calibration, and the value of choosing by them. Pure.

N examples, M candidates.
"""

from __future__ import annotations

import math

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Numbers


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
    # Mid-ranks: of equal scores each gets their mean rank, so that ties count half.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    # U of Mann–Whitney ÷ the number of (good, bad) pairs.
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
        values: The value of each candidate, [M], M ≥ 1.
        scores: The scores that decide the choice, [M].
        n: Candidates drawn; more than there are means all of them.
    """
    total = len(values)
    n = min(n, total)
    if n < 1:
        raise UsageError("best of n needs at least one candidate, and n ≥ 1")
    worth, found = np.asarray(values, float), np.asarray(scores, float)
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=worth) / counts
    ascending = np.repeat(means, counts)
    chances = [math.comb(i, n - 1) / math.comb(total, n) for i in range(total)]
    return float(np.dot(ascending, chances))


def _mean(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan
