import io
from dataclasses import replace
from itertools import pairwise, product

import pytest
from rich.console import Console

from o1coder_gym.reporting.results import ResultRow, summarize
from o1coder_gym.reporting.tables.terminal_table import GRID_LEGEND, name_lines, terminal_table
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage

ROW = ResultRow(
    task_id="p/1", agent="greedy", seed=0, outcome=Outcome.PASS, passed=3, total=3, value=0.5,
    code="def f(): ...", steps=2, usage=Usage(tokens=100, calls=2, executions=1, seconds=0.5),
    budget=Budget(tokens=200),
)  # fmt: skip
FAILED = replace(ROW, task_id="p/2", outcome=None, code=None, error="policy: gone")
LONG = "best_of_n_random:n=64,early_stop=true,select=prm_product"


def lines_of(rows: list[ResultRow], width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(terminal_table(summarize(rows), "title", width))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    return lines


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().split("  ") if cell.strip()]


def test_names_are_broken_between_words():
    usage = Usage(12345, calls=9, seconds=1234.5)
    rows = [
        replace(ROW, agent=LONG, budget=Budget(tokens=16384), usage=usage, task_id=f"p/{number}")
        for number in range(1000)
    ]
    lines = lines_of(rows)
    start = next(place for place, line in enumerate(lines) if "1000/1000" in line)
    assert cells(lines[start]) == [
        "best_of_n_", "1000/1000", "100 (100–100)~", "100 %", "12,345", "75 %", "0.0", "1,234.5"
    ]  # fmt: skip
    broken = [line.strip() for line in lines[start + 1 : start + 5]]
    assert broken == ["random:n=64,", "early_stop=", "true,select=", "prm_product"]


def grid(agents: tuple[str, ...], budgets: tuple[int, ...]) -> list[ResultRow]:
    """Half of two problems solved, the other an error, by each agent at each budget; the largest is timed."""
    return [
        replace(row, agent=agent, budget=Budget(tokens=limit), timed=limit == max(budgets))
        for agent, limit, row in product(agents, budgets, (ROW, FAILED))
    ]


def test_several_budgets_are_columns_of_one_table():
    lines = lines_of(grid(("greedy", LONG), (1024, 512, 2048, 256)))
    heading, *_ = (place for place, line in enumerate(lines) if "agent" in line)
    named = ["agent", "256 tokens", "512 tokens", "1,024 tokens", "2,048 tokens", "latency"]
    assert cells(lines[heading]) == named
    assert cells(lines[heading + 2]) == ["greedy", *["50 (9–91)~"] * 4, "0.5"]
    assert cells(lines[heading + 3]) == ["39 % spent", "20 % spent", "10 % spent", "5 % spent"]
    assert cells(lines[heading + 4]) == ["1 failed"] * 4
    assert "failed runs count as not solved" in lines
    assert all(line in lines for line in GRID_LEGEND.splitlines())  # not folded to the width of the table
    assert "2 runs an agent and budget" in lines


def test_the_latency_is_that_of_the_run_and_not_of_what_was_read_off_it():
    within = [replace(one, budget=Budget(flops=2e12), timed=False) for one in (ROW, FAILED)]
    lines = lines_of([*grid(("greedy",), (512, 1024)), *within])
    assert any(line.rstrip().endswith("latency") for line in lines)


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_more_budgets_than_a_terminal_has_room_for_go_on_below(width: int):
    budgets = tuple(2**power for power in range(5, 13))
    lines = lines_of(grid((LONG,), budgets), width)
    headings = [cells(line)[1:] for line in lines if line.lstrip().startswith("agent ")]
    assert [word for part in headings for word in part] == [
        *(f"{limit:,} tokens" for limit in budgets), "latency"
    ]  # fmt: skip
    assert all(len(one) >= len(after) - 1 for one, after in pairwise(headings))


def test_a_setting_without_rows_at_a_budget_has_an_empty_cell():
    rows = [*grid(("greedy", "mcts"), (256, 512))[2:]]
    (line,) = (line for line in lines_of(rows) if line.strip().startswith("greedy"))
    assert cells(line) == ["greedy", "50 (9–91)~", "0.5"]


def test_a_title_wider_than_the_table_is_one_line():
    console, title = Console(width=80, record=True, file=io.StringIO()), "a policy and a budget " * 3
    console.print(terminal_table(summarize([ROW]), title.rstrip(), 80))
    assert title.rstrip() in [line.rstrip() for line in console.export_text().splitlines()]


def test_a_narrow_terminal_goes_without_what_the_report_has():
    lines = lines_of([ROW, FAILED], width=44)
    assert any(cells(line)[:3] == ["greedy", "1/2", "50 (9–91)~"] for line in lines if line)
    assert not any("tests" in cells(line) for line in lines)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("mcts", ["mcts"]),
        ("mcts:width=4,c=1.4", ["mcts:width=4,", "c=1.4"]),
        ("a_name_of_its_own_length", ["a_name_of_its_", "own_length"]),
        ("extraordinarilylong:n=1", ["extraordinarilylong:", "n=1"]),
        ("a:b_long_key=a_long_value", ["a:b_long_key=", "a_long_value"]),
        ("best of all that is", ["best of all", "that is"]),
        ("", [""]),
    ],
)
def test_no_word_is_broken(name: str, lines: list[str]):
    assert name_lines(name, 14) == lines
