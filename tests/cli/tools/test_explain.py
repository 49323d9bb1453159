"""``o1coder explain``: an answer of a run with the hidden tests that it failed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import problem_row_to_json
from o1coder_gym.reporting.results import RESULTS, ResultRow, read_results
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import file_hashes
from o1coder_gym.types import Outcome, Usage
from tests.command_line import call

TASK = "starter/006-count-even"
WRONG = "def count_even(numbers):\n    return len(numbers)\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    answers = [("mcts:width=4", 512, WRONG), ("mcts:width=4", 64, None), ("greedy", 512, None)]
    answers.append(("my_agents.py:widest?width=2", 512, WRONG))
    with RunFolder.open(path, {"problems": "starter", "task_ids": [TASK]}) as folder:
        for agent, tokens, code in answers:
            outcome = Outcome.WRONG_ANSWER if code else None
            row = ResultRow(
                TASK, agent, 0, outcome, 1, 9, 0.5, code, 2, Usage(), budget=Budget(tokens=tokens)
            )
            folder.append(RESULTS, row.to_row())
    return path


def test_failed_tests_are_shown_with_what_came(run: Path) -> None:
    done = call("explain", run, TASK, "mcts")
    assert done.exit_code == 0, done.stderr
    assert "return len(numbers)" in done.stdout
    assert "✗ count_even(" in done.stdout
    assert "got " in done.stdout


def test_all_agents_and_json(run: Path) -> None:
    done = call("explain", run, TASK, "--json")
    mcts, greedy, _ = map(json.loads, done.stdout.splitlines())
    assert (mcts["agent"], mcts["budget"]["tokens"], greedy["failed"]) == ("mcts:width=4", 512, [])
    assert all(test["outcome"] == "wrong_answer" for test in mcts["failed"])


def test_a_beginning_of_the_task_id_will_do(run: Path) -> None:
    assert "return len(numbers)" in call("explain", run, "starter/006", "mcts").stdout


@pytest.mark.parametrize("name", ["widest", "my_agents.py:widest", "my_agents.py:widest?width=2"])
def test_own_code_by_its_name(run: Path, name: str) -> None:
    done = call("explain", run, TASK, name, "--json")
    assert [json.loads(line)["agent"] for line in done.stdout.splitlines()] == ["my_agents.py:widest?width=2"]


def test_a_smaller_budget(run: Path) -> None:
    assert "no program" in call("explain", run, TASK, "mcts", "--tokens", 64).stdout


def test_answers_are_not_explained_by_other_tests(run: Path, tmp_path: Path) -> None:
    problems = tmp_path / "own.jsonl"
    row = load_rows("starter").row(TASK)
    problems.write_text(json.dumps(problem_row_to_json(row)) + "\n")
    config = {"problems": str(problems), "task_ids": [TASK], "files": file_hashes(str(problems))}
    with RunFolder.open(tmp_path / "run", config) as folder:
        folder.append(RESULTS, *(one.to_row() for one in read_results(run)))
    assert call("explain", folder.path, TASK, "mcts").exit_code == 0
    problems.write_text(json.dumps(problem_row_to_json(replace(row, tests=row.tests[1:]))) + "\n")
    refused = call("explain", folder.path, TASK, "mcts").exception
    assert isinstance(refused, UsageError)
    assert "own.jsonl has changed since" in str(refused)
    assert call("explain", folder.path, TASK, "mcts", "--problems", problems).exit_code == 0


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("starter/007",), UnknownNameError),
        ((TASK, "puct"), UnknownNameError),
        ((TASK, "greedy", "--seed", "3"), UsageError),
    ],
)
def test_what_is_not_in_the_run_is_said(run: Path, words: tuple[str, ...], kind: type) -> None:
    assert type(call("explain", run, *words).exception) is kind
