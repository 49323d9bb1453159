"""Calibration of a step scorer in search: score of a step against the value of the programs below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from o1coder_gym.metrics import Bin, by_score, reliability
from o1coder_gym.metrics.estimates import Estimate, estimate_share
from o1coder_gym.process_data.search_tree import SearchTree


@dataclass(frozen=True, slots=True)
class ReliabilityBin(Bin):
    """The steps whose score lies in a range; their target is the mean value of the programs found below.

    Attributes:
        interval: 95 % interval of the target; the steps of one problem stay together.
        rough: Whether the interval is, see `metrics.Estimate`.
    """

    interval: tuple[float, float]
    rough: bool = False


@dataclass(frozen=True, slots=True)
class ScoredStep:
    """A scored step and the value of the programs below it.

    Attributes:
        problem: Task id.
        score: In [0, 1].
        value: Mean value of the programs found below it, in [0, 1].
    """

    problem: str
    score: float
    value: float


def scored_steps(trees: Iterable[SearchTree]) -> list[ScoredStep]:
    """Returns every scored step with programs below it.

    Ends only: the values of a search that evaluates leaves by the scorer would confirm the scorer.
    """
    steps: list[ScoredStep] = []
    for tree in trees:
        totals = [0.0] * len(tree.nodes)
        ends = [0] * len(tree.nodes)
        # A parent has a smaller index than its children, so one backward pass sums up all subtrees.
        for index in reversed(range(len(tree.nodes))):
            node = tree.nodes[index]
            if node.end is not None:
                totals[index] += node.end
                ends[index] += 1
            elif node.score is not None and ends[index]:
                steps.append(ScoredStep(tree.problem.task_id, node.score, totals[index] / ends[index]))
            if node.parent is not None:
                totals[node.parent] += totals[index]
                ends[node.parent] += ends[index]
    return steps


def search_reliability(steps: Sequence[ScoredStep]) -> list[ReliabilityBin]:
    """Sorts scored steps into bins as `metrics.reliability` does, with intervals."""
    scores = np.asarray([step.score for step in steps], float)
    values = np.asarray([step.value for step in steps], float)
    _, problems = np.unique([step.problem for step in steps], return_inverse=True)
    bins = zip(reliability(scores, values), by_score(scores), strict=True)
    found = ((one, _target(values[group], problems[group])) for one, group in bins)
    return [
        ReliabilityBin(one.score, one.target, one.count, (of.low, of.high), of.rough) for one, of in found
    ]


def _target(values: NDArray[Any], problems: NDArray[Any]) -> Estimate:
    """Estimates the mean value of steps, each of a problem."""
    counts = np.bincount(problems)
    sums = np.bincount(problems, weights=values)
    # A mean per problem, weighted by its steps: the clusters of `estimate_share`.
    seen = counts > 0
    return estimate_share(sums[seen] / counts[seen], counts[seen])
