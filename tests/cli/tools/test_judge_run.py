"""A run judged on other tests by command, and compared as any other."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def plus(tmp_path: Path, problems: Path) -> Path:
    """One of the two problems, with a test that no program passes."""
    row = json.loads(problems.read_text().splitlines()[0])
    row["tests"] = [{"kind": "assert", "code": "assert double(0) == 1"}]
    path = tmp_path / "plus.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return path


@pytest.fixture
def run(o1coder, problems, script) -> str:
    done = o1coder(
        *("bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "best_of_n:n=2"),
        *("--tokens", "32,64", "--out", "run"),
    )
    assert done.returncode == 0, done.stderr
    return "run"


def test_a_run_is_judged_on_other_tests_and_compared(o1coder, run, plus):
    done = o1coder("judge", "run", run, "--problems", plus, "--out", "plus")
    assert done.returncode == 0, done.stderr
    assert "left out: 8 rows on problems that are not in the set: 1 problem of problems.jsonl" in done.stderr
    assert "of the oracle, which chose by the run's own hidden tests" in done.stderr
    rows = [json.loads(line) for line in Path("plus", "results.jsonl").read_text().splitlines()]
    # Greedy, the blind choice and best of n within two budgets.
    assert len(rows) == 6
    assert {row["task_id"] for row in rows} == {"toy/double"}
    assert not any(row["solved"] for row in rows)
    done = o1coder("compare", "plus", "--baseline", "greedy", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["difference"]["count"] for row in json.loads(done.stdout)} == {1}
    assert o1coder("report", "plus", "--no-figures").returncode == 0


def test_it_goes_on_and_prints_rows(o1coder, run, plus):
    assert o1coder("judge", "run", run, "--problems", plus, "--out", "plus").returncode == 0
    again = o1coder("judge", "run", run, "--problems", plus, "--out", "plus", "--json")
    assert again.returncode == 1
    assert "resume" in again.stderr
    again = o1coder("judge", "run", run, "--problems", plus, "--out", "plus", "--resume", "--json")
    assert again.returncode == 0, again.stderr
    assert len(json.loads(again.stdout)) == 6


def test_a_set_without_its_problems_is_refused(o1coder, run):
    done = o1coder("judge", "run", run, "--problems", "starter", "--out", "plus")
    assert done.returncode == 2
    assert "none of its problems" in done.stderr
