"""The tables of a report for other tools."""

from dataclasses import replace

from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.run_report import make_report
from o1coder_gym.reporting.tables.export import Grid, to_csv
from o1coder_gym.reporting.tables.run_tables import run_grids
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage


def grids() -> dict[str, Grid]:
    """mcts solves p at 512 tokens alone, greedy never; a seed each."""
    rows = [
        ResultRow(
            "p", agent, 0, Outcome.PASS if (agent, limit) == ("mcts", 512) else Outcome.WRONG_ANSWER, 0, 1,
            0.0, "x", 1, Usage(tokens=200, seconds=3.0), budget=Budget(tokens=limit), timed=limit == 512,
            parameters=10**9,
        )
        for agent in ("greedy", "mcts")
        for limit in (256, 512)
    ]  # fmt: skip
    profile = {"greedy": {"wall": 1.5, "policy": 1.0, "requests": 7}, "mcts": {"wall": 2.0}}
    return {grid.name: grid for grid in run_grids(replace(make_report(rows), profile=profile))}


def test_each_table_of_the_report_is_there() -> None:
    assert list(grids()) == ["results", "differences", "pass_at_k", "areas", "profile", "problems"]


def test_times_are_called_what_they_are() -> None:
    found = grids()
    assert [row["latency_s"] for row in found["results"].rows] == [None, 3.0, None, 3.0]
    assert "seconds_used" not in found["results"].rows[0]
    assert list(found["profile"].rows) == [
        {"agent": "greedy", "wall_s": 1.5, "policy_s": 1.0, "requests": 7},
        {"agent": "mcts", "wall_s": 2.0, "policy_s": None, "requests": None},
    ]


def test_areas_and_flops() -> None:
    found = grids()
    assert list(found["areas"].rows) == [{"agent": "greedy", "area": 0.0}, {"agent": "mcts", "area": 0.5}]
    assert {row["flops"] for row in found["pass_at_k"].rows} == {4e11}  # 2 · 10⁹ · 200


def test_rows_of_several_limits_have_the_same_columns() -> None:
    row = ResultRow("p", "mcts", 0, Outcome.PASS, 1, 1, 1.0, "x", 1, Usage(tokens=20))
    budgets = Budget(tokens=512), Budget(flops=2e12), Budget(tokens=512, executions=4)
    found = {one.name: one for one in run_grids(make_report([replace(row, budget=one) for one in budgets]))}
    for name in ("results", "problems"):
        limits = [[one[unit] for unit in ("tokens", "executions", "flops")] for one in found[name].rows]
        assert limits == [[512, None, None], [None, None, 2e12], [512, 4, None]]
        assert len(to_csv(found[name]).splitlines()) == 4
