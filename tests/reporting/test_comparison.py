"""Paired comparison by hand-made rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Estimate, estimate_difference
from o1coder_gym.metrics.significance import permutation_test
from o1coder_gym.reporting.comparison import (
    NOTHING_SHOWN,
    TOO_FEW,
    Comparison,
    changes,
    compare_rows,
    compare_with,
    comparisons,
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
    with pytest.raises(UsageError, match="no such folder"):
        read_results(tmp_path / "shard-7")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no results"):
        read_results(tmp_path / "empty")


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


GAPS = (1.0,) * 11 + (-1.0,) + (0.0,) * 68
"""Eleven of 80 problems are won and one is lost: s = 0.3689, and s / √80 = 0.04124."""
SHOWN = Comparison(
    "a", "b", 0.5, 0.375, Estimate(0.125, 0.0312, 0.25, 80), 10.0, 20.0, 12, 0.01234, 0.0371, 0.0015, GAPS, 3
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
    assert replace(alone, p_least=0.0625).conclusion == "no difference shown, too few to tell"


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        # (2.394 + 0.842) · 0.04124 of one of three, (1.960 + 0.842) · 0.04124 alone
        ([SHOWN], "80 problems show a difference of 13 points as one of 3 comparisons with 80 % power"),
        ([replace(SHOWN, family=1)], "80 problems show a difference of 12 points with 80 % power"),
        ([SHOWN, replace(SHOWN, family=1)], "80 problems show a difference of 13 points as one of 3 comp"),
        (
            # s = 0.6033, s / √80 = 0.06745; of one of four (2.498 + 0.842) times that
            [SHOWN, replace(SHOWN, gaps=(1.0,) * 20 + (-1.0,) * 10 + (0.0,) * 50, family=4)],
            "80 problems show a difference of 13 to 23 points (by pair) as one of 3 to 4 comparisons",
        ),
        (
            [SHOWN, replace(SHOWN, differing=0, gaps=(0.0,) * 80)],
            "80 problems show a difference of 13 points",
        ),
        (
            [SHOWN, replace(SHOWN, difference=Estimate(0.125, 0.0312, 0.25, 8))],
            "so many problems show a difference of 13 points",
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
        "this run could show differences of ≥ 13 points"
    )
    rough = replace(SHOWN, difference=Estimate(0.125, 0.0312, 0.25, 8, rough=True), family=1)
    assert rough.evidence == (
        "12 of 8 problems differ; exact p = 0.0123; "
        "this run could show differences of ≥ 12 points; the interval is rough"
    )


def test_problems_that_only_one_solves_are_told_in_order() -> None:
    a = [row(3, "a", True), row(1, "a", True), row(2, "a", False), row(0, "a", True), row(8, "a", True)]
    b = [row(0, "b", True), row(1, "b", False), row(2, "b", True), row(3, "b", False), row(9, "b", True)]
    found = changes(a, b)
    assert (found.gained, found.lost) == (("p/1", "p/3"), ("p/2",))


@pytest.mark.parametrize(
    ("a", "b", "gained", "lost"),
    [
        ((1, 1, 0), (1, 1, 1), False, False),  # both solve it: less often is not never
        ((0, 0, 0), (0, 0, 1), False, True),
        ((0, 1, 0), (0, 0, 0), True, False),
        ((0,), (1, 0, 0), False, True),
        ((0,), (0, 1, 1), False, False),  # with the one seed that the first has the second fails too
        ((0, 1), (1,), False, False),
        ((0, 0), (1,), False, True),
    ],
)
def test_only_one_of_two_solves_what_the_other_never_does(
    a: tuple[int, ...], b: tuple[int, ...], gained: bool, lost: bool
) -> None:
    first, second = (
        # the last seed first: the order of rows decides nothing
        [row(0, name, bool(one), seed=seed) for seed, one in reversed([*enumerate(solved)])]
        for name, solved in (("a", a), ("b", b))
    )
    found = changes(first, second)
    assert (found.gained, found.lost) == (("p/0",) * gained, ("p/0",) * lost)


def test_a_run_could_show_as_one_of_many_only_larger_differences() -> None:
    # 10 of 40 solved beside none: s = 0.4385, s / √40 = 0.06934; (1.960 + 0.842) times that, or of one of
    # four (2.498 + 0.842) times that
    rows = [row(task, "base", False) for task in range(40)]
    for agent in ("one", "two", "three", "four"):
        rows += [row(task, agent, task < 10) for task in range(40)]
    (alone,) = compare_with([one for one in rows if one.agent in ("base", "one")], "base")
    assert alone.detectable == pytest.approx(0.1943, abs=1e-4)
    together = compare_with(rows, "base")
    assert [one.detectable for one in together] == pytest.approx([0.2316] * 4, abs=1e-4)
    assert "could show differences of ≥ 23 points" in together[0].evidence
    # its part of the four intervals that hold together is one of 98.75 %
    assert together[0].joint == estimate_difference([1.0] * 10 + [0.0] * 30, confidence=0.9875)
    assert alone.joint == alone.difference


def test_too_few_is_what_no_signs_could_have_shown_beside_the_others() -> None:
    def compared(*wins: int) -> list[Comparison]:
        """Of seven problems that differ from the base's."""
        rows = [row(task, "base", task >= 33) for task in range(40)]
        for number, won in enumerate(wins):
            rows += [row(task, f"agent{number}", task < won or task >= 33 + 7 - won) for task in range(40)]
        return compare_with(rows, "base")

    # 7 of 7 one way: p = 2 / 2^7 = 0.0156, which four times is too much
    (alone,) = compared(4)
    assert (alone.differing, alone.p_least, alone.conclusion) == (7, 2 / 2**7, NOTHING_SHOWN)
    four = compared(4, 4, 4, 4)
    assert [(one.p_least, one.conclusion) for one in four] == [(8 / 2**7, TOO_FEW)] * 4
    # beside three that are shown it is the last step of Holm's method, where p itself counts
    rows = [row(task, "base", False) for task in range(40)]
    for agent in ("one", "two", "three"):
        rows += [row(task, agent, task < 20) for task in range(40)]
    rows += [row(task, "last", task < 3) for task in range(40)]
    *shown, last = compare_with(rows, "base")
    assert [one.shown for one in shown] == [True] * 3
    assert (last.p_least, last.too_few) == (2 / 2**3, True)
    assert corrected([*shown, replace(last, differing=6)])[3].p_least == 2 / 2**6
    assert not corrected([*shown, replace(last, differing=6)])[3].too_few


