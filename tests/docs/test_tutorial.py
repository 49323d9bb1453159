"""The tutorial does what it says: its agent is found by its path, and breaks no rule."""

import json
import re
from pathlib import Path

import pytest

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import UsageError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text()
SOURCE, CHECK = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)
STEPS = [[{"type": "define", "text": "a plan"}], [{"type": "code", "text": "def solve(xs): 0"}]]


def test_the_agent_keeps_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("my_agents.py").write_text(SOURCE)
    Path("script.json").write_text(json.dumps({"problems": {"*": {"depths": STEPS}}}))
    assert "hf:tiny" in CHECK  # a script here, which is quick and the same everywhere
    exec(compile(CHECK.replace("hf:tiny", "scripted:script.json"), "tutorial.md", "exec"), {})
    assert capsys.readouterr().out.startswith("no clause broken in 28 searches of 2 problems")


def test_its_retries_are_checked(tmp_path: Path) -> None:
    (tmp_path / "my_agents.py").write_text(SOURCE)
    with pytest.raises(UsageError, match="retries"):
        load_agent(f"{tmp_path}/my_agents.py:backtrack?retries=-1")
