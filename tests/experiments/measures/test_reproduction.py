"""Named results: stored, measured anew, compared."""

import json
import math
from dataclasses import replace

import pytest

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.experiments.measures import reproduction
from o1coder_gym.experiments.measures.reproduction import (
    FIGURES_FILE,
    RESULTS,
    ComparedFigure,
    compare_figures,
    reproduce,
    store_figures,
    stored_figures,
)
from o1coder_gym.experiments.suite import ProblemChoice, Suite
from o1coder_gym.experiments.training.tcg import untracked
from o1coder_gym.metrics.estimates import UNDEFINED, estimate_difference, estimate_share

HALF = estimate_share([0.0, 1.0] * 30)
MORE = replace(HALF, value=0.9, low=0.8, high=0.95)


def test_figures_are_kept_and_read_back(tmp_path):
    path = tmp_path / "figures.json"
    assert stored_figures("search", "quick", path).figures == {}
    store_figures("search", "quick", {"mcts": HALF, "nothing": UNDEFINED}, path)
    store_figures("tcg", "full", {"kill_rate": MORE}, path)
    found = stored_figures("search", "quick", path)
    assert found.figures["mcts"] == HALF
    assert math.isnan(found.figures["nothing"].value)
    assert len(found.made.split("-")) == 3
    assert stored_figures("tcg", "full", path).figures == {"kill_rate": MORE}
    assert stored_figures("tcg", "quick", path).figures == {}
    store_figures("search", "quick", {"puct": HALF}, path)
    assert list(stored_figures("search", "quick", path).figures) == ["puct"]


@pytest.mark.parametrize(
    ("stored", "measured", "agrees"),
    [
        (HALF, HALF, True),
        (HALF, replace(HALF, low=HALF.high, high=1.0), True),  # they touch
        (HALF, MORE, False),
        (MORE, HALF, False),
        (UNDEFINED, HALF, None),
        (HALF, UNDEFINED, None),
        (replace(HALF, low=math.nan, high=math.nan), HALF, None),
    ],
)
def test_figures_agree_where_their_intervals_overlap(stored, measured, agrees):
    held = ComparedFigure("x", stored, measured)
    assert held.agrees is agrees
    assert json.loads(json.dumps(held.to_row(), allow_nan=False))["agrees"] is agrees


def test_what_one_side_lacks_is_shown():
    held = compare_figures({"a": HALF, "b": HALF}, {"c": MORE, "b": MORE})
    assert [one.name for one in held] == ["a", "b", "c"]
    assert [one.agrees for one in held] == [None, False, None]


def test_every_quick_result_has_figures_of_this_package():
    for name in RESULTS.keys() - {"codet"}:  # its samples are the user's download
        figures = stored_figures(name, "quick").figures
        assert figures
        assert any(one.count for one in figures.values())
    assert FIGURES_FILE.name == "figures.json"


def test_a_suite_is_measured_and_goes_on(tmp_path):
    suite = Suite(
        (ProblemChoice("starter", limit=2),), ("fake:",), agents=("best_of_n:n=2",), tokens=(64, 128)
    )
    measured = [
        reproduction._solved(suite, tmp_path / "run", resume=resume, run=None, track=untracked)
        for resume in (False, True)
    ]
    assert measured[0] == measured[1]
    assert {one.count for one in measured[0].values()} == {2}
    assert len(measured[0]) == 8  # greedy, random choice, oracle and best of n within two budgets


def test_table_1_has_all_figures_of_both_formats(tmp_path):
    suite = reproduction._both_formats(ProblemChoice("starter", limit=1), "fake:")
    found = reproduction._table_1(suite, tmp_path, resume=False, run=None, track=untracked)
    assert list(found) == [
        "vanilla: Pass@1",
        "vanilla: ASPR",
        "vanilla: ASPR per path",
        "pseudocode: Pass@1",
        "pseudocode: ASPR",
        "pseudocode: ASPR per path",
    ]


def test_where_nothing_is_stored_there_are_no_figures(tmp_path):
    assert stored_figures("codet", "quick", tmp_path / "figures.json").figures == {}


def test_formats_are_compared_with_direct_answers(tmp_path):
    suite = reproduction._formats(ProblemChoice("starter", limit=1), "fake:", "best_of_n:n=2", tokens=(64,))
    found = reproduction._thinking(suite, tmp_path, resume=False, run=None, track=untracked)
    assert {"vanilla: greedy @ 64", "functions: best_of_n @ 64"} <= found.keys()
    assert "pseudocode beyond direct: best_of_n @ 64" in found
    assert not any(name.startswith("vanilla beyond") for name in found)


def test_differences_hold_for_all_of_a_budget_together(tmp_path):
    suite = reproduction._formats(ProblemChoice("starter", limit=6), "fake:", "best_of_n:n=2", tokens=(64,))
    found = reproduction._thinking(suite, tmp_path, resume=False, run=None, track=untracked)
    # nothing of the fake policy passes; of either other format greedy, a blind choice and best of n: 6 tests
    together = estimate_difference([0.0] * 6, confidence=1 - 0.05 / 6)
    alone = estimate_difference([0.0] * 6)
    assert together.high > alone.high
    for format in ("pseudocode", "functions"):
        for agent in ("greedy", "best_of_n_random", "best_of_n"):
            assert found[f"{format} beyond direct: {agent} @ 64"] == together
        assert found[f"{format} beyond direct: oracle @ 64"] == alone  # of no family


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="table1"):
        reproduce("table2", tmp_path)
