"""The README does what it says: its samples run and succeed, its figures are those that were measured."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from o1coder_gym.envs import ReasoningModel
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.errors import MissingExtraError
from o1coder_gym.experiments.training.rl_settings import RLPolicySettings
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.problems.loading import load_problems, load_rows
from o1coder_gym.problems.validation import validate_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import Limits

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def block_with(word: str) -> str:
    """The Python block of the README that holds a word."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.M | re.S)
    (block,) = [block for block in blocks if word in block]
    return block


def sample(word: str) -> dict:
    """Runs the Python block of the README that holds a word; returns its names."""
    namespace: dict = {"__name__": "readme"}
    exec(compile(block_with(word), "README.md", "exec"), namespace)
    return namespace


def test_the_environment_sample_ends_with_success(capsys) -> None:
    names = sample("gym.make")
    assert names["info"]["is_success"]
    assert names["reward"] == 1.0
    assert capsys.readouterr().out.split() == ["True", "1.0", "pass"]


def test_the_agent_sample_passes_the_conformance_kit() -> None:
    agent = sample("def first_idea")["first_idea"]
    problems = list(load_problems("starter")[:2])
    steps = [[{"type": "define", "text": "a plan"}], [{"type": "code", "text": "def f():\n    return 0"}]]
    policy = ScriptedPolicy.from_rows({"problems": {"*": {"depths": steps}}})
    model = ReasoningModel(problems, default_judge(), max_steps=3)
    check_agent(agent, model, policy, task_ids=[problem.task_id for problem in problems])


def test_the_problem_of_one_s_own_is_one(tmp_path: Path) -> None:
    (line,) = re.findall(r"^```json\n(.*?)\n```$", README, flags=re.M | re.S)
    (tmp_path / "own.jsonl").write_text(line)
    (found,) = validate_rows(load_rows(str(tmp_path / "own.jsonl")), default_judge(), Limits())
    assert not found.failed
    understood = {problem.prompt for problem in load_problems("micro")}
    assert json.loads(line)["prompt"] in understood  # by the tiny model, which the text names to try it


def test_the_words_that_install_are_those_of_the_errors() -> None:
    words = str(MissingExtraError("matplotlib", "plots,train")).partition("run: ")[2]
    assert README.count(words) == 2


def test_training_says_that_generated_tests_are_rewarded_too() -> None:
    (text,) = re.findall(r"^A line of `own.jsonl` is a problem.*?(?=\n\n)", README, flags=re.M | re.S)
    assert "generated" in text
    assert RLPolicySettings().tests.tests > 0
    assert "`--tests 0`: your public tests alone" in text


def test_the_table_is_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "benchmarks" / "evidence" / "readme_pictures.py"
    spec = importlib.util.spec_from_file_location("readme_pictures", path)
    assert spec is not None
    assert spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "readme_pictures", pictures)
    spec.loader.exec_module(pictures)
    found = json.loads(pictures.FIGURES.read_text())
    assert f"{pictures.BEGIN}\n{pictures.table(found)}\n{pictures.END}" in README


@pytest.mark.parametrize("figure", ["14 to 39 %"])
def test_a_figure_of_pseudocode_stands_beside_direct_answers(figure: str) -> None:
    paragraphs = [" ".join(part.split()) for part in README.split("\n\n")]
    (paragraph,) = [part for part in paragraphs if figure in part]
    assert "solves 48 when it answers directly and 16 in steps" in paragraph
