"""Estimates with 95 % intervals over problems: the seeds, samples and steps of a problem stay together.

The runs of one problem with several seeds are not independent, so an interval over all runs is too narrow: of
20 problems with 10 seeds each it covers the truth in about 58 of 100 experiments. Here each problem enters
with its mean, and the spread is that of problems.

Intervals cover 93 to 97 % from `FEW` problems on, unless what is estimated hangs on a handful of them; the
others are marked as rough (`Estimate.rough`). P problems, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.errors import UsageError

FEW = 50
"""Problems below which an interval is rough."""
ROUGH = "~"
"""Stands behind an interval that is rough."""
ROUGH_LEGEND = f"{ROUGH}: rough, for there are fewer than {FEW} problems, or a handful of them decides"
_DECIDING = 9
"""Problems that a spread has to come from at the least; below it the interval is rough.

With both, Wilson's interval of one outcome a problem covers 93 to 97 % whatever the share, by exact sums of
the binomial distribution; with 30 and 8 it covered 92.7 to 97.7 %.
"""

Numbers: TypeAlias = Sequence[float] | NDArray[Any]
Statistic: TypeAlias = Callable[[Sequence[int]], float]
"""A number made of the examples with these indices; NaN where it is not defined."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic over problems with its interval.

    Attributes:
        value: NaN where it is not defined.
        low: Lower end; NaN where one problem alone cannot tell.
        high: Upper end, likewise.
        count: Problems, or examples, that it is made of.
        rough: Whether the interval may cover less or more than 95 %, as there are few problems.
    """

    value: float
    low: float
    high: float
    count: int
    rough: bool = False

    @property
    def mean(self) -> float:
        """The value, under the name that fits a mean."""
        return self.value

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0; if not, no difference is shown."""
        return self.low > 0 or self.high < 0

    @property
    def ends(self) -> str:
        """Formats the interval, e.g. "0.120 – 0.770~"; "–" where there is none."""
        return "–" if math.isnan(self.low) else f"{self.low:.3f} – {self.high:.3f}" + ROUGH * self.rough

    def percent(self, digits: int = 1, to: str = " to ") -> str:
        """Formats a share in [0, 1] as percent, e.g. "40.0 (12 to 77)~"."""
        if math.isnan(self.value):
            return "–"
        ends = "" if math.isnan(self.low) else f" ({100 * self.low:.0f}{to}{100 * self.high:.0f})"
        return f"{100 * self.value:.{digits}f}{ends}{ROUGH if self.rough else ''}"


UNDEFINED = Estimate(math.nan, math.nan, math.nan, 0, rough=True)


def estimate_share(values: Numbers, weights: Numbers | None = None, *, confidence: float = 0.95) -> Estimate:
    """Estimates a share in [0, 1]: the mean over problems, or the ratio of two sums over problems.

    Wilson's interval for as many independent trials as would spread like the problems do (Korn and Graubard
    1998 with Wilson's limits). Where each problem has one outcome that is Wilson's interval itself.

    Args:
        values: The share of each problem, in [0, 1], [P].
        weights: The weight of each problem, e.g. its number of paths, > 0, [P]; None weighs all alike.
        confidence: Coverage in (0, 1).
    """
    shares = np.asarray(values, float)
    if not len(shares):
        return UNDEFINED
    weight = np.ones(len(shares)) if weights is None else np.asarray(weights, float)
    share = float(np.average(shares, weights=weight))
    gaps = weight * _gaps(shares, share)
    # One outcome a problem is a true Bernoulli trial: then Wilson's interval is used as it stands.
    binary = weights is None and bool(np.isin(shares, (0.0, 1.0)).all())
    trials = len(shares) if binary else _trials(share, gaps, weight)
    critical = _normal(confidence) if binary else _critical(len(shares), confidence)
    return Estimate(share, *_wilson(share, trials, critical), len(shares), _is_rough(gaps))


def estimate_mean(values: Numbers, *, confidence: float = 0.95) -> Estimate:
    """Estimates a mean of numbers of any range, with Student's interval; NaN without values.

    Args:
        values: One number per problem, [P].
        confidence: Coverage in (0, 1).
    """
    numbers = np.asarray(values, float)
    if not len(numbers):
        return UNDEFINED
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Estimate(mean, math.nan, math.nan, 1, rough=True)
    # t · s / √P.
    half = _critical(len(numbers), confidence) * float(numbers.std(ddof=1)) / math.sqrt(len(numbers))
    return Estimate(mean, mean - half, mean + half, len(numbers), _is_rough(_gaps(numbers, mean)))


