from collections.abc import Sequence
from types import ModuleType

from o1coder_gym.agents import Driver, Task, load_agent
from o1coder_gym.envs import ReasoningModel
from o1coder_gym.runs.budget import Budget
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import FORMATS
from o1coder_gym.types import ActionType, CallTest, PolicyRequest, Problem, Proposal, State

PROBLEM = Problem("p", "Return twice x.", "double", (CallTest("[2]", "4"), CallTest("[3]", "6")))
WRONG, RIGHT = "def double(x):\n    return x * x", "def double(x):\n    return 2 * x"


class Learner:
    """Writes the wrong program until a prompt says what it returned."""

    def __init__(self, format: str) -> None:
        self.format = FORMATS[format]
        self.requests: list[PolicyRequest] = []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.requests += requests
        return [(Proposal(self._write(request), 10, -1.0),) * request.n for request in requests]

    def _write(self, request: PolicyRequest) -> str:
        prompt = self.format.prompt(request.problem, request.state)
        told = "double(3): got 9, expected 6" in prompt.prefill and WRONG in prompt.prefill
        code = RIGHT if told else WRONG
        if self.format.name == "vanilla":
            return f"```python\n{code}\n```\n"
        return f"### Step {request.state.depth + 1} (code)\n```python\n{code}\n```\n"


def test_feedback_reaches_the_policy_in_both_formats() -> None:
    for name in ("pseudocode", "vanilla"):
        policy = Learner(name)
        model = ReasoningModel([PROBLEM], default_judge(), format=FORMATS[name], max_steps=2)
        (done,) = Driver(model, policy).run(
            [Task("p", load_agent("self_repair?early_stop=true"), Budget(tokens=100))]
        )
        assert done.error is None
        assert done.result is not None
        assert (done.result.code, done.result.value) == (RIGHT, 1.0)
        # a program, its correction, and no more once it passes; the note itself costs nothing
        assert (done.usage.tokens, done.usage.calls, done.usage.executions) == (20, 2, 2)
        assert done.result.state is not None
        assert [step.type for step in done.result.state.steps] == [ActionType.REFINE, ActionType.CODE]


def test_after_its_repairs_it_starts_afresh(toy: ModuleType) -> None:
    class Told(toy.ToyModel):
        def _one(self, state: State, action: str):
            transition = super()._one(state, action)
            object.__setattr__(transition, "feedback", "wrong")
            return transition

    policy = toy.FixedPolicy("code 2")
    (done,) = Driver(Told(), policy).run([Task("p", load_agent("self_repair:starts=2,repairs=3"))])
    assert [request.state.depth for request in policy.requests] == [0, 1, 1, 1, 0, 1, 1, 1]
    assert done.result is not None
    assert done.result.value == 0.5


def test_without_feedback_there_is_no_repair(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("code 2")
    Driver(toy.ToyModel(), policy).run([Task("p", load_agent("self_repair:starts=3"))])
    assert [request.state.depth for request in policy.requests] == [0, 0, 0]
