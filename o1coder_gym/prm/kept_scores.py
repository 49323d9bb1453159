"""Scores written down as they are given, so that a measurement that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import track

from o1coder_gym.journal import RunFolder
from o1coder_gym.protocols import StepScorer
from o1coder_gym.types import Problem, State

_SCORES = "scores"


class KeptScores:
    """A step scorer that passes states on problem by problem, with a bar, and none of them twice."""

    def __init__(self, scorer: StepScorer, kept: RunFolder | None) -> None:
        """Args: who is asked, and where the answers are written down, if anywhere."""
        self._scorer = scorer
        self._kept = kept
        rows = kept.rows(_SCORES) if kept is not None else ()
        self._known: dict[State, float] = {State.from_row(row["state"]): row["score"] for row in rows}

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Returns the last step's score of each state; a kill loses those of one problem at most.

        Raises:
            JournalError: When the disk is full.
        """
        unknown: dict[str, list[tuple[Problem, State]]] = {}
        for problem, state in items:
            if state not in self._known:
                unknown.setdefault(problem.task_id, []).append((problem, state))
        for asked in track(unknown.values(), "scoring", console=Console(stderr=True), transient=True):
            states = [state for _, state in asked]
            scores = dict(zip(states, self._scorer.score(asked), strict=True))
            self._known |= scores
            if self._kept is not None:
                rows = [{"state": state.to_row(), "score": score} for state, score in scores.items()]
                self._kept.append(_SCORES, *rows)
        return [self._known[state] for _, state in items]