@pytest.mark.parametrize("family", [1, 12])
def test_what_a_run_could_show_is_shown_in_four_of_five_runs(family: int) -> None:
    # 257 problems of which a fifth differ, with just the difference that is told; the others of its family
    # show none. The test is exact, and so a little more careful than the level.
    generator, problems, differ = np.random.default_rng(0), 257, 0.2
    tests = replace(SHOWN, gaps=(1.0, -1.0) * 26 + (0.0,) * 205, family=family)
    gap, shown = tests.detectable, 0
    for _ in range(250):
        drawn = generator.choice(
            (1.0, -1.0, 0.0), size=problems, p=((differ + gap) / 2, (differ - gap) / 2, 1 - differ)
        )
        p = permutation_test(drawn.tolist())
        made = replace(SHOWN, difference=estimate_difference(drawn), p=p, p_corrected=p)
        shown += corrected([made] + [replace(made, p=1.0)] * (family - 1))[0].shown
    assert 0.72 < shown / 250 < 0.86


STEPS, DIRECT = "hf:trained-on-steps", "hf:trained-directly"


def trained() -> list[ResultRow]:
    """Two policies, each in the format that it was trained for: steps solve more, by whatever agent."""
    agents = {DIRECT: ("greedy", "best_of_n", "oracle"), STEPS: ("greedy", "best_of_n", "mcts", "oracle")}
    return [
        replace(
            row(task, agent, task < (6 if policy == DIRECT else 16), limit=limit),
            policy=policy,
            format="vanilla" if policy == DIRECT else "pseudocode",
        )
        for policy, found in agents.items()
        for agent in found
        for limit in (64, 128)
        for task in range(40)
    ]


def test_formats_of_a_policy_each_are_compared_as_one_family() -> None:
    found = comparisons(trained(), "best_of_n", "vanilla")
    compared = {(setting.agent, setting.budget.tokens): one for setting, one in found.items()}
    assert compared.keys() == {
        (agent, limit) for agent in ("greedy", "best_of_n", "mcts", "oracle") for limit in (64, 128)
    }
    one = compared["mcts", 64]
    assert one.a == f"mcts {STEPS} pseudocode @ 64 tokens"
    assert one.b == f"best_of_n {DIRECT} vanilla @ 64 tokens"  # that format has no mcts
    assert compared["greedy", 64].b == f"greedy {DIRECT} vanilla @ 64 tokens"
    # ten of 40 differ, all one way; three lines of a budget without the oracle's
    assert (one.family, one.p, one.p_corrected) == (3, 2 / 2**10, pytest.approx(6 / 2**10))
    assert compared["oracle", 64].family == 1


def test_a_policy_of_both_formats_is_compared_with_itself() -> None:
    rows = [
        *trained(),
        *(replace(row(task, "greedy", True), policy=STEPS, format="vanilla") for task in range(40)),
    ]
    found = comparisons(rows, "best_of_n", "vanilla")
    assert {one.b for one in found.values() if one.a.startswith("greedy")} == {
        f"greedy {STEPS} vanilla @ 64 tokens"
    }


def test_several_policies_to_compare_with_ask_for_one() -> None:
    base = [
        replace(row(task, agent, task < 3, limit=limit), policy="hf:base", format="vanilla")
        for agent in ("greedy", "best_of_n")
        for limit in (64, 128)
        for task in range(40)
    ]
    rows = [*trained(), *base]
    with pytest.raises(UsageError) as told:
        comparisons(rows, "best_of_n", "vanilla")
    assert str(told.value) == (
        f"{STEPS} was not run in vanilla on toy, and several policies were; choose the one to compare with "
        f"(--baseline-policy): {DIRECT}, hf:base"
    )
    found = comparisons(rows, "best_of_n", "vanilla", "hf:base")
    at_64 = {
        (one.agent, one.policy): (found[one].b, found[one].family) for one in found if one.budget.tokens == 64
    }
    best, greedy = (f"{agent} hf:base vanilla @ 64 tokens" for agent in ("best_of_n", "greedy"))
    # direct answers and steps, both beside the untrained direct answers, are one family of five
    assert at_64 == {
        ("greedy", DIRECT): (greedy, 5),
        ("best_of_n", DIRECT): (best, 5),
        ("oracle", DIRECT): (best, 1),
        ("greedy", STEPS): (greedy, 5),
        ("best_of_n", STEPS): (best, 5),
        ("mcts", STEPS): (best, 5),
        ("oracle", STEPS): (best, 1),
    }
    # without a format policies are compared within the format of each
    assert {one.policy for one in comparisons(rows, "greedy", policy="hf:base")} == {DIRECT}
    with pytest.raises(UsageError, match="no rows of policy 'hf:other'; there are: hf:trained-directly"):
        comparisons(rows, "greedy", policy="hf:other")


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
