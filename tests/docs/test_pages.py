"""The pages do what they say: their Python runs, their commands exist, their links lead somewhere."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from o1coder_gym.cli.main import app
from o1coder_gym.experiments.suite import read_suite
from o1coder_gym.reporting.results import RESULTS, ResultRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Outcome, Usage

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
COMMANDS: Any = typer.main.get_command(app)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in a language; ``""`` for those that name none."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), flags=re.M | re.S)


def run(page: str) -> dict[str, Any]:
    """Runs all Python blocks of a page in one namespace and returns it."""
    namespace: dict[str, Any] = {"__name__": page}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page}, block {number}", "exec"), namespace)
    return namespace


def test_getting_started_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("getting_started.md")
    assert (names["reward"], names["info"]["outcome"]) == (1.0, "pass")
    assert names["done"].result.value == 1.0
    assert names["done"].result.code == names["right"]


def test_reinforcement_learning_libraries_train_on_choices(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("rl_libraries.md")
    assert names["ppo"].num_timesteps == 32
    assert names["chosen"] in names["env"].action_space
    told = capsys.readouterr().out.splitlines()[-2:]
    assert [line.split(":")[0] for line in told] == ["update 0", "update 1"]
    assert names["loss"].isfinite()


def test_the_doors_that_need_no_other_package_open(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("doors.md")
    assert names["found"].reward == 1.0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "1.0 pass False"
    assert told[1:] == ["1.0", "['wrong_answer', 'pass', 'wrong_answer', 'wrong_answer']", "1.0"]


def test_the_formulas_of_the_paper_hold() -> None:
    assert run("paper.md")["found"].rate == 0.5


def test_results_are_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunFolder.open("runs/first", {}) as folder:
        for agent, outcome in (("greedy", Outcome.WRONG_ANSWER), ("mcts", Outcome.PASS)):
            row = ResultRow("p", agent, 0, outcome, 0, 1, 0.0, "", 1, Usage(tokens=9))
            folder.append(RESULTS, row.to_row())
    assert run("benchmark.md")["comparison"].difference.mean == 1.0


def test_experiments_run_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run("experiments.md")
    assert names["solved"] == {"greedy": False, "best_of_n:n=8": True}
    assert names["comparison"].difference.mean == 1.0
    assert [row.to_row() for row in names["again"]] == [row.to_row() for row in names["rows"]]
    assert len(names["data"].paths) == 1


def test_the_suite_of_the_page_is_one(tmp_path: Path) -> None:
    (text,) = blocks("benchmark.md", "yaml")
    (tmp_path / "suite.yaml").write_text(text)
    assert read_suite(tmp_path / "suite.yaml").tokens == (512, 1024, 2048)


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(page: str) -> None:
    for block in (*blocks(page, ""), *blocks(page, "sh")):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("o1coder "):
                check_command(shlex.split(line.split("  #")[0], comments=True)[1:])


def check_command(words: list[str]) -> None:
    """Follows the words through the commands and compares the options used with those that exist."""
    command = COMMANDS
    known = set()
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
        known |= {option for parameter in command.params for option in parameter.opts}
    assert command is not COMMANDS, words
    used = {word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z].*", word)}
    assert used <= known | {"--help"}, (words, used - known)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")):
            assert (DOCS / target.partition("#")[0]).exists(), target


def test_every_page_is_within_reach() -> None:
    named = re.findall(r"^[a-z_]+$", (DOCS / "index.md").read_text(), flags=re.M)
    assert {f"{name}.md" for name in named} <= set(PAGES)


def test_rows_of_the_problem_page_are_json() -> None:
    for block in blocks("problems.md", "json"):
        assert json.loads(block)["task_id"]
