"""Paired comparison by hand-made rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.comparison import (
    NOTHING_SHOWN,
    TOO_FEW,
    compare_rows,
    compare_with,
    corrected,
)
from o1coder_gym.reporting.results import (
    FAILURES,
    RESULTS,
    ResultRow,
    Setting,
    labels,
    read_results,
    seeds_by_problem,
)
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Outcome, Usage


def row(
    task: int, agent: str, solved: bool, *, seed: int = 0, tokens: int = 10, limit: int = 64
) -> ResultRow:
    return ResultRow(
        task_id=f"p/{task}",
        agent=agent,
        seed=seed,
        outcome=Outcome.PASS if solved else Outcome.WRONG_ANSWER,
        passed=int(solved),
        total=1,
        value=0.0,
        code="",
        steps=1,
        usage=Usage(tokens=tokens),
        problems="toy",
        budget=Budget(tokens=limit),
    )


def test_a_difference_is_shown_where_it_is() -> None:
    # mcts solves what greedy solves (even problems), and every third of the others
    greedy = [row(task, "greedy", task % 2 == 0) for task in range(120)]
    mcts = [row(task, "mcts", task % 2 == 0 or task % 3 == 0, tokens=30) for task in range(120)]
    (found,) = compare_with([*greedy, *mcts], "greedy")
    assert (found.a, found.b) == ("mcts", "greedy")
    assert found.difference.mean == pytest.approx(20 / 120)
    assert (found.solved_a, found.solved_b) == (pytest.approx(80 / 120), 0.5)
    assert found.difference.low > 0
    assert found.conclusion == "mcts solves more"
    assert (found.tokens_a, found.tokens_b) == (30, 10)


def test_no_difference_is_said_to_be_none() -> None:
    greedy = [row(task, "greedy", task in (0, 1, 2)) for task in range(40)]
    mcts = [row(task, "mcts", task in (2, 3, 4, 5)) for task in range(40)]
    (found,) = compare_with([*greedy, *mcts], "greedy")
    assert found.difference.mean == pytest.approx(1 / 40)
    assert (found.differing, found.conclusion) == (5, TOO_FEW)  # whatever their signs, p ≥ 0.0625
    more = [row(task, "mcts", task in (2, 3, 4, 5, 6, 7)) for task in range(40)]
    (found,) = compare_with([*greedy, *more], "greedy")
    assert (found.differing, found.conclusion) == (7, NOTHING_SHOWN)


def test_seeds_are_averaged_within_a_problem() -> None:
    rows = [row(0, "a", True), row(0, "a", False, seed=1), row(1, "a", True)]
    assert seeds_by_problem(rows) == {("toy", "p/0"): [True, False], ("toy", "p/1"): [True]}
    # 50 equal seeds of one problem are one item, not 50: the interval is that of nothing but this problem
    many = [row(0, "a", True, seed=seed) for seed in range(50)]
    found = compare_rows(many, [row(0, "b", False)], ("a", "b"))
    assert found.difference.count == 1


def test_each_budget_is_compared_with_its_own() -> None:
    rows = [
        row(task, agent, agent == "mcts", limit=limit)
        for task in range(9)
        for agent in ("greedy", "mcts")
        for limit in (64, 128)
    ]
    found = compare_with(rows, "greedy")
    assert [(one.a, one.b) for one in found] == [
        ("mcts @ 64 tokens", "greedy @ 64 tokens"),
        ("mcts @ 128 tokens", "greedy @ 128 tokens"),
    ]


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(UsageError, match="no problem in common"):
        compare_rows([row(0, "a", True)], [row(1, "b", True)], ("a", "b"))
    with pytest.raises(UsageError, match="no rows of agent 'puct'; there are: a"):
        compare_with([row(0, "a", True)], "puct")


def test_labels_say_what_differs() -> None:
    one = Setting("toy", "hf:x", "vanilla", "mcts", Budget(tokens=64))
    other = Setting("toy", "hf:y", "vanilla", "mcts", Budget(tokens=1024))
    assert labels([one]) == {one: "mcts"}
    assert labels([one, other]) == {one: "mcts hf:x @ 64 tokens", other: "mcts hf:y @ 1,024 tokens"}


def test_results_are_read_from_all_parts_of_a_run(tmp_path: Path) -> None:
    for number in range(2):
        with RunFolder.open(tmp_path / f"shard-{number}", {}) as folder:
            folder.append(RESULTS, row(number, "mcts", True).to_row())
    assert [found.task_id for found in read_results(tmp_path)] == ["p/0", "p/1"]
    with pytest.raises(UsageError, match="no results"):
        read_results(tmp_path / "shard-7")


@pytest.mark.parametrize(
    ("wins", "conclusion"), [(4, TOO_FEW), (5, TOO_FEW), (6, "a solves more"), (8, "a solves more")]
)
def test_a_few_wins_are_shown_by_the_exact_test_alone(wins: int, conclusion: str) -> None:
    a = [row(task, "a", task < wins) for task in range(40)]
    b = [row(task, "b", False) for task in range(40)]
    found = compare_rows(a, b, ("a", "b"))
    assert found.difference.shown is (wins > 4)  # by the interval
    assert found.conclusion == conclusion
    assert found.p == pytest.approx(2 / 2**wins)
    assert f"exact p = {found.p:.3g}" in found.evidence
    assert "could show differences of ≥" in found.evidence


def test_several_agents_are_corrected_for_each_other() -> None:
    rows = [row(task, "base", False) for task in range(40)]
    for number in range(4):
        rows += [row(task, f"agent{number}", task < 7) for task in range(40)]
    found = compare_with(rows, "base")
    assert [one.p for one in found] == pytest.approx([2 / 2**7] * 4)
    assert [one.p_corrected for one in found] == pytest.approx([8 / 2**7] * 4)
    assert not any(one.shown for one in found)
    assert "exact p = 0.0156, 0.0625 as one of 4 comparisons (Holm)" in found[0].evidence
    assert "exact p = 0.016, 0.062 as one of 4 comparisons (Holm)." in found[0].sentence()
    with_oracle = compare_with([*rows, *(row(task, "oracle", True) for task in range(40))], "base")
    assert [one.family for one in with_oracle] == [4, 4, 4, 4, 1]
    (alone,) = compare_with([one for one in rows if one.agent in ("base", "agent0")], "base")
    assert alone.shown
    assert corrected([alone]) == [alone]


def test_an_error_is_unsolved() -> None:
    a = [row(task, "a", task < 5) for task in range(5)]
    a += [replace(row(task, "a", False), outcome=None, error="the agent failed") for task in range(5, 12)]
    b = [row(task, "b", task < 8) for task in range(12)]
    found = compare_rows(a, b, ("a", "b"))
    assert (found.solved_a, found.solved_b, found.difference.count) == (
        pytest.approx(5 / 12),
        pytest.approx(8 / 12),
        12,
    )


def test_errors_are_read_until_a_resumed_run_has_an_answer(tmp_path: Path) -> None:
    down = replace(row(1, "mcts", False), outcome=None, error="down")
    with RunFolder.open(tmp_path, {}) as folder:
        folder.append(RESULTS, row(0, "mcts", True).to_row())
        folder.append(FAILURES, down.to_row(), down.to_row())
        assert [(one.task_id, one.error) for one in read_results(tmp_path)] == [("p/0", ""), ("p/1", "down")]
        folder.append(RESULTS, row(1, "mcts", True).to_row())
        assert [(one.task_id, one.error) for one in read_results(tmp_path)] == [("p/0", ""), ("p/1", "")]
