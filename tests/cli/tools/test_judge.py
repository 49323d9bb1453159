import json
from pathlib import Path

import pytest

SOLUTIONS = [
    {"task_id": "toy/double", "solution_id": "right", "code": "def double(x):\n    return x + x"},
    {"task_id": "toy/square", "solution_id": 7, "code": "def square(x):\n    return 2 * x"},
    {"task_id": "toy/double", "solution_id": "broken", "code": "def double(x)"},
    {"task_id": "toy/double", "solution_id": "crash", "code": "def double(x):\n    return 1 // 0"},
    {"task_id": "toy/double", "solution_id": "exit", "code": "import os\nos._exit(0)"},
]


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    path = tmp_path / "solutions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SOLUTIONS))
    return path


def test_rows_come_in_order_with_every_test(o1coder, problems, solutions):
    done = o1coder("judge", "--problems", problems, "--solutions", solutions)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["solution_id"] for row in rows] == ["right", 7, "broken", "crash", "exit"]
    assert [row["outcome"] for row in rows] == [
        "pass",
        "wrong_answer",
        "compile_error",
        "runtime_error",
        "runtime_error",
    ]
    assert (rows[0]["passed"], rows[0]["total"]) == (3, 3)
    assert (rows[1]["passed"], rows[1]["total"]) == (1, 2)
    assert rows[1]["tests"][1] == {"outcome": "wrong_answer", "got": "6", "error": ""}
    assert "ZeroDivisionError" in rows[3]["error"]
    counted = "1 of 5 programs pass all tests; 2 runtime error, 1 wrong answer, 1 compile error"
    assert done.stderr.splitlines()[-1] == counted
    assert list(rows[0]) == [
        "task_id",
        "solution_id",
        "outcome",
        "passed",
        "total",
        "tests",
        "cpu_s",
        "error",
    ]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"task_id": "toy/double", "solution_id": 1}, "code"),
        ({"task_id": "toy/none", "solution_id": 1, "code": ""}, "task_id"),
        ({"task_id": "toy/double", "solution_id": None, "code": ""}, "solution_id"),
    ],
)
def test_a_malformed_row_is_named(o1coder, problems, solutions, row, field):
    solutions.write_text(solutions.read_text() + json.dumps(row) + "\n")
    done = o1coder("judge", "--problems", problems, "--solutions", solutions)
    assert done.returncode == 1
    assert "line 6" in done.stderr
    assert f"'{field}'" in done.stderr
    assert done.stdout == ""


def test_an_unknown_guarantee_is_a_usage_error(o1coder, problems, solutions):
    done = o1coder("judge", "--problems", problems, "--solutions", solutions, "--require", "luck")
    assert done.returncode == 2
    assert "luck" in done.stderr


def test_rows_of_a_run_solutions_and_completions_are_read(o1coder, problems, tmp_path):
    right = "def double(x):\n    return x + x"
    rows = [
        {"task_id": "toy/double", "agent": "mcts", "seed": 1, "budget": {"tokens": 64}, "code": right},
        {"task_id": "toy/double", "agent": "mcts", "seed": 2, "code": None},
        {"task_id": "toy/double", "solution": right},
        {"task_id": "toy/double", "completion": right},
        {"task_id": "toy/double", "completion": "\n\ndef double(x):\n    return 0"},
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = o1coder("judge", "--problems", problems, "--solutions", tmp_path / "results.jsonl")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["solution_id"], row["outcome"]) for row in found] == [
        ("mcts, seed 1 @64", "pass"),
        (3, "pass"),
        (4, "pass"),
        (5, "wrong_answer"),
    ]
