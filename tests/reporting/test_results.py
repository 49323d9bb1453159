import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from o1coder_gym.reporting.comparison import compare_with
from o1coder_gym.reporting.results import (
    ResultRow,
    budget_words,
    counted,
    read_results,
    summarize,
)
from o1coder_gym.reporting.run_report import make_report
from o1coder_gym.reporting.tables.markdown import markdown_report
from o1coder_gym.reporting.tables.measures import areas, measures
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage


def row(task_id: str, agent: str, outcome: Outcome | None, tokens: int, error: str = "") -> ResultRow:
    return ResultRow(
        task_id=task_id,
        agent=agent,
        seed=0,
        outcome=outcome,
        passed=3 if outcome is Outcome.PASS else 1,
        total=3,
        value=0.5,
        code=None if outcome is None else "def f(): ...",
        steps=2,
        usage=Usage(tokens=tokens, calls=2, executions=1, seconds=0.5),
        error=error,
    )


ROWS = [
    row("p/1", "greedy", Outcome.PASS, 100),
    row("p/2", "greedy", Outcome.WRONG_ANSWER, 200),
    row("p/1", "mcts:width=4", Outcome.PASS, 300),
    row("p/2", "mcts:width=4", None, 500, error="policy: no answer within 5 s"),
]


def test_rows_survive_json():
    assert [ResultRow.from_row(one.to_row()) for one in ROWS] == ROWS


def test_rows_that_come_twice_are_counted_once_and_a_bom_is_read_over(tmp_path):
    lines = "".join(f"{json.dumps(one.to_row())}\n" for one in ROWS)
    (tmp_path / "shard").mkdir()
    (tmp_path / "results.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    other = [replace(ROWS[0], usage=Usage(tokens=7)), replace(ROWS[0], seed=1), replace(ROWS[0], run="other")]
    (tmp_path / "shard" / "results.jsonl").write_text(
        lines + "".join(f"{json.dumps(one.to_row())}\n" for one in other)
    )
    assert read_results(tmp_path) == [*ROWS, *other[1:]]


def test_solved_means_every_hidden_test():
    assert [one.solved for one in ROWS] == [True, False, True, False]
    assert ROWS[0].to_row()["solved"] is True


def test_summary_adds_up_per_agent():
    greedy, mcts = summarize(ROWS)
    assert (greedy.agent, greedy.solved, greedy.total, greedy.committed) == ("greedy", 1, 2, 2)
    assert greedy.usage == Usage(tokens=300, calls=4, executions=2, seconds=1.0)
    assert (mcts.committed, mcts.usage.tokens) == (1, 800)
    low, high = greedy.interval
    assert 0.0 < low < 0.5 < high < 1.0


def printed(rows: list[ResultRow]) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_table(summarize(rows), "title"))
    return console.export_text()


def test_one_is_said_in_the_singular():
    assert [counted(number, "token") for number in (0, 1, 1024)] == ["0 tokens", "1 token", "1,024 tokens"]
    assert budget_words(Budget(tokens=1024, calls=1)) == "1,024 tokens, 1 call"


def test_report_names_every_problem_and_every_failure():
    report = markdown_report("two problems", ROWS, {"policy": "scripted:x"})
    assert "| greedy | 1/2 | 50.0 (9 to 91)~ | 67 | 2/2 | 150 |  | 2.0 | 1.0 | 0.5 |" in report
    limited = [replace(one, budget=Budget(tokens=200)) for one in ROWS[:2]]
    assert "| greedy | 1/2 | 50.0 (9 to 91)~ | 67 | 2/2 | 150 | 75 % | 2.0 | 1.0 | 0.5 |" in markdown_report(
        "", limited, {}
    )
    assert "| p/2 | wrong answer | error |" in report
    cut = replace(ROWS[-1], error="", cut=True)
    assert "| p/2 | wrong answer | cut by the budget |" in markdown_report("", [*ROWS[:-1], cut], {})
    assert ResultRow.from_row(cut.to_row()) == cut
    assert "cut" not in ROWS[0].to_row()
    assert "- `p/2` · mcts:width=4: policy: no answer within 5 s" in report
    assert "- **policy**: `scripted:x`" in report


def test_each_set_and_budget_has_a_grid_of_its_own_problems():
    rows = [
        replace(one, problems=name, task_id=f"{name}/{one.task_id}", budget=Budget(tokens=limit))
        for name in ("easy", "hard")
        for limit in (256, 512)
        for one in ROWS
    ]
    _, *grids = markdown_report("two sets", rows, {}, {"easy/p/1": "1.html"}).split("### ")
    heads, cells = zip(*(grid.split("\n\n", 1) for grid in grids), strict=True)
    assert heads == tuple(f"{name}, {limit} tokens" for name in ("easy", "hard") for limit in (256, 512))
    for name, grid in zip(("easy", "easy", "hard", "hard"), cells, strict=True):
        link = "[easy/p/1](1.html)" if name == "easy" else "hard/p/1"
        assert grid.strip().splitlines()[:4] == [
            "| problem | greedy | mcts:width=4 |",
            "| --- | --- | --- |",
            f"| {link} | solved | solved |",
            f"| {name}/p/2 | wrong answer | error |",
        ]


