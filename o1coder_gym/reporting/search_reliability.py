"""Reliability of a step scorer in search: what became of the steps that it gave a score. B bins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from o1coder_gym.metrics import bootstrap_interval
from o1coder_gym.process_data.search_tree import SearchTree

BINS = 10
"""B, of equal width."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The steps whose score lies in a range.

    Attributes:
        low: Lower end of the range, in [0, 1].
        high: Upper end.
        steps: Number of steps.
        score: Their mean score.
        value: Mean value of the programs found below them, in [0, 1].
        interval: 95 % bootstrap interval of `value` over the steps.
    """

    low: float
    high: float
    steps: int
    score: float
    value: float
    interval: tuple[float, float]


def scored_steps(trees: Iterable[SearchTree]) -> list[tuple[float, float]]:
    """Returns (score, mean value of the ends below) of every scored step with programs below it.

    Ends only: the values of a search that evaluates leaves by the scorer would confirm the scorer.
    """
    pairs: list[tuple[float, float]] = []
    for tree in trees:
        totals = [0.0] * len(tree.nodes)
        ends = [0] * len(tree.nodes)
        for index in reversed(range(len(tree.nodes))):
            node = tree.nodes[index]
            if node.end is not None:
                totals[index] += node.end
                ends[index] += 1
            elif node.score is not None and ends[index]:
                pairs.append((node.score, totals[index] / ends[index]))
            if node.parent is not None:
                totals[node.parent] += totals[index]
                ends[node.parent] += ends[index]
    return pairs


def reliability(pairs: Sequence[tuple[float, float]], bins: int = BINS) -> list[ReliabilityBin]:
    """Sorts scored steps into bins of equal width; empty bins are left out.

    Args:
        pairs: (score, value) of each step.
        bins: B, ≥ 1.
    """
    groups: dict[int, list[tuple[float, float]]] = {}
    for score, value in pairs:
        groups.setdefault(min(int(score * bins), bins - 1), []).append((score, value))
    return [_bin(place, bins, groups[place]) for place in sorted(groups)]


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Returns the expected calibration error Σ n_b |score_b − value_b| / n (Guo et al. 2017, equation 3)."""
    total = sum(one.steps for one in bins)
    return sum(one.steps * abs(one.score - one.value) for one in bins) / max(total, 1)


def _bin(place: int, bins: int, pairs: Sequence[tuple[float, float]]) -> ReliabilityBin:
    scores, values = zip(*pairs, strict=True)
    return ReliabilityBin(
        low=place / bins,
        high=(place + 1) / bins,
        steps=len(pairs),
        score=sum(scores) / len(scores),
        value=sum(values) / len(values),
        interval=bootstrap_interval(values, resamples=2000),
    )
