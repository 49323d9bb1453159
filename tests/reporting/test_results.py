import io
import math
from dataclasses import replace

from rich.console import Console

from o1coder_gym.reporting.results import ResultRow, markdown_report, summarize, terminal_table
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


def test_terminal_table_fits_eighty_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_table(summarize(ROWS), "title"))
    text = console.export_text()
    assert "mcts:width=4" in text
    assert "50.0 (9 to 91)" in text
    assert "…" not in text


def test_report_names_every_problem_and_every_failure():
    report = markdown_report("two problems", ROWS, {"policy": "scripted:x"})
    assert "| greedy | 1/2 | 50.0 (9 to 91) | 67 | 2/2 | 150 | 2.0 | 1.0 | 0.5 |" in report
    assert "| p/2 | wrong answer | no code |" in report
    assert "- `p/2` · mcts:width=4: policy: no answer within 5 s" in report
    assert "- **policy**: `scripted:x`" in report


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
