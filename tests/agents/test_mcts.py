import math
import random
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.agents import Driver, Task, TaskResult, Tree, mcts, puct
from o1coder_gym.agents.search.expansion import all_at_once, growing, progressive
from o1coder_gym.agents.search.leaf_values import mixed, rollout, scored
from o1coder_gym.agents.search.priors import by_count, by_logprob, by_score
from o1coder_gym.agents.search.scheduler import concurrently
from o1coder_gym.agents.search.selection import uct_virtual_loss
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.types import ActionType, PolicyRequest, Proposal, Sampling, State
from o1coder_gym.types.queries import Score, Turns


def run(
    toy: ModuleType, agent: Any, policy: Any = None, budget: Budget = UNLIMITED, seed: int = 0
) -> TaskResult:
    driver = Driver(toy.ToyModel(), policy or toy.ToyPolicy(), toy.ToyScorer(), seed=seed)
    result = driver.run([Task("p", agent, budget)])[0]
    assert result.error is None
    return result


def tree_of(result: TaskResult) -> Tree:
    assert result.result is not None
    return result.result.tree


def check(tree: Tree) -> None:
    """The invariants of tree.py, and that nothing is left in flight."""
    for node in tree.nodes:
        assert node.visits == node.own + sum(child.visits for child in node.children)
        assert node.total == pytest.approx(
            sum(value for _, index, value in tree.trace if tree.nodes[index] in _below(node))
        )
        assert 0.0 <= node.mean <= 1.0
        assert (node.unobserved, node.pending) == (0, 0)
        assert len(node.children) <= sum(child.count for child in node.children)
        if node.value is not None:
            assert node.mean == node.value
        if node.closed and not node.ended:
            assert all(child.closed for child in node.children)


def _below(node: Any) -> list[Any]:
    found = [node]
    for child in node.children:
        found += _below(child)
    return found


searches = st.builds(
    lambda agent, **arguments: partial(agent, **arguments),
    st.sampled_from([mcts, puct]),
    simulations=st.integers(0, 14),
    width=st.integers(1, 4),
    parallel=st.integers(1, 5),
    early_stop=st.booleans(),
    evaluate=st.sampled_from([rollout, scored]),
    widening=st.sampled_from([all_at_once, progressive]),
    select=st.sampled_from([None, uct_virtual_loss]),
)


@settings(deadline=None, max_examples=120)
@given(search=searches, seed=st.integers(0, 10**6), tokens=st.none() | st.integers(0, 1500))
def test_the_invariants_hold(toy: ModuleType, search: Any, seed: int, tokens: int | None) -> None:
    check(tree_of(run(toy, search, budget=Budget(tokens=tokens), seed=seed)))


@settings(deadline=None, max_examples=60)
@given(search=searches, seed=st.integers(0, 10**6))
def test_no_end_is_visited_again(toy: ModuleType, search: Any, seed: int) -> None:
    closed_at: dict[int, int] = {}

    def watch(task: Task, query: Any, answer: Any, usage: Any) -> None:
        for node in trees[0].nodes:
            if node.ended and node.index not in closed_at:
                closed_at[node.index] = node.visits

    trees: list[Tree] = [Tree(toy.ToyModel().initial("p"), width=search.keywords["width"])]
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), seed=seed, observer=watch)
    driver.run([Task("p", partial(search, tree=trees[0]))])
    for index, visits in closed_at.items():
        assert trees[0].nodes[index].visits == visits


