"""Measures a step scorer on process data of problems that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Bin, calibration_error, reliability
from o1coder_gym.metrics.estimates import Estimate, estimate, estimate_difference, estimate_share
from o1coder_gym.prm.metrics import accuracy, auc, expected_best_of, pair_accuracy
from o1coder_gym.process_data import PrefixRow, ProcessData
from o1coder_gym.runs.files import finite
from o1coder_gym.runs.progress import tracked
from o1coder_gym.types import State
from o1coder_gym.types.protocols import StepScorer


@dataclass(frozen=True, slots=True)
class Choice:
    """The value of choosing one of n: mean value of the chosen candidate, by criterion.

    Attributes:
        random: Chosen blindly.
        logprob: By mean log-probability per token of the policy; NaN where it is not known.
        scorer: By the score.
        lift: scorer − random.
        lift_over_logprob: scorer − logprob.
    """

    random: Estimate
    logprob: Estimate
    scorer: Estimate
    lift: Estimate
    lift_over_logprob: Estimate


@dataclass(frozen=True, slots=True)
class ScorerReport:
    """Measurements of a step scorer; each number with its interval over problems.

    Attributes:
        problems: Problems.
        auc: Of hard labels, over all prefixes.
        accuracy: Of score > ½ against hard labels.
        pair_accuracy: Over sibling pairs.
        calibration_error: Against the labels asked for.
        bins: The reliability figure.
        auc_by_depth: AUC by number of the step.
        best_of: Choice among n finished programs; a program is worth 1 if it passes.
        best_of_by_depth: Choice among n prefixes of one length; a prefix is worth its v.
        n: Candidates of a choice.
    """

    problems: int
    auc: Estimate
    accuracy: Estimate
    pair_accuracy: Estimate
    calibration_error: Estimate
    bins: tuple[Bin, ...]
    auc_by_depth: Mapping[int, Estimate]
    best_of: Choice
    best_of_by_depth: Mapping[int, Choice]
    n: int

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict, NaN as None."""
        return finite(asdict(self))

    def estimates(self) -> dict[str, Estimate]:
        """Returns the estimates by the names that a table gives them."""
        named = {
            "AUC": self.auc,
            "accuracy": self.accuracy,
            "pair accuracy": self.pair_accuracy,
            "calibration error": self.calibration_error,
            **{f"AUC, step {depth}": one for depth, one in self.auc_by_depth.items()},
        }
        choices = {f"best of {self.n}": self.best_of}
        choices |= {f"best of {self.n}, step {depth}": one for depth, one in self.best_of_by_depth.items()}
        for name, choice in choices.items():
            named[f"{name}: random"] = choice.random
            named[f"{name}: log-probability"] = choice.logprob
            named[f"{name}: scorer"] = choice.scorer
            named[f"{name}: lift over random"] = choice.lift
        return named


def evaluate_scorer(
    scorer: StepScorer, data: ProcessData, *, n: int = 8, soft: bool = False, resamples: int = 1000
) -> ScorerReport:
    """Scores every prefix once, problem by problem with a bar, and measures the scores.

    Args:
        scorer: The scorer; with a persistent cache a killed run loses the scores of one problem.
        data: Problems that it was not trained on.
        n: Candidates of a choice.
        soft: Whether calibration is measured against v, or against hard labels.
        resamples: Of the bootstrap over problems.

    Raises:
        UsageError: When there are no prefixes.
    """
    rows = data.prefixes
    if not rows:
        raise UsageError("no prefixes to evaluate on; try another --split, or synthesize more problems")
    found = _Scored(rows, _scores(scorer, data), resamples)
    targets = np.asarray([row.soft if soft else row.hard for row in rows], float)
    hard = np.asarray([row.hard for row in rows], float)
    every = range(len(rows))
    # By depth too: late prefixes are easier to tell apart, and over all depths that looks like skill.
    by_depth = {depth: [i for i in every if rows[i].state.depth == depth] for depth in _depths(rows)}
    # Choosing among programs is worth whether the chosen one passes, choosing among prefixes its v.
    programs = [i for i in every if rows[i].state.code is not None]
    values = np.asarray([row.value for row in rows], float)
    passes = np.asarray([row.passing > 0 for row in rows], float)
    return ScorerReport(
        problems=len({row.state.problem_id for row in rows}),
        auc=found.estimate(every, lambda some: auc(found.scores[some], hard[some])),
        accuracy=found.estimate(every, lambda some: accuracy(found.scores[some], hard[some])),
        pair_accuracy=_pairs(found, data, resamples),
        # ECE of a sample is above that of its scorer, by how much no resample tells: never a 95 % interval
        calibration_error=replace(
            found.estimate(
                every, lambda some: calibration_error(reliability(found.scores[some], targets[some]))
            ),
            rough=True,
        ),
        bins=tuple(reliability(found.scores, targets)),
        auc_by_depth={
            depth: found.estimate(part, lambda some: auc(found.scores[some], hard[some]))
            for depth, part in by_depth.items()
        },
        best_of=found.choice(programs, passes, n),
        best_of_by_depth={depth: found.choice(part, values, n) for depth, part in by_depth.items()},
        n=n,
    )


