"""The example agent of docs/searching.md is run as it stands there."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

from o1coder_gym.agents import Driver, Task
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.runs.budget import Budget

DOCUMENT = Path(__file__).parents[2] / "docs" / "searching.md"


def test_the_example_agent_works(toy: ModuleType) -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (source,) = [example for example in examples if "def first_that_passes" in example]
    names: dict[str, Any] = {}
    exec(source, names)
    agent = names["first_that_passes"]
    check_agent(agent, toy.ToyModel(), toy.ToyPolicy(), task_ids=["p"])
    (result,) = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p", agent, Budget(tokens=3000))])
    assert result.result is not None
    assert result.result.value == 1.0
