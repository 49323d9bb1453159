"""Problem sets with their hidden tests, for the adapters that evaluate; those that train do not come here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from o1coder_gym.adapters.ground_truth import ground_truth_of
from o1coder_gym.adapters.scoring import GroundTruth, Score
from o1coder_gym.metrics import pass_at_k
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs.kept import kept
from o1coder_gym.types import Problem


@dataclass(frozen=True, slots=True)
class Exam:
    """A problem set to be evaluated on.

    Attributes:
        problems: By task id, in order; what may be shown.
        truths: By task id: the hidden tests.
    """

    problems: Mapping[str, Problem]
    truths: Mapping[str, GroundTruth]


@kept(8, lambda problems, split=None: [str(problems)])
def load_exam(problems: str, split: str | None = None) -> Exam:
    """Returns a problem set by name or path; errors as of `load_rows`."""
    rows = load_rows(problems, split=split)
    return Exam(
        {row.problem.task_id: row.problem for row in rows},
        {row.problem.task_id: ground_truth_of(replace(row.problem, public_tests=row.tests)) for row in rows},
    )


def pass_at(tasks: Iterable[Sequence[Score]], k: int) -> float:
    """Returns pass@k over the tasks with k scores or more that are not masked; NaN where none has."""
    decided = [[score.reward for score in scores if not score.masked] for scores in tasks]
    rates = [pass_at_k(len(rewards), int(sum(rewards)), k) for rewards in decided if len(rewards) >= k]
    return sum(rates) / len(rates) if rates else math.nan
