"""What is wrong with answers, by rules; and formats compared in pairs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.cli.search.compare import CompareSettings, compare
from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.results import RESULTS, ResultRow
from o1coder_gym.reporting.tables.comparison_table import failure_lines
from o1coder_gym.reporting.tables.failures import RULES, count_failures, failure_of
from o1coder_gym.reporting.tables.places import compare_places, read_place
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Outcome, Usage


def row(
    outcome: Outcome | None,
    code: str | None = "def f(x):\n    return x",
    *,
    value: float = 0.0,
    task: str = "p/0",
    agent: str = "greedy",
    format: str = "pseudocode",
    cut: bool = False,
    error: str = "",
) -> ResultRow:
    return ResultRow(
        task,
        agent,
        0,
        outcome,
        int(outcome is Outcome.PASS),
        1,
        value,
        code,
        1,
        Usage(tokens=10),
        error,
        problems="toy",
        format=format,
        budget=Budget(tokens=64),
        cut=cut,
    )


WRONG, BROKEN = Outcome.WRONG_ANSWER, Outcome.COMPILE_ERROR


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (row(None, None, error="the engine died"), "no answer: an engine or a judge failed"),
        (row(None, None, cut=True), "cut by the budget before a program"),
        (row(None, None), "no program"),
        (row(BROKEN, "def f(xs: list of int, n):\n    return n"), "types in words, as in pseudocode"),
        (row(BROKEN, "def f(xs) -> list of str:\n    return xs"), "types in words, as in pseudocode"),
        (row(BROKEN, "for x in list of int"), "no Python"),
        (row(WRONG, "def longest_run(values, limit):\n    return 0"), "the worked example's function"),
        (row(Outcome.RUNTIME_ERROR, "def f(x):\n    return widths(x)"), "calls a function that is nowhere"),
        (row(Outcome.RUNTIME_ERROR, "def f(x):\n    return x[9]"), "raises"),
        (row(Outcome.TIMEOUT, "def f(x):\n    while x: pass"), "too slow or too large"),
        (row(Outcome.MEMORY), "too slow or too large"),
        (row(WRONG, value=0.5), "wrong, and fails tests it could see"),
        (row(WRONG, value=1.0), "wrong, and passes all tests it could see"),
        (row(Outcome.PASS), ""),
    ],
)
def test_the_first_rule_that_holds_names_a_failure(answer: ResultRow, told: str) -> None:
    assert failure_of(answer) == told
    assert not told or told in RULES


@pytest.mark.parametrize(
    "code",
    [
        "import math as m, os.path\nfrom re import sub as s\nm(); os(); s()",
        "def f(g, *h, k=1, **o):\n    g(); h(); k(); o(); f()",
        "class C:\n    pass\nC()",
        "[g() for g in []]\nwith a as b: b()\nfor c in []: c()\n(d := len); d()",
        "try: pass\nexcept ValueError as e: e()",
        "match len:\n    case n: n()\n    case [*r]: r()",
        "from typing import *\nList()",
        "print(sorted(max(1, 2)))\nx.y()",
        "def f(",
    ],
)
def test_what_a_program_binds_may_be_called(code: str) -> None:
    assert failure_of(row(Outcome.RUNTIME_ERROR, code)) == "raises"


def test_counts_are_of_the_problems_asked_about_in_the_order_of_the_rules() -> None:
    rows = [
        row(WRONG, task="p/0", value=1.0),
        row(WRONG, task="p/1"),
        row(None, None, task="p/2"),
        row(WRONG, task="p/3"),
        row(Outcome.PASS, task="p/1"),  # another seed
        row(Outcome.INFRASTRUCTURE, task="p/1"),
        row(BROKEN, task="p/9"),
    ]
    found = count_failures(rows, ("p/0", "p/1", "p/2", "p/3"))
    assert [*found.items()] == [
        ("no program", 1),
        ("wrong, and fails tests it could see", 2),
        ("wrong, and passes all tests it could see", 1),
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Direct answers solve all of 8 problems; steps by greedy the first two, by mcts none of them."""
    path = tmp_path_factory.mktemp("runs") / "formats"
    found = [
        *(row(Outcome.PASS, task=f"p/{n}", format="vanilla") for n in range(8)),
        *(row(Outcome.PASS if n < 2 else BROKEN, task=f"p/{n}") for n in range(8)),
        *(row(None, None, task=f"p/{n}", agent="mcts", cut=True) for n in range(8)),
    ]
    with RunFolder.open(path, {}) as folder:
        folder.append(RESULTS, *(one.to_row() for one in found))
    return path


