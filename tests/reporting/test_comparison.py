"""Paired comparison by hand-made rows."""

from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.comparison import NOTHING_SHOWN, compare_rows, compare_with
from o1coder_gym.reporting.results import RESULTS, ResultRow, Setting, labels, read_results, seeds_by_problem
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
    assert found.conclusion == NOTHING_SHOWN


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
