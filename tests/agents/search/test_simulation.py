"""A search whose width is spent: where it goes on, and that it does."""

import math
import random
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, ab_mcts, beam, best_of_n, mcts, puct, self_repair
from o1coder_gym.agents.search.leaf_values import mixed
from o1coder_gym.agents.search.simulation import fewest_samples
from o1coder_gym.agents.search.tree import Node
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import PolicyRequest, Proposal, State, Transition
from tests.ids import without_address

TREE_SEARCHES = [mcts, puct, ab_mcts, partial(mcts, width=1), partial(mcts, width=2, parallel=4)]


class Sharp:
    """A policy that nearly always takes the same three thoughts; one of them is wrong for each problem."""

    def __init__(self, toy: ModuleType, chance: float = 0.9) -> None:
        self.toy, self.chance, self.requests = toy, chance, []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.requests += requests
        return [self.draw(request) for request in requests]

    def draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        generator, tokens = random.Random(request.seed), min(20, request.sampling.max_tokens)
        if request.state.depth == 3:
            return (Proposal("finish", tokens, -0.1),) * request.n
        drawn = [
            0 if generator.random() < self.chance else generator.randrange(1, 4) for _ in range(request.n)
        ]
        odds = [self.chance if option == 0 else (1 - self.chance) / 3 for option in drawn]
        pairs = zip(drawn, odds, strict=True)
        return tuple(Proposal(f"think {option}", tokens, math.log(chance)) for option, chance in pairs)


def world(toy: ModuleType) -> Any:
    class World(toy.ToyModel):
        """`finish` commits a program; it passes all if the step at one depth was another than the usual."""

        def _one(self, state: State, action: str) -> Transition:
            if action != "finish":
                return super()._one(state, action)
            number = int(state.problem_id[1:])
            usual = [step.text == "think 0" for step in state.steps]
            right = [depth != number % 3 for depth in range(3)]
            option = state.steps[number % 3].text == f"think {1 + number % 2}"
            return super()._one(state, "code 4" if usual == right and option else f"code {sum(usual)}")

    return World()


def solved_and_spent(toy: ModuleType, agent: Any, tokens: int, chance: float = 0.9) -> tuple[int, float]:
    tasks = [Task(f"p{i}", agent, Budget(tokens=tokens)) for i in range(20)]
    found = Driver(world(toy), Sharp(toy, chance), seed=1).run(tasks)
    assert [result.error for result in found] == [None] * 20
    solved = sum(result.result is not None and result.result.value == 1.0 for result in found)
    return solved, sum(result.usage.tokens for result in found) / (20 * tokens)


@pytest.mark.parametrize("agent", TREE_SEARCHES, ids=without_address)
@pytest.mark.parametrize("chance", [0.6, 0.97, 1.0])
def test_a_search_spends_its_budget_however_sharp_the_policy_is(
    toy: ModuleType, agent: Any, chance: float
) -> None:
    _, spent = solved_and_spent(toy, agent, 3000, chance)
    assert 0.99 <= spent <= 1.0


def test_a_tree_search_solves_what_needs_a_step_that_is_rarely_drawn(toy: ModuleType) -> None:
    found = {agent.__name__: solved_and_spent(toy, agent, 8000)[0] for agent in (mcts, puct, ab_mcts)}
    assert min(found["mcts"], found["puct"]) >= 19  # best of n: 20
    assert found["ab_mcts"] > 10


@pytest.mark.parametrize("agent", [mcts, puct])
def test_the_root_is_sampled_as_long_as_it_is_visited(toy: ModuleType, agent: Any) -> None:
    """Every step is new, so that nothing is ever closed: only growth brings the search back to the root."""
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    policy._proposal = lambda generator, most: Proposal(f"think {generator.random()}", 10, -1.0)
    (result,) = Driver(toy.ToyModel(), policy).run([Task("p", partial(agent, simulations=300))])
    assert result.result is not None
    assert result.result.tree.root.asked in (72, 73)  # 300^0.75 = 72.1


@pytest.mark.parametrize(
    ("samples", "place"), [([4, 4, 4], 0), ([5, 4, 4], 1), ([5, 5, 4], 2), ([9, 5, 7, 5], 1), ([3], 0)]
)
def test_the_node_of_the_fewest_samples_on_the_path_is_widened(samples: list[int], place: int) -> None:
    path = [Node(State("p"), None, 0, 0) for _ in samples]
    for node, asked in zip(path, samples, strict=True):
        node.asked = asked
    assert fewest_samples(path) == place


def test_the_steps_of_a_good_path_are_tried_as_often_as_each_other(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0")  # one path of five steps, and nothing else
    (result,) = Driver(toy.ToyModel(), policy).run([Task("p", partial(mcts, simulations=100, width=4))])
    assert result.result is not None
    samples = [node.asked for node in result.result.tree.nodes if not node.ended]
    assert max(samples) - min(samples) <= 1
    assert min(samples) > 10


def test_it_widens_where_the_value_is(toy: ModuleType) -> None:
    class Forked(toy.FixedPolicy):
        """Two first steps; below the first programs pass, below the second none does."""

        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            self.requests += requests
            return [tuple(self.one(r.state, i) for i in range(r.n)) for r in requests]

        def one(self, state: State, place: int) -> Proposal:
            if not state.steps:
                return Proposal(f"think {place % 2}", 10, -1.0)
            return Proposal("code 3" if state.steps[0].text == "think 0" else "code 0", 10, -1.0)

    agent = partial(mcts, simulations=200, width=2, c=0.5)
    (result,) = Driver(toy.ToyModel(), Forked()).run([Task("p", agent)])
    assert result.result is not None
    good, bad = result.result.tree.root.children
    assert good.asked > 3 * bad.asked


@pytest.mark.parametrize("agent", [mcts, puct, ab_mcts, beam, best_of_n, self_repair])
def test_a_policy_that_never_costs_anything_ends_all_the_same(toy: ModuleType, agent: Any) -> None:
    result = toy.one(agent, toy.FixedPolicy("think 0", tokens=0), Budget(tokens=500))
    assert (result.error, result.exhausted, result.usage.tokens) == (None, True, 0)


@pytest.mark.parametrize("evaluate", [mixed])
@pytest.mark.parametrize("parallel", [2, 8])
@pytest.mark.parametrize("width", [1, 2])
def test_no_node_is_overdrawn_by_simulations_at_the_same_time(
    toy: ModuleType, evaluate: Any, parallel: int, width: int
) -> None:
    agent = partial(mcts, evaluate=evaluate, parallel=parallel, width=width, simulations=24)
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    for seed in range(8):
        driver = Driver(toy.ToyModel(max_steps=30), policy, toy.ToyScorer(), seed=seed)
        (result,) = driver.run([Task("p", agent)])
        assert result.result is not None
        assert max(node.asked for node in result.result.tree.nodes) <= width