def test_formats_are_compared_agent_by_agent_and_the_rest_with_the_baseline(run: Path) -> None:
    greedy, mcts = compare_places([read_place(f"{run}")], "greedy", "vanilla")
    assert (greedy.name, greedy.against) == ("greedy pseudocode", "greedy vanilla")
    assert (mcts.name, mcts.against) == ("mcts pseudocode", "greedy vanilla")
    assert greedy.changes.lost == tuple(f"p/{n}" for n in range(2, 8))
    # 6 of 8 differ, always the same way: p = 2 / 2^6 and 2 / 2^8, the smaller one doubled (Holm)
    assert [one.comparison.p for one in (greedy, mcts)] == pytest.approx([2 / 2**6, 2 / 2**8])
    assert [one.comparison.p_corrected for one in (greedy, mcts)] == pytest.approx([2 / 2**6, 2 / 2**7])
    assert [one.failures for one in (greedy, mcts)] == [
        {"no Python": 6},
        {"cut by the budget before a program": 8},
    ]
    assert list(failure_lines([greedy])) == [
        "greedy pseudocode, where only greedy vanilla solves @ 64 tokens",
        "    6 no Python",
    ]


def test_each_policy_in_its_own_format_is_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFolder.open(tmp_path / "run", {}) as folder:
        for policy, format, agent, solved in (
            ("hf:direct", "vanilla", "greedy", 12),
            ("hf:steps", "pseudocode", "greedy", 2),
            ("hf:steps", "pseudocode", "mcts", 4),
        ):
            found = (
                row(Outcome.PASS if n < solved else BROKEN, task=f"p/{n}", agent=agent, format=format)
                for n in range(12)
            )
            folder.append(RESULTS, *(replace(one, policy=policy).to_row() for one in found))
    asked = CompareSettings(a=f"{tmp_path}/run", baseline_format="vanilla", as_json=True)
    compare(asked)
    greedy, mcts = json.loads(capsys.readouterr().out)
    assert (greedy["a"], greedy["b"]) == ("greedy hf:steps pseudocode", "greedy hf:direct vanilla")
    assert (mcts["a"], mcts["b"]) == ("mcts hf:steps pseudocode", "greedy hf:direct vanilla")
    # 10 and 8 of 12 differ, all one way: p = 2 / 2^10, doubled (Holm), and 2 / 2^8
    assert (greedy["p_corrected"], mcts["p_corrected"]) == pytest.approx((4 / 2**10, 2 / 2**8))
    assert (greedy["family"], greedy["failures"], mcts["failures"]) == (
        2,
        {"no Python": 10},
        {"no Python": 8},
    )
    # fewer than 7 problems that differ cannot be shown as one of two
    assert mcts["detectable"] == pytest.approx(max(7 / 12, greedy["detectable"]), abs=0.1)
    assert "gaps" not in mcts
    (tmp_path / "page.html").touch()
    compare(replace(asked, as_json=False, why=True, export=(tmp_path / "page.html",)))
    assert "hf:direct vanilla" in (tmp_path / "page.html").read_text().replace("<wbr>", "")
    with pytest.raises(UsageError, match="no other policy than hf:steps to compare on the same problems"):
        compare(replace(asked, baseline_format=None, baseline_policy="hf:steps"))


def test_what_one_seed_of_several_solves_is_not_lost(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        for format, solved in (("vanilla", (3, 3, 0)), ("pseudocode", (2, 0, 0))):
            found = [
                replace(
                    row(Outcome.PASS if seed < count else BROKEN, task=f"p/{n}", format=format), seed=seed
                )
                for n, count in enumerate(solved)
                for seed in range(3)
            ]
            folder.append(RESULTS, *(one.to_row() for one in found))
    (pair,) = compare_places([read_place(f"{tmp_path}")], "greedy", "vanilla")
    # the seed that fails p/0 is no answer to a problem that only the other solves; all three of p/1 are
    assert (pair.changes.lost, pair.failures) == (("p/1",), {"no Python": 3})


def test_a_format_that_was_not_run_is_told(run: Path) -> None:
    with pytest.raises(UsageError, match="no rows of format 'functions'; there are: vanilla, pseudocode"):
        compare_places([read_place(f"{run}")], "greedy", "functions")
