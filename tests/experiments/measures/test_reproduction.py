"""Named results: measured, with the outcome of each problem."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.experiments.measures import reproduction
from o1coder_gym.experiments.measures.figures import Measured, compare_figures
from o1coder_gym.experiments.measures.reproduction import reproduce
from o1coder_gym.experiments.suite import ProblemChoice, Suite
from o1coder_gym.experiments.training.tcg import untracked
from o1coder_gym.metrics.estimates import estimate_difference, estimate_share
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.tables.failures import RULES
from o1coder_gym.types import Outcome, Usage


def test_a_suite_is_measured_and_goes_on(tmp_path):
    suite = Suite(
        (ProblemChoice("starter", limit=2),), ("fake:",), agents=("best_of_n:n=2",), tokens=(64, 128)
    )
    measured = [
        reproduction._solved(suite, tmp_path / "run", resume=resume, run=None, track=untracked)
        for resume in (False, True)
    ]
    assert measured[0] == measured[1]
    figures, outcomes = measured[0].figures, measured[0].outcomes
    assert {one.count for one in figures.values()} == {2}
    assert len(figures) == 8  # greedy, random choice, oracle and best of n within two budgets
    assert figures == {name: estimate_share([*found.values()]) for name, found in outcomes.items()}


def test_a_result_measured_twice_is_the_same_and_of_one_configuration(tmp_path, monkeypatch):
    suite = Suite((ProblemChoice("starter", limit=2),), ("fake:",), agents=("best_of_n:n=2",), tokens=(64,))
    first, again, other = (
        reproduce_suite(monkeypatch, tmp_path / name, replace(suite, seed=seed))
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first.configuration == again.configuration != other.configuration
    assert {one.verdict for one in compare_figures(first, again)} == {"same"}
    assert {one.verdict for one in compare_figures(first, other)} == {"not compared"}


def reproduce_suite(monkeypatch: pytest.MonkeyPatch, out: Path, suite: Suite) -> Measured:
    result = reproduction.Result(
        "?", partial(reproduction._solved, suite), partial(reproduction._solved, suite)
    )
    monkeypatch.setattr(reproduction, "RESULTS", {"search": result})
    return reproduce("search", out)


def test_table_1_has_all_figures_of_both_formats(tmp_path):
    suite = reproduction._both_formats(ProblemChoice("starter", limit=1), "fake:")
    found = reproduction._table_1(suite, tmp_path, resume=False, run=None, track=untracked)
    assert list(found.figures) == [
        "vanilla: Pass@1",
        "vanilla: ASPR",
        "vanilla: ASPR per path",
        "pseudocode: Pass@1",
        "pseudocode: ASPR",
        "pseudocode: ASPR per path",
    ]


def test_formats_are_compared_with_direct_answers(tmp_path):
    suite = reproduction._formats(ProblemChoice("starter", limit=1), "fake:", "best_of_n:n=2", tokens=(64,))
    found = reproduction._thinking(suite, tmp_path, resume=False, run=None, track=untracked)
    figures = found.figures
    assert {"vanilla: greedy @ 64", "functions: best_of_n @ 64"} <= figures.keys()
    assert "pseudocode beyond direct: best_of_n @ 64" in figures
    assert not any(name.startswith("vanilla beyond") for name in figures)


def test_every_rule_has_a_figure_of_all_problems(tmp_path):
    suite = reproduction._formats(ProblemChoice("starter", limit=2), "fake:", "best_of_n:n=2", tokens=(64,))
    found = reproduction._thinking(suite, tmp_path, resume=False, run=None, track=untracked)
    lost = {
        name: one for name, one in found.figures.items() if name.startswith("pseudocode: best_of_n lost: ")
    }
    assert [name.removeprefix("pseudocode: best_of_n lost: ") for name in lost] == [*RULES]
    # Rules that no answer breaks are written as 0 of all problems.
    assert {(one.value, one.count) for one in lost.values()} == {(0.0, 2)}
    assert {len(found.outcomes[name]) for name in lost} == {2}


def test_lost_problems_count_by_rule():
    def row(task_id: str, outcome: Outcome | None) -> ResultRow:
        code = None if outcome is None else "x = 1"
        return ResultRow(task_id, "greedy", 0, outcome, 0, 1, 1.0, code, 1, Usage())

    rows = [row("a", None), row("b", Outcome.RUNTIME_ERROR), row("c", Outcome.RUNTIME_ERROR)]
    rows += [row("d", Outcome.INFRASTRUCTURE), row("e", Outcome.PASS)]
    # c fails too, but is not lost; the judge decided nothing on d.
    assert reproduction._failing(rows, ("a", "b"), "raises") == {"a": 0.0, "b": 1.0, "c": 0.0, "e": 0.0}
    assert reproduction._failing(rows, ("a", "b"), "no program") == {"a": 1.0, "b": 0.0, "c": 0.0, "e": 0.0}


def test_differences_hold_for_all_of_a_budget_together(tmp_path):
    suite = reproduction._formats(ProblemChoice("starter", limit=6), "fake:", "best_of_n:n=2", tokens=(64,))
    found = reproduction._thinking(suite, tmp_path, resume=False, run=None, track=untracked)
    # nothing of the fake policy passes; of either other format greedy, a random choice and best of n: 6 tests
    together = estimate_difference([0.0] * 6, confidence=1 - 0.05 / 6)
    alone = estimate_difference([0.0] * 6)
    assert together.high > alone.high
    for format in ("pseudocode", "functions"):
        for agent in ("greedy", "best_of_n_random", "best_of_n"):
            assert found.figures[f"{format} beyond direct: {agent} @ 64"] == together
        assert found.figures[f"{format} beyond direct: oracle @ 64"] == alone  # of no family


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="table1"):
        reproduce("table2", tmp_path)
