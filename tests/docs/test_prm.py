"""The page on data, policy and PRM: its Python runs, its specs load."""

import re
from pathlib import Path

import pytest

from o1coder_gym.agents import load_agent
from tests.command_line import call

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "prm.md").read_text()
SCRIPT = """{"problems": {"*": [{"type": "define", "text": "Think of it.", "then":
    [{"type": "code", "text": "def f():\\n    return 1"}]}]}}"""


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.json").write_text(SCRIPT)
    options = ["--policy", "scripted:script.json", "--limit", "12", "--tests", "0", "--out", "runs/data"]
    done = call("synthesize", *options)
    assert done.exit_code == 0, done.output
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S):
        exec(block, names)
    assert names["report"].problems == 12
    assert 0 <= names["scorer"].score([(names["problem"], names["row"].state)])[0] <= 1


def test_its_agents_load() -> None:
    specs = re.findall(r"`((?:mcts|puct|beam|best_of_n)[?:][a-z_=,&]+)`", PAGE)
    assert len(specs) >= 6
    for spec in specs:
        load_agent(spec)
