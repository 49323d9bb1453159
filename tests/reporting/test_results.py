import io
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
    assert "| p/2 | wrong answer | error |" in report
    cut = replace(ROWS[-1], error="", cut=True)
    assert "| p/2 | wrong answer | cut by the budget |" in markdown_report("", [*ROWS[:-1], cut], {})
    assert ResultRow.from_row(cut.to_row()) == cut
    assert "cut" not in ROWS[0].to_row()
    assert "- `p/2` · mcts:width=4: policy: no answer within 5 s" in report
    assert "- **policy**: `scripted:x`" in report