def test_all_siblings_are_kept_beside_code(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("code 4", "think 0", "code 1", "think 1")
    tree = tree_of(run(toy, partial(mcts, simulations=1, width=4), policy))
    steps = [child.state.steps[-1].text for child in tree.root.children]
    assert steps == ["code 4", "think 0", "code 1", "think 1"]


def test_the_simulations_go_on_beyond_ends(toy: ModuleType) -> None:
    policy = toy.ToyPolicy(code=0.5, malformed=0.0)
    tree = tree_of(run(toy, partial(mcts, simulations=60), policy))
    assert tree.simulations == 60
    # every simulation asked the model: none was spent on a known end
    assert len(policy.requests) >= 60


def test_a_tree_whose_width_is_spent_is_widened(toy: ModuleType) -> None:
    # one action, one program: the root's children are all ends
    tree = tree_of(run(toy, partial(mcts, simulations=30, width=4), toy.ToyPolicy(code=1.0)))
    assert {child.state.steps[-1].text for child in tree.root.children} == {f"code {i}" for i in range(5)}
    # a policy may still write something new after any number of equal samples
    policy = toy.FixedPolicy("code 1")
    tree = tree_of(run(toy, partial(mcts, simulations=50, width=4), policy))
    assert len(tree.nodes) == 2
    assert [request.n for request in policy.requests] == [4] + [1] * 49


def test_inner_nodes_are_widened_too(toy: ModuleType) -> None:
    tree = tree_of(run(toy, partial(mcts, simulations=40, width=1), toy.ToyPolicy(code=0.3, malformed=0.0)))
    assert max(len(node.children) for node in tree.nodes if node.parent is not None) > 1


def test_duplicates_among_siblings_are_merged_with_counts(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "think 0", "think 1", "think 0")
    tree = tree_of(run(toy, partial(mcts, simulations=1, width=4), policy))
    assert [(child.state.steps[-1].text, child.count) for child in tree.root.children] == [
        ("think 0", 3),
        ("think 1", 1),
    ]


def test_early_stop_ends_at_the_first_solution(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "code 4")
    stopped = run(toy, partial(mcts, early_stop=True, width=2), policy)
    assert tree_of(stopped).simulations == 1
    assert stopped.result is not None
    assert stopped.result.value == 1.0
    going = tree_of(run(toy, partial(mcts, width=2), toy.FixedPolicy("think 0", "code 4")))
    assert going.simulations > 1


def test_it_finds_the_path_along_which_the_value_rises(toy: ModuleType) -> None:
    right = ["think 2", "think 1", "think 2"]

    class Guided(toy.ToyPolicy):
        """Three thoughts, then a program that is the better the more of them are right."""

        def _proposal(self, generator: random.Random, max_tokens: int) -> Proposal:
            return Proposal(f"think {generator.randrange(3)}", 10, -1.0)

        def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
            path = [step.text for step in request.state.steps]
            if len(path) < 3:
                return super()._draw(request)
            good = sum(a == b for a, b in zip(path, right, strict=True))
            return (Proposal(f"code {good + (good == 3)}", 10, -1.0),) * request.n

    policy = Guided()
    result = run(toy, partial(mcts, width=8, c=0.7, simulations=25, early_stop=True), policy)
    assert result.result is not None
    assert result.result.state is not None
    assert [step.text for step in result.result.state.steps] == [*right, "code 4"]


def test_one_at_a_time_is_the_textbook_loop() -> None:
    order: list[Any] = []
    states = iter(State(f"p{i}") for i in range(5))

    def ask(state: State) -> Turns:
        order.append((state, (yield [Score(state)])))

    def begin() -> Turns | None:
        state = next(states, None)
        return None if state is None else ask(state)

    search = concurrently(begin, 1, lambda: False)
    asked = [next(search)]
    with suppress(StopIteration):
        while True:
            asked.append(search.send([len(asked) / 10]))
    assert asked == [[Score(State(f"p{i}"))] for i in range(5)]
    assert order == [(State(f"p{i}"), [(i + 1) / 10]) for i in range(5)]


@pytest.mark.parametrize("parallel", [2, 4, 8])
def test_where_the_order_is_the_same_the_statistics_are(toy: ModuleType, parallel: int) -> None:
    """A root without choice: each simulation goes to the same place whatever is in flight."""
    agent = partial(mcts, width=1, simulations=6, evaluate=scored)
    policy = toy.FixedPolicy("think 0")
    one = tree_of(run(toy, agent, policy))
    many = tree_of(run(toy, partial(agent, parallel=parallel), policy))
    assert [(n.visits, n.own, n.total) for n in many.nodes] == [(n.visits, n.own, n.total) for n in one.nodes]


@pytest.mark.parametrize("parallel", [4, 8])
def test_parallel_simulations_need_fewer_rounds(toy: ModuleType, parallel: int) -> None:
    def rounds(width: int) -> int:
        policy = toy.ToyPolicy(malformed=0.0)
        tree = tree_of(run(toy, partial(mcts, simulations=64, parallel=width), policy))
        assert tree.simulations == 64
        return len(policy.batches)

    assert rounds(parallel) <= rounds(1) / (parallel / 2)


def test_a_search_goes_on_in_the_subtree_of_a_step_taken(toy: ModuleType) -> None:
    first = tree_of(run(toy, partial(mcts, simulations=20)))
    step = max(first.root.children, key=lambda child: child.visits)
    visits, nodes = step.visits, len(_below(step))
    tree = first.subtree(step.state)
    again = tree_of(run(toy, partial(mcts, simulations=10, tree=tree)))
    assert again is tree
    assert again.root.state == step.state
    assert again.root.visits > visits
    assert len(again.nodes) > nodes


def test_progressive_widening_draws_one_sample_at_a_time(toy: ModuleType) -> None:
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    tree = tree_of(run(toy, partial(puct, simulations=20, width=8, evaluate=scored), policy))
    assert {request.n for request in policy.requests} == {1}
    for node in tree.nodes:
        assert node.asked <= progressive(node.visits, 8)
    assert tree.root.asked == 5  # ⌈√20⌉


@pytest.mark.parametrize("agent", [mcts, puct])
def test_without_a_width_the_samples_of_a_node_grow_with_its_visits(toy: ModuleType, agent: Any) -> None:
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    tree = tree_of(run(toy, partial(agent, simulations=60, evaluate=scored), policy))
    assert {request.n for request in policy.requests} == {1}
    for node in tree.nodes:
        assert node.closed or node.asked <= max(1, math.ceil(node.visits**0.75))
    assert tree.root.asked == 22  # ⌈60^0.75⌉: no width stops it


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        ({}, 1),
        ({"width": 3}, 3),
        ({"widening": all_at_once}, 4),
        ({"widening": growing, "width": 2}, 2),
        ({"widening": progressive}, 1),
    ],
)
def test_width_and_widening_say_how_many_siblings_are_drawn_at_first(
    toy: ModuleType, arguments: dict[str, Any], first: int
) -> None:
    policy = toy.ToyPolicy(code=0.0, malformed=0.0)
    run(toy, partial(mcts, simulations=1, **arguments), policy)
    assert policy.requests[0].n == first


