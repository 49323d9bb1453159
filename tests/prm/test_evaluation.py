"""Scorers are asked problem by problem, each state once; with a cache in a folder a measurement goes on."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from o1coder_gym.agents.driver.cache import CachedScorer
from o1coder_gym.errors import ScorerError
from o1coder_gym.prm.evaluation import evaluate_scorer
from o1coder_gym.process_data import PrefixRow, ProcessData
from o1coder_gym.process_data.dataset import assembled
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import ActionType, Problem, State, Step


class ByLetter:
    """Scores 1 without an x and 0 with one; fails at a problem."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.asked: list[list[State]] = []

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        if items[0][0].task_id == self.fails_at:
            raise ScorerError("out of memory")
        self.asked.append([state for _, state in items])
        return [float(all(step.text != "x" for step in state.steps)) for _, state in items]


def test_a_long_thought_does_not_make_a_program_likely() -> None:
    right, wrong = (State("p", (Step(ActionType.CODE, text),)) for text in ("return 1", "x"))
    rows = (
        PrefixRow(right, 1.0, 1, 1, 1, True, 0, 0, 12, -2.0, "", ("s",), kept=10),
        PrefixRow(wrong, 0.0, 1, 1, 0, True, 0, 0, 900, -9.0, "", ("s",), kept=10),
    )
    data = assembled("pseudocode", [Problem("p", "one")], rows, (), sources={"s": {}})
    assert evaluate_scorer(ByLetter(), data, n=2, resamples=10).best_of.logprob.value == 1.0


def test_states_are_asked_problem_by_problem_once_each(process_data: ProcessData) -> None:
    scorer = ByLetter()
    report = evaluate_scorer(scorer, process_data, resamples=10)
    assert report.auc.value == report.pair_accuracy.value == 1.0  # each score went to its own state
    named = report.estimates()
    assert (named["AUC"], named["best of 8: scorer"]) == (report.auc, report.best_of.scorer)
    assert {f"AUC, step {depth}" for depth in report.auc_by_depth} < named.keys()
    names = [{state.problem_id for state in states} for states in scorer.asked]
    assert all(len(name) == 1 for name in names)
    assert len(names) == len(set.union(*names)) == report.problems
    asked = [state for states in scorer.asked for state in states]
    assert sorted(map(str, asked)) == sorted(str(row.state) for row in process_data.prefixes)


def test_what_was_written_down_is_not_asked_again(process_data: ProcessData, tmp_path: Path) -> None:
    last = process_data.prefixes[-1].state.problem_id
    with RunFolder.open(tmp_path, {}) as folder, pytest.raises(ScorerError):
        evaluate_scorer(CachedScorer(ByLetter(fails_at=last), folder), process_data)
    scorer = ByLetter()
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        report = evaluate_scorer(CachedScorer(scorer, folder), process_data, resamples=10)
    assert [{state.problem_id for state in states} for states in scorer.asked] == [{last}]
    assert report == evaluate_scorer(ByLetter(), process_data, resamples=10)
    scorer = ByLetter()
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        assert evaluate_scorer(CachedScorer(scorer, folder), process_data, resamples=10) == report
    assert scorer.asked == []
