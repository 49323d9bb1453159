from dataclasses import replace

import pytest

from o1coder_gym.metrics import calibration_error
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.reporting.results import PROFILE, ResultRow
from o1coder_gym.reporting.run_report import make_report, read_profile, row_facts
from o1coder_gym.reporting.search_reliability import ScoredStep, scored_steps, search_reliability
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import ActionType, Outcome, Problem, Step, Usage


def row(task: str, agent: str, solved: bool, tokens: int = 1024, seed: int = 0) -> ResultRow:
    outcome = Outcome.PASS if solved else Outcome.WRONG_ANSWER
    return ResultRow(
        task, agent, seed, outcome, 3 if solved else 1, 3, 0.5, "x = 1", 2, Usage(tokens=tokens // 2),
        problems="toy", budget=Budget(tokens=tokens),
    )  # fmt: skip


ROWS = [
    *(row(f"p/{i}", "greedy", i < 2, tokens) for tokens in (512, 1024) for i in range(4)),
    *(row(f"p/{i}", "mcts", i < 1 + tokens // 512, tokens) for tokens in (512, 1024) for i in range(4)),
]


def test_a_sweep_is_a_curve_over_its_budgets():
    report = make_report(ROWS)
    assert report.swept
    greedy, mcts = report.curves
    assert [(point.tokens, point.rate) for point in greedy.points] == [(512, 0.5), (1024, 0.5)]
    assert [(point.tokens, point.rate) for point in mcts.points] == [(512, 0.5), (1024, 0.75)]
    low, high = mcts.points[1].interval
    assert 0.3 < low < 0.75 < high < 1.0


def test_points_stand_at_the_budget_and_say_what_was_spent_of_it():
    report = make_report([one for one in ROWS if one.budget.tokens == 1024])
    assert not report.swept
    (point,) = report.curves[0].points
    assert (point.tokens, point.spent, point.cost, point.thrifty) == (1024, 512, "512 of 1,024 tokens", True)
    free = make_report([replace(one, budget=Budget(), usage=Usage(tokens=300)) for one in ROWS])
    (point,) = free.curves[0].points
    assert (point.tokens, point.spent, point.cost, point.thrifty) == (300, None, "300 tokens", False)


@pytest.mark.parametrize("unit", ["calls", "executions", "flops", "scorer_tokens"])
@pytest.mark.parametrize("tokens", [1024, None])
def test_of_budgets_of_another_unit_the_point_is_that_of_the_largest(unit: str, tokens: int | None):
    # 4 of 4 problems within 8, 2 within 4, 1 within 2; the largest is written first, as by a run
    rows = [
        replace(row(f"p/{i}", "mcts", i < solved), budget=Budget(tokens=tokens, **{unit: limit}))
        for limit, solved in ((8, 4), (4, 2), (2, 1))
        for i in range(4)
    ]
    report = make_report(rows)
    (curve,) = report.curves
    assert (report.swept, [point.rate for point in curve.points]) == (False, [1.0])


def test_what_the_judge_could_not_decide_has_no_point_and_costs_no_other():
    undecided = [replace(one, outcome=Outcome.INFRASTRUCTURE) for one in ROWS if one.agent == "greedy"]
    report = make_report([*undecided, *(one for one in ROWS if one.agent == "mcts")])
    assert [curve.name for curve in report.curves] == ["mcts"]
    assert report.differences == (None,) * 4


def test_agents_that_were_run_on_other_problems_are_not_compared():
    report = make_report([row("p/0", "greedy", True), row("p/1", "mcts", True), row("p/0", "puct", True)])
    assert [one is not None for one in report.differences] == [False, False, True]


def test_the_share_of_a_budget_is_that_of_the_limit_that_came_closest():
    def spent(usage: Usage, budget: Budget) -> float | None:
        two = [replace(one, usage=usage, budget=budget) for one in ROWS[:2]]
        return make_report(two).summaries[0].spent

    usage = Usage(tokens=96, calls=3, executions=2)
    assert spent(usage, Budget(tokens=1024)) == 0.09375  # 2 · 96 of 2 · 1,024
    assert spent(usage, Budget(tokens=1024, calls=4)) == 0.75
    assert spent(usage, Budget(seconds=5)) is None


def test_differences_are_to_the_control_at_the_same_budget():
    report = make_report(ROWS)
    assert report.baseline == "greedy"
    found = {
        (one.setting.agent, one.setting.budget.tokens): difference
        for one, difference in zip(report.summaries, report.differences, strict=True)
    }
    assert found["greedy", 512] is found["greedy", 1024] is None
    less, more = found["mcts", 512], found["mcts", 1024]
    assert less is not None
    assert more is not None
    gaps = less.difference, more.difference
    assert (gaps[0].mean, gaps[1].mean, gaps[1].count) == (0.0, 0.25, 4)
    assert not more.shown  # one problem of four


def test_blind_choice_is_the_control_before_greedy():
    rows = [row("p/1", name, True) for name in ("greedy", "mcts", "best_of_n_random:n=4")]
    assert make_report(rows).baseline == "best_of_n_random:n=4"
    assert make_report(rows[:1]).baseline is None


def scored_tree() -> SearchTree:
    """A step scored 0.9 above ends of value 1 and 0.5, and one scored 0.2 above an end of value 0."""
    code, plan = Step(ActionType.CODE, "x"), Step(ActionType.DEFINE, "y")
    nodes = (
        TreeNode(None, None, score=0.6),
        TreeNode(0, plan, score=0.9, value=0.99),
        TreeNode(0, plan, score=0.2),
        TreeNode(0, plan, score=0.7),
        TreeNode(1, code, end=1.0),
        TreeNode(1, code, end=0.5),
        TreeNode(2, code, end=0.0, score=1.0),
        TreeNode(2, code, score=0.5),  # the judge failed
    )
    return SearchTree(Problem("p", "q"), "mcts", 0, "pseudocode", nodes)


def test_a_step_is_worth_the_ends_below_it():
    # not its value in the search, which the scorer itself may have set; ends themselves are no steps
    steps = [(0.2, 0.0), (0.9, 0.75), (0.6, 0.5)]
    assert scored_steps([scored_tree()]) == [ScoredStep("p", *step) for step in steps]


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ((Budget(tokens=1024),), "1,024 tokens"),
        ((Budget(tokens=1024), Budget(tokens=64)), "64 · 1,024 tokens"),
        ((Budget(tokens=1), Budget(tokens=64)), "1 token; 64 tokens"),
        ((Budget(tokens=64), Budget()), "64 tokens; no limit"),
        (tuple(Budget(calls=calls) for calls in (16, 4, 32, 2, 8)), "2 · 4 · 8 · 16 · 32 calls"),
    ],
)
def test_the_unit_of_budgets_is_said_once(budgets: tuple[Budget, ...], words: str) -> None:
    rows = [replace(ROWS[0], budget=budget) for budget in budgets]
    assert dict(row_facts(rows))["budget per problem"] == words


def test_a_run_without_rows_has_facts() -> None:  # none has come yet
    assert dict(row_facts([])) == {"problems": "0 of "}


def test_bins_and_their_error():
    pairs = [(0.05, 0.0), (0.95, 1.0), (0.97, 0.5), (1.0, 1.0)]
    bins = search_reliability([ScoredStep("p", *pair) for pair in pairs])
    assert [(one.count, one.rough) for one in bins] == [(1, True), (3, True)]
    assert bins[1].score == pytest.approx((0.95 + 0.97 + 1.0) / 3)
    assert bins[1].target == pytest.approx(2.5 / 3)
    # (1 · |0.05 − 0| + 3 · |2.92/3 − 2.5/3|) / 4
    assert calibration_error(bins) == pytest.approx((0.05 + 0.42) / 4)
    assert search_reliability([]) == []


def test_rows_without_an_answer_are_unsolved():
    rows = [
        *ROWS,
        row("p/9", "greedy", True),
        replace(row("p/9", "mcts", False), outcome=None, error="down"),
    ]
    (difference,) = (
        found
        for one, found in zip(make_report(rows).summaries, make_report(rows).differences, strict=True)
        if found is not None and one.setting.budget.tokens == 1024
    )
    assert difference.difference.count == 5
    assert difference.difference.mean == 0.0  # mcts has p/2 for itself, greedy p/9


def test_an_agent_that_ended_by_itself_is_said_to():
    rows = [replace(one, capped=one.agent == "greedy") for one in ROWS]
    assert [curve.capped for curve in make_report(rows).curves] == [True, False]


def test_where_the_time_went_is_summed_over_seeds_and_parts(tmp_path):
    for name, seed in (("a", 0), ("a", 1), ("b", 0)):
        with RunFolder.open(tmp_path / name, {}, resume=True) as folder:
            folder.append(PROFILE, {"agent": "mcts", "seed": seed, "seconds": {"wall": 2.0, "requests": 3}})
    found = read_profile(tmp_path)
    assert found == {"mcts": {"wall": 6.0, "requests": 9}}
    assert isinstance(found["mcts"]["requests"], int)  # a count, also in tables
    assert read_profile(tmp_path / "nothing") == {}
