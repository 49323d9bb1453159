"""Equal budgets are spent equally: no agent has another cap unless the user asks for one."""

from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, load_agent
from o1coder_gym.runs.budget import UNLIMITED, Budget

SPENDERS = [name for name in AGENTS if name not in ("greedy", "choice_ppo")]


def spent(toy: ModuleType, spec: str, budget: Budget, policy: Any = None) -> Any:
    tasks = [Task(f"p{i}", load_agent(spec), budget, name=spec) for i in range(6)]
    found = Driver(toy.ToyModel(), policy or toy.ToyPolicy(), toy.ToyScorer(), seed=4).run(tasks)
    assert [result.error for result in found] == [None] * 6
    return found


@pytest.mark.parametrize("spec", [*SPENDERS, "best_of_n:select=codet", "mcts?select=prm_last&select=tests"])
@pytest.mark.parametrize("tokens", [512, 4096])
def test_all_agents_spend_the_same_tokens(toy: ModuleType, spec: str, tokens: int) -> None:
    found = spent(toy, spec, Budget(tokens=tokens))
    # what is left is too little to begin a sample with
    assert all(result.exhausted and tokens - result.usage.tokens < 16 for result in found)


@pytest.mark.parametrize("spec", SPENDERS)
def test_all_agents_spend_the_same_samples_and_programs(toy: ModuleType, spec: str) -> None:
    assert {result.usage.calls for result in spent(toy, spec, Budget(calls=70))} == {70}
    assert {result.usage.executions for result in spent(toy, spec, Budget(executions=12))} == {12}


@pytest.mark.parametrize(
    ("spec", "calls"),
    [
        ("best_of_n:n=3", 15),
        ("best_of_n_random:n=3", 15),
        ("self_repair:starts=3", 15),
        ("beam:beams=1", 4 * 5),  # 2 · 2 at each of five depths
        ("diverse_beam:beams=1,groups=2", 4 * 5),
        ("mcts:simulations=1", 5),
        ("puct:simulations=1", 5),
        ("ab_mcts:simulations=2", 10),
    ],
)
def test_a_cap_that_is_asked_for_holds_under_any_budget(toy: ModuleType, spec: str, calls: int) -> None:
    for budget in (Budget(tokens=100_000), UNLIMITED):
        found = spent(toy, spec, budget, toy.ToyPolicy(code=0.0, malformed=0.0))
        assert not any(result.exhausted for result in found)
        assert max(result.usage.calls for result in found) <= calls


@pytest.mark.parametrize("spec", SPENDERS)
def test_without_a_budget_every_agent_ends(toy: ModuleType, spec: str) -> None:
    assert not any(result.exhausted for result in spent(toy, spec, UNLIMITED))


@pytest.mark.parametrize("spec", ["best_of_n", "mcts", "puct", "ab_mcts", "self_repair"])
def test_early_stop_ends_at_the_first_solution(toy: ModuleType, spec: str) -> None:
    found = spent(toy, f"{spec}:early_stop=true", Budget(tokens=50_000))
    assert all(result.result.value == 1.0 and not result.exhausted for result in found)
