"""Paired comparison by hand-made rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Estimate
from o1coder_gym.reporting.comparison import (
    NOTHING_SHOWN,
    TOO_FEW,
    Comparison,
    changes,
    compare_rows,
    compare_with,
    corrected,
    power_words,
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


def test_a_part_in_which_all_has_failed_is_read_too(tmp_path: Path) -> None:
    failed = replace(row(1, "mcts", False), outcome=None, code=None, error="policy: gone")
    for name, file, found in (
        ("whole", RESULTS, row(0, "mcts", True).to_row()),
        ("lost", FAILURES, failed.to_row()),
        ("synthesis", FAILURES, {"task_id": "p/2", "seed": 0, "error": "policy: gone"}),
    ):
        with RunFolder.open(tmp_path / name, {}) as folder:
            folder.append(file, found)
    assert read_results(tmp_path) == [row(0, "mcts", True), failed]
    assert read_results(tmp_path / "lost") == [failed]


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


SHOWN = Comparison(
    "a", "b", 0.5, 0.375, Estimate(0.125, 0.0312, 0.25, 80), 10.0, 20.0, 12, 0.01234, 0.0371, 0.1375, 3
)


def test_what_is_shown_is_one_sentence() -> None:
    assert (SHOWN.shown, SHOWN.conclusion) == (True, "a solves more")
    assert SHOWN.sentence() == "a solves more than b: 12.5 points [3.1, 25.0]."
    less = replace(SHOWN, difference=Estimate(-0.125, -0.25, -0.0312, 80, rough=True))
    assert (less.shown, less.conclusion) == (True, "b solves more")
    assert less.sentence() == "b solves more than a: 12.5 points [3.1, 25.0]~."


def test_what_is_not_shown_is_one_sentence() -> None:
    unsure = replace(SHOWN, p_corrected=0.05)  # the level itself does not suffice
    assert (unsure.shown, unsure.conclusion) == (False, NOTHING_SHOWN)
    assert unsure.sentence() == (
        "a against b: no difference shown, +12.5 points [+3.1, +25.0], "
        "exact p = 0.012, 0.05 as one of 3 comparisons (Holm)."
    )
    alone = replace(SHOWN, difference=Estimate(0.125, -0.0312, 0.25, 80, rough=True), family=1)
    assert alone.sentence() == (
        "a against b: no difference shown, +12.5 points [-3.1, +25.0]~, exact p = 0.012."
    )
    assert replace(alone, differing=5).conclusion == "no difference shown, too few to tell"


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        ([SHOWN], "80 problems show a difference of 14 points with 80 % power"),
        (
            [SHOWN, replace(SHOWN, detectable=0.2)],
            "80 problems show a difference of 14 to 20 points (by pair) with 80 % power",
        ),
        ([SHOWN, replace(SHOWN, differing=0, detectable=0.0)], "80 problems show a difference of 14 points"),
        (
            [SHOWN, replace(SHOWN, difference=Estimate(0.125, 0.0312, 0.25, 8))],
            "so many problems show a difference of 14 points",
        ),
        ([replace(SHOWN, differing=5)], ""),
    ],
)
def test_a_run_says_which_differences_it_could_show(compared: list[Comparison], words: str) -> None:
    told = power_words(compared)
    assert told.startswith(words)
    assert bool(told) is bool(words)


def test_the_evidence_is_one_line() -> None:
    assert SHOWN.evidence == (
        "12 of 80 problems differ; exact p = 0.0123, 0.0371 as one of 3 comparisons (Holm); "
        "this run could show differences of ≥ 14 points"
    )
    rough = replace(SHOWN, difference=Estimate(0.125, 0.0312, 0.25, 8, rough=True), family=1)
    assert rough.evidence == (
        "12 of 8 problems differ; exact p = 0.0123; "
        "this run could show differences of ≥ 14 points; the interval is rough"
    )


def test_problems_that_one_solves_more_often_are_told_in_order() -> None:
    a = [row(3, "a", True), row(1, "a", True), row(2, "a", False), row(0, "a", True), row(8, "a", True)]
    b = [row(0, "b", True), row(1, "b", False), row(2, "b", True), row(3, "b", False), row(9, "b", True)]
    found = changes(a, b)
    assert (found.gained, found.lost) == (("p/1", "p/3"), ("p/2",))


def test_tokens_are_means_over_runs_of_shared_problems() -> None:
    a = [row(0, "a", True, tokens=10), row(0, "a", False, seed=1, tokens=30), row(1, "a", True, tokens=50)]
    found = compare_rows(a, [row(0, "b", False, tokens=7), row(1, "b", True, tokens=8)], ("a", "b"))
    assert (found.tokens_a, found.tokens_b) == (30.0, 7.5)
    assert (found.solved_a, found.solved_b, found.differing) == (0.75, 0.5, 1)
    assert found.p == found.p_corrected


def test_rows_that_do_not_count_are_left_out() -> None:
    unjudged = replace(row(1, "a", False), outcome=Outcome.UNSUPPORTED)
    assert not unjudged.counted
    found = compare_rows([row(0, "a", True), unjudged], [row(0, "b", False), row(1, "b", True)], ("a", "b"))
    assert found.difference.count == 1


def test_settings_of_other_policies_have_no_baseline_here() -> None:
    rows = [row(0, "greedy", True), row(0, "mcts", True)]
    rows += [replace(row(0, "puct", True), policy="hf:other")]
    (found,) = compare_with(rows, "greedy")
    assert "mcts" in found.a
    with pytest.raises(UsageError) as told:
        compare_with([*rows, row(1, "mcts", True)], "beam")
    assert str(told.value) == "no rows of agent 'beam'; there are: greedy, mcts, puct"


def test_each_budget_is_a_family_of_its_own() -> None:
    rows = [
        row(task, agent, task < wins, limit=limit)
        for task in range(40)
        for agent, wins in (("base", 0), ("one", 7), ("two", 7))
        for limit in (64, 128)
    ]
    found = compare_with(rows, "base")
    assert [one.family for one in found] == [2] * 4
    assert [one.p_corrected for one in found] == pytest.approx([4 / 2**7] * 4)


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
