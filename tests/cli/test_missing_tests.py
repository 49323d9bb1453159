"""Problems without tests on the command line: nothing is solved, and every command says so in one line."""

import json

import pytest

from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import CallTest, Problem

TEST = CallTest("[]", "1")
ROWS = [
    ProblemRow(Problem("a", "?", "f", (TEST,)), (TEST,)),
    ProblemRow(Problem("b", "?", "f"), (TEST,)),
    ProblemRow(Problem("c", "?", "f", (TEST,)), ()),
]
BLIND = "no public tests, so a search cannot tell right programs from wrong ones"
UNSEEN = f"1 of 2 problems has {BLIND} (toy/square)"
NEVER = "1 of 2 problems has no hidden tests: never solved (toy/square)"


@pytest.fixture
def bare(problems):
    """The two toy problems, the second without any tests."""
    first, second = map(json.loads, problems.read_text().splitlines())
    rows = (first, second | {"public_tests": [], "tests": []})
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return problems


def test_lines_by_hand():
    assert without_visible_tests(ROWS) == f"1 of 3 problems has {BLIND} (b)"
    assert without_visible_tests(ROWS, {"b": (TEST,)}) == ""
    assert without_hidden_tests(ROWS) == "1 of 3 problems has no hidden tests: never solved (c)"
    assert without_hidden_tests(ROWS[:2]) == ""


def test_bench_counts_what_has_no_tests_and_solves_none_of_it(o1coder, bare, script, tmp_path):
    out = tmp_path / "run"
    done = o1coder(
        "bench", "--problems", bare, "--policy", f"scripted:{script}", "--agent", "mcts:simulations=8",
        "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"warning: {UNSEEN}; {NEVER}" in done.stderr
    assert "1/2*" in done.stdout
    assert "*: 1 of 2 rows have no hidden tests and are never solved" in " ".join(done.stdout.split())
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    square = [row for row in rows if row["task_id"] == "toy/square"]
    assert {(row["outcome"], row["solved"], row["total"]) for row in square} == {("no_tests", False, 0)}
    assert "oracle" in {row["agent"] for row in square}
    assert all(row["code"] for row in square)
    assert "No hidden tests: 1 of 2 problems (toy/square)." in (out / "report.md").read_text()


def test_solve_says_that_there_are_no_tests(o1coder, bare, script):
    done = o1coder(
        "solve", "toy/square", "--problems", bare, "--policy", f"scripted:{script}", "--agent", "greedy"
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 problems has no public tests" in done.stderr
    assert "1 of 1 problems has no hidden tests" in done.stderr
    assert "pass" not in done.stderr.replace("could pass", "")


def test_judge_says_that_there_are_no_tests(o1coder, bare, tmp_path):
    rows = [{"task_id": "toy/square", "solution_id": 1, "code": "def square(x): return None"}]
    solutions = tmp_path / "solutions.jsonl"
    solutions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = o1coder("judge", "--problems", bare, "--solutions", solutions)
    assert json.loads(done.stdout)["outcome"] == "no_tests"
    assert f"warning: {UNSEEN}; {NEVER}" in done.stderr


def test_synthesize_makes_no_data_of_what_has_no_tests(o1coder, bare, script, tmp_path):
    done = o1coder(
        "synthesize", "--problems", bare, "--policy", f"scripted:{script}", "--agent", "mcts:simulations=8",
        "--tests", 0, "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"warning: {UNSEEN}" in done.stderr
    assert json.loads(done.stdout)["solved"] == 1
    assert "toy/square" not in (tmp_path / "run/prefixes.jsonl").read_text()
