"""Rates of solved problems: pass@k, ASPR, and the curve of a share over its cost. Pure; P points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics.estimates import Estimate, estimate_share


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
    # Where fewer than k samples failed, i = k is among the factors, and the product is 0.
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def estimate_pass_at_k(counts: Sequence[tuple[int, int]], k: int, *, confidence: float = 0.95) -> Estimate:
    """Estimates pass@k over problems, with the interval of `estimate_share`.

    Args:
        counts: (n, c) by problem, at least one; n ≥ k everywhere.
        k: Samples allowed.
        confidence: Coverage in (0, 1).

    Raises:
        UsageError: When there is no problem, or one has fewer than k samples.
    """
    if not counts:
        raise UsageError("pass@k needs at least one problem")
    return estimate_share([pass_at_k(n, c, k) for n, c in counts], confidence=confidence)


@dataclass(frozen=True, slots=True)
class SamplingPassRate:
    """ASPR with the counts that it is conditioned on; report all of them.

    Attributes:
        per_path: ASPR as the paper has it: each passing path counts alike; NaN without one.
        per_problem: The mean over problems of their paths' mean: each solved problem counts alike.
        samples: K, final steps sampled per path.
        paths: |P|, passing paths.
        solved: Problems that have at least one passing path.
        shares: Of these problems, by name: the mean of its paths, which `per_problem` is the mean of.
    """

    per_path: Estimate
    per_problem: Estimate
    samples: int
    paths: int
    solved: int
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """ASPR in [0, 1], per path."""
        return self.per_path.value


def average_sampling_pass_rate(outcomes: Mapping[str, Sequence[Sequence[bool]]]) -> SamplingPassRate:
    """Computes ASPR = (1/|P|) Σ_p (1/K) Σ_k 1[code passes all tests] (paper, section 3).

    Args:
        outcomes: By problem, one list per passing path p ∈ P: for each of K final steps sampled after
            its frozen prefix S^{1:m−1}, whether the code passes. K is the same everywhere, ≥ 1.

    Raises:
        UsageError: When the paths have different numbers of samples, or none.
    """
    counts = {len(path) for found in outcomes.values() for path in found}
    if len(counts) > 1 or 0 in counts:
        raise UsageError(f"ASPR needs the same number of samples, at least 1, for each path; got {counts}")
    samples = counts.pop() if counts else 0
    solved = {problem: found for problem, found in outcomes.items() if found}
    paths = [len(found) for found in solved.values()]
    # [solved]: the mean over a problem's paths; weighed by its number of paths that is the paper's mean over
    # P.
    shares = {name: sum(map(sum, found)) / (samples * len(found)) for name, found in solved.items()}
    found = [*shares.values()]
    return SamplingPassRate(
        estimate_share(found, paths), estimate_share(found), samples, sum(paths), len(solved), shares
    )


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
    # Weighted counts over plain counts: the mean height at each distinct budget.
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