def untested(agent: str = "greedy", outcome: Outcome | None = Outcome.NO_TESTS) -> ResultRow:
    return replace(row("p/3", agent, Outcome.WRONG_ANSWER, 100), outcome=outcome, passed=0, total=0)


def test_rows_of_earlier_versions_without_tests_are_not_solved():
    old = ROWS[0].to_row() | {"outcome": "pass", "passed": 0, "total": 0, "solved": True}
    found = ResultRow.from_row(old)
    assert (found.outcome, found.solved, found.untested) == (Outcome.NO_TESTS, False, True)
    assert found.to_row()["solved"] is False


def test_rows_without_tests_are_counted_and_never_solved():
    (greedy,) = summarize([*ROWS[:2], untested()])
    assert (greedy.solved, greedy.total, greedy.untested) == (1, 3, 1)
    assert greedy.tests_passed == 2 / 3  # (3/3 + 1/3) / 2: what has no tests passes no share of them
    (nothing,) = summarize([untested(outcome=None)])
    assert math.isnan(nothing.tests_passed)


def test_tables_say_what_has_no_tests():
    rows = [*ROWS, untested()]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_table(summarize(rows), "title"))
    text = " ".join(console.export_text().split())
    assert "1/3*" in text
    assert "*: 1 of 3 rows have no hidden tests and are never solved" in text
    report = markdown_report("three problems", rows, {})
    assert "| greedy | 1/3* |" in report
    assert "No hidden tests: 1 of 3 problems (p/3)." in report
    assert "| p/3 | no tests |  |" in report
    assert "No hidden tests" not in markdown_report("two problems", ROWS, {})


@pytest.mark.parametrize("total", [0, 4])
def test_tests_that_cannot_be_judged_are_not_called_missing(total):
    masked = replace(untested(outcome=Outcome.UNSUPPORTED), total=total)
    report = markdown_report("three problems", [*ROWS, masked], {})
    assert "No hidden tests" not in report
    assert f"1 of {len(ROWS) + 1} rows, which the judge could not decide" in report


def test_one_definition_of_solved_failed_and_missing():
    """Two of four: an error and an end without a program are failures; what the judge cannot say is none."""
    judged = [Outcome.PASS, Outcome.PASS, None, None, Outcome.INFRASTRUCTURE]
    errors = ["", "", "policy: gone", "", ""]
    rows = [
        replace(row(f"p/{place}", agent, outcome, 100, error), budget=Budget(tokens=limit))
        for agent in ("greedy", "mcts")
        for limit in (256, 512)
        for place, (outcome, error) in enumerate(zip(judged, errors, strict=True))
    ]
    greedy, *_ = summarize(rows)
    assert (greedy.solved, greedy.total, greedy.missing, greedy.rate) == (2, 4, 1, 0.5)
    assert [found.pass_at[1].value for found in measures(rows)] == [0.5] * 4
    assert areas(rows) == {"greedy": 0.5, "mcts": 0.5}
    compared = compare_with(rows, "greedy")
    assert [(one.solved_a, one.solved_b, one.difference.count) for one in compared] == [(0.5, 0.5, 4)] * 2
    assert [one.tokens_a for one in compared] == [100, 100]
    report = make_report(rows)
    assert [point.rate for curve in report.curves for point in curve.points] == [0.5] * 4
    assert "Left out: 4 of 20 rows" in markdown_report("", rows, {})
    assert "left out: 4 rows" in printed(rows)


def test_tokens_are_those_of_the_rows_that_are_compared():
    rows = [row("p/1", "greedy", Outcome.PASS, 10), row("p/1", "mcts", Outcome.PASS, 30)]
    (found,) = compare_with([*rows, row("p/2", "mcts", Outcome.PASS, 10_000)], "greedy")
    assert (found.tokens_a, found.tokens_b) == (30, 10)


def test_an_agent_that_the_judge_never_judged_has_no_share():
    (summary,) = summarize([row("p/1", "greedy", Outcome.INFRASTRUCTURE, 100)])
    assert (summary.total, summary.missing, summary.share.percent()) == (0, 1, "–")
    assert "0/0" in printed([row("p/1", "greedy", Outcome.INFRASTRUCTURE, 100)])
