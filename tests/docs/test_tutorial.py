"""The tutorial does what it says: its agent is found by its path, and breaks no rule."""

import re
from pathlib import Path

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.problems import load_problems
from o1coder_gym.sandbox import default_judge

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text()
SOURCE, CHECK = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)
STEPS = [[{"type": "define", "text": "a plan"}], [{"type": "code", "text": "def solve(xs): 0"}]]


def test_the_agent_keeps_the_rules(tmp_path: Path) -> None:
    (tmp_path / "my_agents.py").write_text(SOURCE)
    agent = load_agent(f"{tmp_path}/my_agents.py:backtrack?retries=1")
    problems = load_problems("micro", split="test")[:1]
    model = ReasoningModel(problems, default_judge(), max_steps=5)
    policy = ScriptedPolicy.from_rows({"problems": {"*": {"depths": STEPS}}})
    assert check_agent(agent, model, policy, task_ids=[problems[0].task_id]).programs > 0


@pytest.mark.slow
def test_the_check_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "my_agents.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    exec(compile(CHECK, "tutorial.md, check", "exec"), {})
