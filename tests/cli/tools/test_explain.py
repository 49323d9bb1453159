"""``o1coder explain``: an answer of a run with the hidden tests that it failed."""

import json
from pathlib import Path

import pytest

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.reporting.results import RESULTS, ResultRow
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
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
