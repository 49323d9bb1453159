"""Scores that are written down: asked once, problem by problem, and never lost."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from o1coder_gym.errors import ScorerError
from o1coder_gym.journal import RunFolder
from o1coder_gym.prm.kept_scores import KeptScores
from o1coder_gym.types import ActionType, Problem, State, Step

PROBLEMS = [Problem(name, "a question") for name in ("p", "q", "r")]
ITEMS = [
    (problem, State(problem.task_id, (Step(ActionType.DEFINE, text),)))
    for text in ("one", "three")
    for problem in PROBLEMS
]


class Lengths:
    """Scores by the length of the last step; fails at a problem."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.asked: list[list[State]] = []

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        if items[0][0].task_id == self.fails_at:
            raise ScorerError("out of memory")
        self.asked.append([state for _, state in items])
        return [len(state.steps[-1].text) / 10 for _, state in items]


def test_states_are_asked_problem_by_problem_in_the_given_order() -> None:
    scorer = Lengths()
    assert KeptScores(scorer, None).score(ITEMS) == [0.3, 0.3, 0.3, 0.5, 0.5, 0.5]
    assert scorer.asked == [[state for one, state in ITEMS if one == problem] for problem in PROBLEMS]


def test_what_was_written_down_is_not_asked_again(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as kept, pytest.raises(ScorerError):
        KeptScores(Lengths(fails_at="r"), kept).score(ITEMS)
    scorer = Lengths()
    with RunFolder.open(tmp_path, {}, resume=True) as kept:
        assert KeptScores(scorer, kept).score(ITEMS) == Lengths().score(ITEMS)
    assert [{state.problem_id for state in states} for states in scorer.asked] == [{"r"}]
    scorer = Lengths()
    with RunFolder.open(tmp_path, {}, resume=True) as kept:
        assert KeptScores(scorer, kept).score(ITEMS[::-1]) == Lengths().score(ITEMS[::-1])
    assert scorer.asked == []
