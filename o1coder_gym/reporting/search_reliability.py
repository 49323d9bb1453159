"""Reliability of a step scorer in search: what became of the steps that it gave a score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from o1coder_gym.metrics import Bin, bootstrap_interval, by_score, reliability
from o1coder_gym.process_data.search_tree import SearchTree


@dataclass(frozen=True, slots=True)
class ReliabilityBin(Bin):
    """The steps whose score lies in a range; their target is the mean value of the programs found below.

    Attributes:
        interval: 95 % bootstrap interval of the target over the steps.
    """

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


def search_reliability(pairs: Sequence[tuple[float, float]]) -> list[ReliabilityBin]:
    """Sorts scored steps into bins as `metrics.reliability` does, with intervals.

    Args:
        pairs: (score, value) of each step.
    """
    scores, values = np.reshape(pairs, (-1, 2)).T
    return [
        ReliabilityBin(
            one.score, one.target, one.count, bootstrap_interval(values[group].tolist(), resamples=2000)
        )
        for one, group in zip(reliability(scores, values), by_score(scores), strict=True)
    ]