def estimate_difference(values: Numbers, *, confidence: float = 0.95) -> Estimate:
    """Estimates a mean difference of paired shares, each in [−1, 1].

    One problem that speaks for either side is added before the interval is taken (Bonett and Price 2012), so
    that problems without any difference do not make an interval without any width.

    Args:
        values: The difference at each problem, [P].
        confidence: Coverage in (0, 1).
    """
    gaps = np.asarray(values, float)
    if not len(gaps):
        return UNDEFINED
    # Bonett and Price add one pair in either direction. Its size is the smallest difference seen, as means
    # over several seeds differ by less than 1.
    step = float(np.min(np.abs(gaps), where=gaps != 0, initial=1.0))
    binary = step == 1.0
    widened = np.concatenate([gaps, [step, -step]])
    critical = _normal(confidence) if binary else _critical(len(gaps), confidence)
    half = critical * float(widened.std(ddof=0 if binary else 1)) / math.sqrt(len(widened))
    centre, value = float(widened.mean()), float(gaps.mean())
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    # The interval of the shifted mean may miss the plain one, which is what is reported.
    return Estimate(value, min(low, value), max(high, value), len(gaps), _is_rough(gaps))


def paired_difference(
    a: Mapping[str, float], b: Mapping[str, float], *, confidence: float = 0.95
) -> Estimate:
    """Compares two results problem by problem; see `estimate_difference`.

    Args:
        a: Share by problem, e.g. 1.0 for a solved one.
        b: Share by problem; must have the same problems.
        confidence: Coverage in (0, 1).

    Raises:
        UsageError: When the problems differ or there is none.
    """
    if a.keys() != b.keys() or not a:
        only = sorted(a.keys() ^ b.keys())[:3]
        raise UsageError(f"paired results need the same items, at least one; only on one side: {only}")
    return estimate_difference([a[item] - b[item] for item in sorted(a)], confidence=confidence)


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """Estimates the difference a − b of two estimates from their intervals, as if their problems were others.

    Newcombe's hybrid of two score intervals (1998, method 10), which Zou and Donner (2008) have for any
    intervals. Of the same problems it is too wide: `paired_difference` is for those.

    Args:
        a: With any interval; without one the difference has none.
        b: Likewise, of the same confidence.
    """
    gap = a.value - b.value
    low = gap - math.hypot(a.value - a.low, b.high - b.value)
    high = gap + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(gap, low, high, min(a.count, b.count), a.rough or b.rough)


