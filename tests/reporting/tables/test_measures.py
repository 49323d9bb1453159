"""Measures by hand-made rows."""

from dataclasses import replace

import pytest

from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.reporting.tables.measures import areas, measures, measures_markdown
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Usage


def row(
    task: str, solved: bool, *, seed: int = 0, limit: int = 512, size: int | None = 10**9, error: str = ""
) -> ResultRow:
    return ResultRow(
        task_id=task,
        agent="mcts",
        seed=seed,
        outcome=Outcome.PASS if solved else Outcome.WRONG_ANSWER,
        passed=0,
        total=1,
        value=0.0,
        code="",
        steps=1,
        usage=Usage(tokens=400, prompt_tokens=100),
        budget=Budget(tokens=limit),
        parameters=size,
        error=error,
    )


def test_pass_at_k_takes_seeds_as_samples() -> None:
    # p: 2 of 5 seeds, q: none. pass@2 = (0.7 + 0) / 2, pass@1 = (0.4 + 0) / 2
    rows = [row("p", seed < 2, seed=seed) for seed in range(5)] + [row("q", False, seed=s) for s in range(5)]
    (found,) = measures([*rows, replace(row("p", True, seed=9), outcome=Outcome.INFRASTRUCTURE)])
    assert sorted(found.pass_at) == [1, 2, 3, 4, 5]
    assert found.pass_at[2].mean == pytest.approx(0.35)
    assert found.pass_at[1].mean == pytest.approx(0.2)
    # 10⁹ weights, 500 tokens: 2 · 10⁹ · 500
    assert found.flops == pytest.approx(1e12)


def test_areas_join_the_budgets_of_an_agent() -> None:
    # solved 0, 1/2, 1 of the problems at 256, 512, 1024: (0.25 + 0.75) / 2
    rows = [row("p", limit >= 512, limit=limit) for limit in (256, 512, 1024)]
    rows += [row("q", limit == 1024, limit=limit) for limit in (256, 512, 1024)]
    assert areas(rows) == {"mcts": pytest.approx(0.5)}
    assert areas([row("p", True)]) == {}


def test_other_limits_are_no_budgets_of_tokens() -> None:
    rows = [replace(row("p", True), budget=Budget(tokens=512, executions=limit)) for limit in (2, 4, 8)]
    assert areas(rows) == {}
    rows += [replace(one, budget=replace(one.budget, tokens=1024)) for one in rows[:1]]
    assert areas(rows) == {"mcts": 1.0}


def test_the_report_has_them() -> None:
    rows = [row("p", True, limit=limit, size=None) for limit in (256, 512)]
    text = measures_markdown(rows)
    assert "| mcts @ 256 tokens | 100.0 (21 to 100)~ | not known |" in text
    assert "| mcts | 100.0 |" in text
