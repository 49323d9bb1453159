"""Figures: stored, read back, and compared only as far as what is known of both sides allows."""

import json
import math
from collections.abc import Mapping

import pytest

from o1coder_gym.experiments.measures.figures import (
    FIGURES_FILE,
    Measured,
    compare_figures,
    configuration_of,
    store_figures,
    stored_figures,
)
from o1coder_gym.experiments.measures.reproduction import RESULTS
from o1coder_gym.metrics.estimates import UNDEFINED, Estimate, estimate_share
from o1coder_gym.runs.journal import RunFolder


def outcomes(solved: int, total: int) -> dict[str, float]:
    """Of problems of which the first ones are solved."""
    return {f"task/{number:03}": float(number < solved) for number in range(total)}


def measured(configuration: str = "", **shares: Mapping[str, float]) -> Measured:
    figures = {name: estimate_share([*found.values()]) for name, found in shares.items()}
    return Measured(figures, shares, configuration)


def without_outcomes(solved: int, total: int) -> Measured:
    return Measured({"x": estimate_share([1.0] * solved + [0.0] * (total - solved))})


def verdict(stored: Measured, now: Measured) -> str:
    (one,) = compare_figures(stored, now)
    return one.verdict


def test_figures_are_kept_and_read_back(tmp_path):
    path = tmp_path / "figures.json"
    assert stored_figures("search", "quick", path).figures == {}
    half = measured("digest", mcts=outcomes(30, 60))
    some = {**half.outcomes, "of some": {"task/007": 1 / 3, "task/[008]": 0.0}}
    kept = Measured({**half.figures, "nothing": UNDEFINED}, some, "digest")
    store_figures("search", "quick", kept, path)
    store_figures("tcg", "full", measured(kill_rate=outcomes(1, 3)), path)
    found = stored_figures("search", "quick", path)
    assert found.figures["mcts"] == half.figures["mcts"]
    assert math.isnan(found.figures["nothing"].value)
    assert (found.outcomes, found.configuration, found.unknown) == (some, "digest", ())
    assert len(found.made.split("-")) == 3
    assert stored_figures("tcg", "full", path).outcomes == {"kill_rate": outcomes(1, 3)}
    assert stored_figures("tcg", "quick", path).figures == {}
    store_figures("search", "quick", measured(puct=outcomes(1, 3)), path)
    assert list(stored_figures("search", "quick", path).figures) == ["puct"]


def test_figures_of_earlier_versions_say_what_is_not_known(tmp_path):
    path = tmp_path / "figures.json"
    figure = {"value": 0.5, "low": 0.2, "high": 0.8, "count": 8, "rough": True}
    row = {"made": "2026-11-28", "version": "0.2.0", "figures": {"x": figure}}
    path.write_text(json.dumps({"search": {"quick": row}}))
    found = stored_figures("search", "quick", path)
    assert found.figures == {"x": Estimate(**figure)}
    assert (found.outcomes, found.configuration) == ({}, "")
    assert found.unknown == ("configuration", "outcomes by problem")


def test_every_quick_result_has_figures_of_this_package():
    for name in RESULTS.keys() - {"codet"}:  # its samples are the user's download
        figures = stored_figures(name, "quick").figures
        assert figures
        assert any(one.count for one in figures.values())
    assert FIGURES_FILE.name == "figures.json"


@pytest.mark.parametrize(("before", "now", "total"), [(97, 80, 128), (130, 108, 257), (15, 24, 32)])
def test_what_only_one_side_solves_differs_in_pairs_though_intervals_overlap(before, now, total):
    stored, found = measured(x=outcomes(before, total)), measured(x=outcomes(now, total))
    first, second = stored.figures["x"], found.figures["x"]
    assert first.low <= second.high
    assert second.low <= first.high
    assert verdict(stored, found) == "differs"
    # Without the outcomes less is shown, but nothing is called the same.
    assert verdict(without_outcomes(before, total), found) in ("differs", "no difference shown")