def estimate(
    groups: Mapping[str, Sequence[int]], statistic: Statistic, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Computes any statistic and its bootstrap interval over problems.

    Problems are drawn, not examples: the steps of one problem depend on each other. Percentiles are corrected
    for the bias of the statistic (Efron 1987) and for the number of problems (Hesterberg 2015).

    Args:
        groups: Indices of the examples of each problem.
        statistic: Made of indices; examples of a problem drawn twice occur twice.
        resamples: B; those in which the statistic is not defined are left out.
        seed: Fixes them.
    """
    members = [np.asarray(found, int) for found in groups.values() if len(found)]
    everything = np.concatenate(members) if members else np.zeros(0, int)
    value = statistic(everything.tolist()) if len(members) else math.nan
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan, len(everything), rough=True)
    if len(members) < 2:
        return Estimate(value, math.nan, math.nan, len(everything), rough=True)
    generator = np.random.default_rng(seed)
    # The cluster bootstrap: problems are drawn, and bring all of their examples along.
    # [B, P]: problems with replacement.
    draws = generator.integers(len(members), size=(resamples, len(members)))
    drawn = [statistic(np.concatenate([members[place] for place in row]).tolist()) for row in draws]
    # A resample may lack good or bad examples altogether: AUC is not defined there, and 0 would be a wrong
    # number.
    known = np.asarray([number for number in drawn if not math.isnan(number)])
    low, high = np.quantile(known, _tails(known, value, len(members))) if len(known) else (math.nan, math.nan)
    # what each problem contributes: how far the statistic moves without it (the jackknife)
    others = (np.concatenate(members[:place] + members[place + 1 :]) for place in range(len(members)))
    without = np.asarray([statistic(some.tolist()) for some in others])
    return Estimate(value, float(low), float(high), len(everything), _is_rough(_gaps(without, value)))


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's score interval of a rate of independent trials (Wilson 1927); (0, 1) for no trials.

    Runs of one problem are not independent: `estimate_share` is for those.

    Args:
        successes: In [0, total].
        total: Trials.
        confidence: Coverage in (0, 1).
    """
    if not 0 <= successes <= total:
        raise UsageError(f"got {successes} successes of {total} trials")
    return _wilson(successes / total, total, _normal(confidence)) if total else (0.0, 1.0)


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of the mean (Efron 1979); too narrow below `FEW` problems.

    Args:
        values: One number per problem, [P], P ≥ 1.
        confidence: Coverage in (0, 1).
        resamples: B.
        seed: Fixes the resamples.
    """
    if not len(values):
        raise UsageError("a bootstrap interval needs at least one value")
    numbers = np.asarray(values, float)
    generator = np.random.default_rng(seed)
    block = max(1, 4_000_000 // len(numbers))  # bounds memory
    sizes = [(min(block, resamples - start), len(numbers)) for start in range(0, resamples, block)]
    draws = (numbers[generator.integers(len(numbers), size=size)] for size in sizes)
    # [B], from blocks of [b, P].
    means = np.concatenate([drawn.mean(axis=1) for drawn in draws])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _wilson(share: float, trials: float, critical: float) -> tuple[float, float]:
    """Returns Wilson's limits of a share of `trials` ≥ 1 independent trials, whole or not."""
    # z²/n of Wilson's formula; with it neither end leaves [0, 1], and a share of 0 or 1 still has a width.
    shrink = critical * critical / trials
    centre = (share + shrink / 2) / (1 + shrink)
    half = critical / (1 + shrink) * math.sqrt(share * (1 - share) / trials + shrink / (4 * trials))
    return 0.0 if share <= 0 else centre - half, 1.0 if share >= 1 else centre + half


def _normal(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _critical(problems: int, confidence: float) -> float:
    """Returns Student's critical value for a spread that is estimated from as many problems.

    Exact for one and two degrees of freedom, within 0.2 % for more (Abramowitz and Stegun 26.7.5): a library
    of 110 MB would say no more.
    """
    if problems <= 2:
        return math.tan(math.pi * confidence / 2)
    if problems == 3:
        return confidence * math.sqrt(2 / (1 - confidence**2))
    z, degrees = _normal(confidence), problems - 1
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / degrees**power for power, term in enumerate(terms))


def _trials(share: float, gaps: NDArray[Any], weight: NDArray[Any]) -> float:
    """Returns the number of independent trials with the problems' spread; their weight if there is none."""
    # With variance σ² of the weighted mean, n* = p(1 − p) / σ² independent trials would spread alike: the
    # effective sample size of Korn and Graubard.
    spread = float((gaps**2).sum())
    if spread == 0:
        return float(weight.sum() ** 2 / (weight**2).sum())
    return share * (1 - share) * float(weight.sum() ** 2) / (_inflated(len(gaps)) * spread)


def _gaps(values: NDArray[Any], centre: float) -> NDArray[Any]:
    """Returns the values' deviations from their centre; a deviation within rounding is 0."""
    gaps = values - centre
    return np.where(np.abs(gaps) > 1e-12 * (1 + abs(centre)), gaps, 0.0)


def _inflated(problems: int) -> float:
    """Returns the factor that corrects a variance whose mean was estimated from the same problems."""
    return problems / (problems - 1)


def _is_rough(gaps: NDArray[Any]) -> bool:
    """Whether an interval is rough: by few problems, or a spread to which only a handful contributes."""
    squares = gaps * gaps
    # The effective number of contributions (Σ g²)² / Σ g⁴: 1 if one problem makes the spread, P if all do
    # alike.
    whole = float((squares * squares).sum())
    # NaN, a statistic that one problem alone defines, is rough as well
    return len(gaps) < FEW or not (whole > 0 and float(squares.sum()) ** 2 / whole >= _DECIDING)


def _tails(drawn: NDArray[Any], value: float, problems: int) -> list[float]:
    """Returns the quantiles of the resampled statistics that bound 95 %."""
    # Efron's bias correction z0, ties half; bounded, as the normal quantile of 0 or 1 is infinite.
    below = (float((drawn < value).sum()) + 0.5 * float((drawn == value).sum())) / len(drawn)
    normal, edge = NormalDist(), 0.5 / len(drawn)
    bias = normal.inv_cdf(min(max(below, edge), 1 - edge))
    # Hesterberg's expanded percentile: the bootstrap's spread is short by √((P − 1)/P), and t replaces z.
    wide = _critical(problems, 0.95) * math.sqrt(_inflated(problems))
    return [normal.cdf(2 * bias - wide), normal.cdf(2 * bias + wide)]
