"""Adaptive branching: the posteriors by hand, and where they lead."""

import random
from collections.abc import Sequence
from types import ModuleType

import pytest
from numpy.random import default_rng

from o1coder_gym.agents import Driver, Task, Tree, ab_mcts, load_agent
from o1coder_gym.agents.ab_mcts import Arms, descend, learn
from o1coder_gym.errors import UsageError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import ActionType, PolicyRequest, Problem, Proposal, State, Step, Transition
from o1coder_gym.types.protocols import Policy


def grown(toy: ModuleType, policy: Policy, spec: str = "ab_mcts:simulations=40") -> Tree:
    (done,) = Driver(toy.ToyModel(), policy).run([Task("p", load_agent(spec), Budget(tokens=20_000))])
    assert done.error is None
    assert done.result is not None
    return done.result.tree


def test_each_value_is_counted_where_it_was_made() -> None:
    tree = Tree(State("p"))
    first, second = State("p", (Step(ActionType.DEFINE, "a"),)), Step(ActionType.DEFINE, "b")
    one = tree.add(tree.root, Proposal("a", 1), Transition(first, 0.0, False, False))
    assert one is not None
    two = tree.add(one, Proposal("b", 1), Transition(first.then(second), 0.0, False, False))
    assert two is not None
    arms: dict = {}
    learn(arms, [tree.root], [one, two], 0.75)
    assert (arms[tree.root].deeper.total, arms[tree.root].deeper.count, arms[tree.root].wider.count) == (
        0.75,
        1,
        0,
    )
    assert (arms[one].wider.total, arms[two].wider.count, arms[one].deeper.count) == (0.75, 1, 0)


@pytest.mark.parametrize(("wider", "deeper", "share"), [(1.0, 0.0, 0.98), (0.0, 1.0, 0.02), (0.5, 0.5, 0.5)])
def test_the_better_arm_is_drawn_more_often(wider: float, deeper: float, share: float) -> None:
    # ten values each: Beta(10.5, 0.5) against Beta(0.5, 10.5) hardly ever cross; equal arms are a toss-up
    tree = Tree(State("p"))
    state = State("p", (Step(ActionType.DEFINE, "a"),))
    child = tree.add(tree.root, Proposal("a", 1), Transition(state, 0.0, False, False))
    arms = {tree.root: Arms()}
    for _ in range(10):
        arms[tree.root].wider.add(wider)
        arms[tree.root].deeper.add(deeper)
    generator = default_rng(0)
    ends = [descend(tree, arms, generator)[-1] for _ in range(2000)]
    assert ends.count(tree.root) / 2000 == pytest.approx(share, abs=0.05)
    assert set(ends) <= {tree.root, child}


class TwoWorlds:
    """Ten kinds of first step. Only after `think 3` programs pass, one in two."""

    def __init__(self, good: str) -> None:
        self.good = good

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [tuple(self._one(request) for _ in range(request.n)) for request in requests]

    def _one(self, request: PolicyRequest) -> Proposal:
        generator = random.Random(request.seed)
        if not request.state.steps:
            return Proposal(f"think {generator.randrange(4)}", 10, -1.0)
        if request.state.steps[0].text == self.good:
            return Proposal(f"code {generator.choice((3, 4))}", 10, -1.0)
        return Proposal(f"code {generator.choice((0, 1))}", 10, -1.0)


def test_it_goes_deeper_where_that_pays(toy: ModuleType) -> None:
    tree = grown(toy, TwoWorlds("think 3"))
    visits = {child.state.steps[0].text: child.visits for child in tree.root.children}
    assert visits["think 3"] == max(visits.values())
    best = tree.best()
    assert best is not None
    assert best.value == 1.0


def test_it_goes_wider_where_nothing_below_pays(toy: ModuleType) -> None:
    # every program fails below every first step: the posteriors are alike, and new first steps are tried
    tree = grown(toy, TwoWorlds("think 9"), "ab_mcts:simulations=40,width=64")
    assert {child.state.steps[0].text for child in tree.root.children} == {f"think {i}" for i in range(4)}


def test_visits_add_up(toy: ModuleType) -> None:
    tree = grown(toy, toy.ToyPolicy())
    for node in tree.nodes:
        assert node.visits == node.own + sum(child.visits for child in node.children)
        assert 0.0 <= node.mean <= 1.0
    assert tree.simulations == 40


def test_its_draws_are_seeded(toy: ModuleType) -> None:
    rows = [grown(toy, toy.ToyPolicy(), f"ab_mcts:seed={seed}").to_row() for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="width"):
        next(ab_mcts(Problem("p", "?"), State("p"), width=0))
