"""The desk runs whatever agents may ask for."""

from queue import SimpleQueue

from o1coder_gym.agents import TaskResult, load_agent
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.serving.desk import Desk, Event, Order
from o1coder_gym.policies.scripted import ScriptedPolicy
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import CallTest, Problem

CODES = ("def double(x):\n    return 2 * x", "def double(x):\n    return x * x")
QUESTION = Problem("q", "Return twice x.", "double", (CallTest("[2]", "4"),))


def test_an_agent_with_an_adversary_is_served() -> None:
    model = ReasoningModel([Problem("", "?")], default_judge(), format=VANILLA)
    steps = [{"type": "code", "text": code} for code in CODES]
    policy = ScriptedPolicy.from_rows({"problems": {"*": {"depths": [steps]}}}, VANILLA)
    desk, told = Desk(model, policy, live=1, waiting=0), SimpleQueue[Event]()
    agent = load_agent("best_of_n?n=16&adversary=mutation")
    desk.submit([Order("o", QUESTION, agent, Budget(), seed=0)], [told.put])
    while not isinstance(event := told.get(timeout=30), TaskResult):
        pass
    desk.close()
    assert event.error is None
    assert event.result is not None
    assert event.result.partings  # both programs pass the public test, and differ elsewhere