def test_the_same_share_of_other_problems_is_not_the_same():
    # 10 of 20 both times, and none of them twice: ten gained and ten lost.
    turned = {task: 1 - share for task, share in outcomes(10, 20).items()}
    (one,) = compare_figures(measured(x=outcomes(10, 20)), measured(x=turned))
    assert one.stored == one.measured
    assert (one.verdict, one.why) == ("no difference shown", "20 of 20 problems differ, exact p = 1")


def test_few_problems_that_differ_show_no_difference_and_are_not_the_same():
    (one,) = compare_figures(measured(x=outcomes(10, 20)), measured(x=outcomes(12, 20)))
    assert (one.verdict, one.why) == ("no difference shown", "2 of 20 problems differ, too few to tell")
    assert json.loads(json.dumps(one.to_row(), allow_nan=False))["verdict"] == "no difference shown"


def test_equal_outcomes_are_the_same_up_to_rounding():
    rounded = {task: share + 1e-12 for task, share in outcomes(10, 20).items()}
    assert verdict(measured(x=outcomes(10, 20)), measured(x=rounded)) == "same"


def test_other_numbers_of_problems_are_told_and_not_compared():
    (one,) = compare_figures(without_outcomes(97, 128), without_outcomes(3, 4))
    assert (one.verdict, one.why) == ("not compared", "of 4, stored of 128")
    others = {f"other/{task}": share for task, share in outcomes(10, 20).items()}
    (one,) = compare_figures(measured(x=outcomes(10, 20)), measured(x=others))
    assert (one.verdict, one.why) == ("not compared", "40 problems are of one side only")


def test_another_configuration_is_told_and_not_compared():
    stored, now = measured("one", x=outcomes(10, 20)), measured("two", x=outcomes(10, 20))
    assert verdict(stored, now) == "not compared"
    assert verdict(stored, measured("one", x=outcomes(10, 20))) == "same"
    assert verdict(measured("", x=outcomes(10, 20)), now) == "same"  # of an earlier version: not known
    lacking = compare_figures(stored, measured("two", y=outcomes(10, 20)))
    assert {one.verdict for one in lacking} == {"not compared"}


def test_what_one_side_lacks_differs():
    held = compare_figures(
        measured(a=outcomes(1, 2), b=outcomes(1, 2)), measured(c=outcomes(1, 2), b=outcomes(1, 2))
    )
    assert [(one.name, one.verdict) for one in held] == [("a", "differs"), ("b", "same"), ("c", "differs")]
    assert [held[0].why, held[2].why] == ["not measured now", "not stored"]
    (one,) = compare_figures(Measured({}), measured(a=outcomes(1, 2)))
    assert (one.verdict, one.why) == ("not compared", "nothing stored")


def test_without_outcomes_intervals_of_the_difference_decide():
    # 40 of 100 and 70 of 100: 30 points, ± 13 by their standard errors.
    assert verdict(without_outcomes(40, 100), without_outcomes(70, 100)) == "differs"
    (one,) = compare_figures(without_outcomes(40, 100), without_outcomes(45, 100))
    assert one.verdict == "no difference shown"
    assert one.why.startswith("unpaired: -0.0")
    assert verdict(without_outcomes(40, 100), without_outcomes(40, 100)) == "same"
    no_interval = Measured({"x": Estimate(0.5, math.nan, math.nan, 100)})
    assert verdict(no_interval, without_outcomes(40, 100)) == "not compared"
    undefined = Measured({"x": Estimate(math.nan, math.nan, math.nan, 100)})
    assert verdict(undefined, without_outcomes(40, 100)) == "differs"
    assert verdict(undefined, undefined) == "same"


def test_a_configuration_is_what_runs_were_begun_with(tmp_path):
    def of(out: str, plan: Mapping[str, object]) -> str:
        for name, config in {"plan": plan, "fitted": {"scorer": f"prm:{out}"}}.items():
            with RunFolder.open(tmp_path / out / name, config):
                pass
        return configuration_of(tmp_path / out)

    plan = {"problems": "micro", "seeds": [0]}
    assert of("a", plan) == of("b", plan) != of("c", {**plan, "seeds": [1]})
    assert configuration_of(tmp_path / "nowhere") == ""