def test_priors_by_hand(toy: ModuleType) -> None:
    def priors(prior: Any) -> dict[str, float]:
        policy = toy.FixedPolicy("think 0", "think 0", "think 1", "code 1")
        tree = tree_of(
            run(toy, partial(puct, simulations=1, widening=all_at_once, width=4, prior=prior), policy)
        )
        return {child.state.steps[-1].text: child.prior for child in tree.root.children}

    assert priors(by_count) == {"think 0": 0.5, "think 1": 0.25, "code 1": 0.25}
    # all have the same log-probability, so the counts decide
    assert priors(by_logprob) == pytest.approx({"think 0": 0.5, "think 1": 0.25, "code 1": 0.25})
    by_scores = priors(by_score)
    assert sum(by_scores.values()) == pytest.approx(1.0)
    assert by_scores["think 0"] != by_scores["think 1"]


def test_a_mixed_leaf_counts_its_score_and_the_end_below_it(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0")
    tree = tree_of(run(toy, partial(mcts, simulations=1, width=1, evaluate=mixed), policy))
    leaf, end = tree.nodes[1], tree.nodes[-1]
    assert end.value is not None
    assert end.state.depth == 5
    assert leaf.score is not None
    assert tree.trace == [(1, leaf.index, leaf.score), (1, end.index, end.value)]
    assert leaf.mean == pytest.approx((leaf.score + end.value) / 2)  # λ = ½
    assert [node.mean for node in tree.nodes[2:]] == [end.value] * 4  # the score is the leaf's alone


def test_a_mixed_search_has_programs_where_scores_alone_do_not_get_that_far(toy: ModuleType) -> None:
    class Three(toy.ToyPolicy):
        def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
            if request.state.depth == 3:
                return (Proposal("code 2", 10, -1.0),) * request.n
            return tuple(Proposal(f"think {i}", 10, -1.0) for i in range(request.n))

    def programs(evaluate: Any) -> int:
        tree = tree_of(run(toy, partial(mcts, evaluate=evaluate), Three(), Budget(tokens=100)))
        return sum(node.verdict is not None for node in tree.nodes)

    assert programs(scored) == 0
    assert programs(mixed) > 0


def test_a_simulation_goes_on_with_the_new_child_of_highest_prior(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "think 1", "think 2", "think 3")
    agent = partial(puct, simulations=1, widening=all_at_once, width=4, prior=by_score, evaluate=scored)
    tree = tree_of(run(toy, agent, policy))
    (entered,) = [child for child in tree.root.children if child.visits]
    assert entered is max(tree.root.children, key=lambda child: child.score or 0.0)
    assert entered is not tree.root.children[0]


def test_scores_are_asked_once_per_state(toy: ModuleType) -> None:
    scorer = toy.ToyScorer()
    agent = partial(puct, simulations=20, evaluate=scored, prior=by_score)
    (result,) = Driver(toy.ToyModel(), toy.ToyPolicy(), scorer).run([Task("p", agent)])
    tree = tree_of(result)
    open_nodes = [
        n for n in tree.nodes if not n.ended and n.state.steps and n.state.steps[-1].type is ActionType.DEFINE
    ]
    assert sum(scorer.batches) == len(open_nodes)
    assert all(node.score is not None for node in open_nodes)


def test_sampling_reaches_the_policy(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    sampling = Sampling(temperature=1.1, max_tokens=99)
    run(toy, partial(mcts, sampling=sampling, simulations=3), policy)
    assert {request.sampling for request in policy.requests} == {sampling}
