"""`solve`: an answer to each problem, with its search and what the hidden tests say."""

import json
from functools import partial
from pathlib import Path

import pytest

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments import Solver, solve
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data.search_tree import TREES
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.types import Outcome, Usage
from o1coder_gym.types.queries import Answer, Query

RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "square": "def square(x):\n    return x * x",
}


@pytest.fixture
def rows(problems: Path) -> list[ProblemRow]:
    return list(load_rows(str(problems)))


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """Writes the right program for every problem, after a wrong one."""
    wrong = {"type": "code", "text": "def double(x):\n    return x + 1"}
    steps = [[{"type": "define", "text": "Double it."}], [wrong, {"type": "code", "text": RIGHT["double"]}]]
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"problems": {"*": {"depths": steps}}}))
    return f"scripted:{path}"


def test_each_problem_has_its_answer_in_order(rows: list[ProblemRow], policy: str) -> None:
    answers = solve(rows, Solver("best_of_n:n=8", policy))
    assert [answer.result.task.task_id for answer in answers] == [row.problem.task_id for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        assert answer.tree.problem.task_id == row.problem.task_id
        assert answer.result.error is None
        assert (answer.hidden is None) == (not row.tests)
    double = answers[0]
    assert double.code == RIGHT["double"]
    assert double.passes


def test_a_search_of_your_own_goes_by_the_name_it_is_given(rows: list[ProblemRow], policy: str) -> None:
    solver = Solver("mine", policy, search=partial(best_of_n, n=8), budget=Budget(tokens=200))
    (answer,) = solve(rows[:1], solver)
    assert answer.result.task.name == answer.tree.agent == "mine"
    assert answer.passes


def test_no_program_within_the_budget_is_no_pass(rows: list[ProblemRow], policy: str) -> None:
    (answer,) = solve(rows[:1], Solver("greedy", policy, budget=Budget(tokens=0)))
    assert (answer.code, answer.hidden, answer.passes) == (None, None, False)


def test_unknown_names_are_refused_before_anything_is_asked(rows: list[ProblemRow], policy: str) -> None:
    asked: list[Query] = []

    def ask(task: Task, query: Query, answer: Answer, usage: Usage) -> None:
        asked.append(query)

    wrong_ones = (
        Solver("mtcs", policy),
        Solver("greedy", "scripted_:x"),
        Solver("greedy", policy, format="prose"),
        Solver("greedy", policy, scorer="no_such_scorer"),
    )
    for wrong in wrong_ones:
        with pytest.raises(UsageError):
            solve(rows[:1], wrong, on_query=ask)
    assert not asked


def test_a_resumed_folder_pays_nothing_twice(rows: list[ProblemRow], policy: str, tmp_path: Path) -> None:
    solver = Solver("best_of_n:n=8", policy)
    with RunFolder.open(tmp_path / "run", {}) as folder:
        first = solve(rows, solver, folder=folder)
    journal = (tmp_path / "run" / "answers.jsonl").read_text()
    with RunFolder.open(tmp_path / "run", {}, resume=True) as folder:
        second = solve(rows, solver, folder=folder)
    assert [one.code for one in first] == [one.code for one in second]
    assert [one.hidden for one in first] == [one.hidden for one in second]
    assert (tmp_path / "run" / "answers.jsonl").read_text() == journal
    trees = read_rows(tmp_path / "run" / f"{TREES}.jsonl")
    assert {row["task_id"] for row in trees} == {row.problem.task_id for row in rows}


def test_what_has_no_hidden_tests_is_not_called_passed(rows: list[ProblemRow], policy: str) -> None:
    bare = ProblemRow(rows[0].problem, tests=(), reference=None)
    (answer,) = solve([bare], Solver("best_of_n:n=8", policy))
    assert answer.code is not None
    assert (answer.hidden, answer.passes) == (None, False)
    (answer,) = solve(rows[:1], Solver("best_of_n:n=8", policy))
    assert answer.hidden is not None
    assert answer.hidden.outcome is Outcome.PASS
