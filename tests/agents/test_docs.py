"""The examples of docs/searching.md are run as they stand there."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.runs.budget import Budget

DOCUMENT = Path(__file__).parents[2] / "docs" / "searching.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_the_driver_runs_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    steps = [[{"type": "define", "text": "a plan"}], [{"type": "code", "text": "def solve(values): 0"}]]
    Path("script.json").write_text(json.dumps({"problems": {"*": {"depths": steps}}}))
    (source,) = [example for example in EXAMPLES if "driver.stream" in example]
    exec(source.replace("hf:tiny", "scripted:script.json"), {})  # quick, and the same everywhere
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert sorted(line[1] for line in lines) == [f"micro/test-000{number}" for number in range(4)]
    assert {line[-1] for line in lines} == {"None"}  # no error


def test_the_example_agent_works(toy: ModuleType) -> None:
    (source,) = [example for example in EXAMPLES if "def first_that_passes" in example]
    names: dict[str, Any] = {}
    exec(source, names)
    agent = names["first_that_passes"]
    check_agent(agent, toy.ToyModel(), toy.ToyPolicy(), task_ids=["p"])
    (result,) = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p", agent, Budget(tokens=3000))])
    assert result.result is not None
    assert result.result.value == 1.0
