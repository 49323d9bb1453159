import inspect
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, load_agent
from o1coder_gym.agents.beam import by_scorer
from o1coder_gym.agents.registry import STRATEGIES
from o1coder_gym.agents.search.expansion import progressive
from o1coder_gym.agents.search.leaf_values import scored
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.specs import registry
from o1coder_gym.types import Sampling


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("tokens", [0, 20, 100, 400, 1000, 3000])
def test_every_agent_spends_at_most_its_budget_and_answers(toy: ModuleType, name: str, tokens: int) -> None:
    agent = load_agent(name)
    tasks = [Task(f"p{i}", agent, Budget(tokens=tokens)) for i in range(8)]
    for result in Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks):
        assert result.error is None
        assert result.result is not None
        assert result.usage.tokens <= tokens
        assert 0.0 <= result.result.value <= 1.0
        state = result.result.state
        assert state is None or (state.problem_id == result.task.task_id and state.code is not None)


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("action", ["mumble", "think 0", "judge down", "code 0", ""])
def test_every_agent_ends_with_a_policy_of_one_action(toy: ModuleType, name: str, action: str) -> None:
    (result,) = Driver(toy.ToyModel(), toy.FixedPolicy(action)).run([Task("p", load_agent(name))])
    assert result.error is None
    assert result.result is not None
    assert (result.result.code is not None) == (action in ("judge down", "code 0"))


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_is_documented(name: str) -> None:
    doc = AGENTS[name].__doc__
    assert doc is not None
    assert "Returns:" in doc
    for parameter in registry.find("agent", name).parameters():
        assert parameter.meaning, parameter.name


def bound(spec: str) -> dict[str, Any]:
    """The arguments that a spec binds."""
    agent = load_agent(spec)
    assert isinstance(agent, partial)
    return agent.keywords


def test_arguments_are_bound() -> None:
    spec = "mcts:width=2,c=0.5,early_stop=true,evaluate=scored,widening=progressive"
    assert bound(spec) == {
        "width": 2,
        "c": 0.5,
        "early_stop": True,
        "evaluate": scored,
        "widening": progressive,
    }
    assert bound("beam:rank=by_scorer") == {"rank": by_scorer}


def test_sampling_is_given_by_its_fields() -> None:
    expected = {"n": 3, "sampling": Sampling(temperature=1.0, max_tokens=64)}
    assert bound("best_of_n:n=3,temperature=1,max_tokens=64") == expected


def test_a_bare_name_is_the_function() -> None:
    assert load_agent("greedy") is AGENTS["greedy"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mcts:width", "expected key=value, got 'width'"),
        ("mcts:depth=3", "unknown argument 'depth'; did you mean 'width'? Known: alpha_compile, c,"),
        ("mcts:width=two", "width must be a whole number or null, got 'two'"),
        ("mcts:width=2.5", "width must be a whole number or null, got '2.5'"),
        ("mcts:c=nan", "c must be at least 0 and finite, got nan"),
        ("mcts:c=-1", "c must be at least 0"),
        ("mcts:early_stop=yes", "early_stop must be true or false"),
        ("mcts:width=0", "width must be at least 1, got 0"),
        ("mcts:parallel=0", "parallel must be at least 1"),
        ("mcts?simulations=0", "simulations must be at least 1, got 0"),
        ("ab_mcts?simulations=0", "simulations must be at least 1, got 0"),
        ("best_of_n:n=0", "n must be at least 1, got 0"),
        ("beam:branch=0", "branch must be at least 1"),
        ("diverse_beam:groups=0", "groups must be at least 1, got 0"),
        ("mcts:tree=x", "tree cannot be given in a spec"),
        ("greedy:temperature=1", "unknown argument 'temperature'"),
    ],
)
def test_a_bad_argument_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_agent(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown agent 'mtcs'; did you mean 'mcts'\? Known: .*puct"):
        load_agent("mtcs")
    known = "mixed, mixed_mean, mixed_min, mixed_product, rollout, scored, scored_mean, scored_min"
    with pytest.raises(UnknownNameError, match=f"unknown evaluate 'guess'; known: {known}"):
        load_agent("mcts:evaluate=guess")


def test_strategies_are_arguments_of_some_agent() -> None:
    arguments = {name for agent in AGENTS.values() for name in inspect.signature(agent).parameters}
    assert set(STRATEGIES) <= arguments