def _scores(scorer: StepScorer, data: ProcessData) -> np.ndarray:
    problems = {problem.task_id: problem for problem in data.problems}
    places: dict[str, list[int]] = {}
    for place, row in enumerate(data.prefixes):
        places.setdefault(row.state.problem_id, []).append(place)
    scores = np.zeros(len(data.prefixes))
    for name, some in tracked(places.items(), len(places), "scoring"):
        scores[some] = scorer.score([(problems[name], data.prefixes[place].state) for place in some])
    return scores


class _Scored:
    """Prefixes with their scores."""

    def __init__(self, rows: Sequence[PrefixRow], scores: np.ndarray, resamples: int) -> None:
        self.rows = rows
        self.scores = scores
        self.resamples = resamples

    def estimate(self, part: Sequence[int], statistic: Any) -> Estimate:
        """Computes a statistic of some prefixes with its interval over problems."""
        return estimate(self._groups(part), lambda some: statistic(list(some)), resamples=self.resamples)

    def choice(self, part: Sequence[int], values: np.ndarray, n: int) -> Choice:
        """Measures the choice among the prefixes of each problem."""
        groups = list(self._groups(part).values())
        # [groups]: one number a problem, so that problems and not candidates are resampled.
        by_random = [float(values[group].mean()) for group in groups]
        by_score = [expected_best_of(values[group], self.scores[group], n) for group in groups]
        by_logprob = [self._by_logprob(group, values, n) for group in groups]
        known = not any(map(math.isnan, by_logprob))

        over_random, over_logprob = (
            [one - other for one, other in zip(by_score, others, strict=True)]
            for others in (by_random, by_logprob)
        )
        return Choice(
            random=estimate_share(by_random),
            logprob=estimate_share(by_logprob if known else []),
            scorer=estimate_share(by_score),
            lift=estimate_difference(over_random),
            lift_over_logprob=estimate_difference(over_logprob if known else []),
        )

    def _by_logprob(self, group: Sequence[int], values: np.ndarray, n: int) -> float:
        means = []
        for index in group:
            # Mean per token: the sum would prefer whatever is short.
            mean = self.rows[index].mean_logprob
            if mean is None:
                # One unknown candidate leaves the order of the group unknown.
                return math.nan
            means.append(mean)
        return expected_best_of(values[group], means, n)

    def _groups(self, part: Sequence[int]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for index in part:
            groups.setdefault(self.rows[index].state.problem_id, []).append(index)
        return groups


def _pairs(found: _Scored, data: ProcessData, resamples: int) -> Estimate:
    scores: dict[State, float] = {
        row.state: float(score) for row, score in zip(found.rows, found.scores, strict=True)
    }
    chosen = np.asarray([scores[pair.state.then(pair.chosen)] for pair in data.pairs])
    rejected = np.asarray([scores[pair.state.then(pair.rejected)] for pair in data.pairs])
    groups: dict[str, list[int]] = {}
    for index, pair in enumerate(data.pairs):
        groups.setdefault(pair.state.problem_id, []).append(index)
    return estimate(
        groups, lambda some: pair_accuracy(chosen[list(some)], rejected[list(some)]), resamples=resamples
    )


def _depths(rows: Sequence[PrefixRow]) -> list[int]:
    return sorted({row.state.depth for row in rows})
