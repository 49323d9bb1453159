import json
import math
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents.choosing import judged_programs
from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.search.priors import by_logprob
from o1coder_gym.agents.search.rollouts import Rollout
from o1coder_gym.agents.search.tree import Node, Tree
from o1coder_gym.errors import UsageError
from o1coder_gym.types import ActionType, Outcome, Proposal, State, Step, Transition
from o1coder_gym.types.queries import Advance, Propose

ROOT = State("p")


def add(
    toy: ModuleType, tree: Tree, parent: Node, action: str, *, tokens: int = 10, logprob: float = -1.0
) -> Node | None:
    """Takes an action of the toy process."""
    (transition,) = toy.ToyModel().advance([(parent.state, action)])
    return tree.add(parent, Proposal(action, tokens, logprob), transition)


def grow(toy: ModuleType, tree: Tree, parent: Node, action: str, **options: Any) -> Node:
    """Takes an action that is new."""
    child = add(toy, tree, parent, action, **options)
    assert child is not None
    return child


def test_an_end_is_counted_once_when_it_is_found(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    think = grow(toy, tree, tree.root, "think 0")
    code = grow(toy, tree, think, "code 3")
    # v = passed / total = 3 / 4, once, in the end and in everything above it
    assert [(node.visits, node.own, node.mean) for node in (code, think, tree.root)] == [
        (1, 1, 0.75),
        (1, 0, 0.75),
        (1, 0, 0.75),
    ]
    assert (code.ended, code.closed, code.value, code.bits) == (True, True, 0.75, "1110")
    assert code.verdict is Outcome.WRONG_ANSWER
    assert tree.trace == [(0, code.index, 0.75)]


def test_v_is_the_mean_over_the_ends(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    think = grow(toy, tree, tree.root, "think 0")
    for action in ("code 4", "code 1", "code 0"):
        grow(toy, tree, think, action)
    # (1 + 1/4 + 0) / 3
    assert think.mean == pytest.approx(1.25 / 3)
    grow(toy, tree, tree.root, "code 2")
    assert tree.root.mean == pytest.approx(1.75 / 4)


def test_alpha_compile_enters_the_terminal_value(toy: ModuleType) -> None:
    tree = Tree(ROOT, alpha_compile=0.2)
    code = grow(toy, tree, tree.root, "code 1")
    # α · compile + (1 − α) · pass = 0.2 + 0.8 / 4
    assert code.value == pytest.approx(0.4)


def test_identical_steps_are_merged(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    first = grow(toy, tree, tree.root, "think 0")
    assert add(toy, tree, tree.root, "think 0") is None
    assert add(toy, tree, tree.root, "think 1") is not None
    assert first.count == 2
    assert len(tree.nodes) == 3


def test_a_repeated_end_is_not_counted_again(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    code = grow(toy, tree, tree.root, "code 4")
    assert add(toy, tree, tree.root, "code 4") is None
    assert (code.visits, code.mean, tree.root.visits) == (1, 1.0, 1)


def test_a_step_that_cannot_be_read_is_a_dead_end_of_value_zero(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    mumble = grow(toy, tree, tree.root, "mumble")
    assert (mumble.closed, mumble.value, mumble.visits, mumble.verdict) == (True, 0.0, 1, None)


def test_an_episode_cut_at_the_step_limit_has_value_zero(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    node = tree.root
    for i in range(5):
        node = grow(toy, tree, node, f"think {i}")
    assert (node.ended, node.value, tree.root.mean) == (True, 0.0, 0.0)


def test_a_failure_of_the_judge_counts_nowhere(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    masked = grow(toy, tree, tree.root, "judge down")
    assert (masked.closed, masked.value, masked.visits, tree.root.visits) == (True, None, 0, 0)
    grow(toy, tree, tree.root, "code 2")
    assert tree.root.mean == 0.5


def test_a_node_is_not_exhausted_by_its_ends(toy: ModuleType) -> None:
    tree = Tree(ROOT, width=2)
    tree.root.asked = 2
    end, other = grow(toy, tree, tree.root, "code 1"), grow(toy, tree, tree.root, "code 2")
    assert (end.closed, other.closed, tree.root.closed) == (True, True, False)


def test_a_node_that_an_earlier_version_closed_is_open_again(toy: ModuleType) -> None:
    tree = Tree(ROOT, width=1)
    think = grow(toy, tree, tree.root, "think 0")
    grow(toy, tree, think, "code 1")
    row = tree.to_row()
    for node in row["nodes"]:
        node["closed"] = True  # all widths are spent
    again = Tree.from_row(row)
    assert [node.closed for node in again.nodes] == [False, False, True]


@pytest.mark.parametrize("wide", [1, 31, 32, 33, 200])
def test_an_equal_step_is_found_among_any_number(toy: ModuleType, wide: int) -> None:
    tree = Tree(ROOT, width=wide)
    children = [grow(toy, tree, tree.root, f"think {i}") for i in range(wide)]
    for child in children:
        assert tree.child(tree.root, child.state.steps[-1]) is child
        assert add(toy, tree, tree.root, child.state.steps[-1].text) is None
        assert child.count == 2
    assert len(tree.nodes) == 1 + wide


@pytest.mark.parametrize("alpha", [-0.1, 1.1, 5, float("nan")])
def test_alpha_compile_is_a_share(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha_compile"):
        Tree(ROOT, alpha_compile=alpha)


def test_the_best_end_has_the_highest_value_then_the_likeliest_tokens(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    grow(toy, tree, tree.root, "judge down", logprob=-0.001)
    assert tree.best() is tree.nodes[1]  # better than nothing
    grow(toy, tree, tree.root, "code 3", logprob=-1.0)
    think = grow(toy, tree, tree.root, "think 0", tokens=90, logprob=-1.0)
    # the sum −2 is worse than −1, the mean −2 / 100 is better than −1 / 10
    likely = tree.add(
        think,
        Proposal("code x", 10, -1.0),
        Transition(think.state.then(Step(ActionType.CODE, "x")), 0.75, True, False, verdict=toy.verdict(3)),
    )
    assert likely is not None
    assert tree.best() is likely
    assert tree.result().state == likely.state
    assert tree.result().value == 0.75


def test_without_logprobs_the_first_of_the_best_is_chosen(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    for action in ("code 1", "code 3"):
        (transition,) = toy.ToyModel().advance([(ROOT, action)])
        tree.add(tree.root, Proposal(action, 10), transition)
    best = tree.best()
    assert best is not None
    assert best.value == 0.75
    assert best.mean_logprob() == -math.inf


def test_a_tree_without_code_has_no_answer(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    grow(toy, tree, tree.root, "think 0")
    assert tree.result().state is None
    assert tree.result().tree is tree


def test_the_solution_passes_at_least_one_test(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    untested = Transition(
        ROOT.then(Step(ActionType.CODE, "y")), 1.0, True, False, verdict=toy.verdict(0, total=0)
    )
    tree.add(tree.root, Proposal("y", 1), untested)
    assert tree.solution is None
    grow(toy, tree, tree.root, "code 3")
    assert tree.solution is None
    assert grow(toy, tree, tree.root, "code 4") is tree.solution


def test_rows_come_back(toy: ModuleType) -> None:
    tree = Tree(ROOT, width=3, alpha_compile=0.1)
    think = grow(toy, tree, tree.root, "think \ud800")
    think.score, think.prior = 0.25, 0.5
    for action in ("code 4", "mumble", "judge down"):
        grow(toy, tree, think, action)
    row = json.loads(json.dumps(tree.to_row()))
    again = Tree.from_row(row)
    assert again.to_row() == tree.to_row()
    assert [node.state for node in again.nodes] == [node.state for node in tree.nodes]
    assert again.solution is again.nodes[2]
    assert again.trace == tree.trace


def test_rows_of_another_schema_are_refused() -> None:
    row = Tree(ROOT).to_row() | {"schema": 99}
    with pytest.raises(ValueError, match="schema 99"):
        Tree.from_row(row)


def test_a_subtree_keeps_its_statistics(toy: ModuleType) -> None:
    tree = Tree(ROOT)
    left = grow(toy, tree, tree.root, "think 0")
    right = grow(toy, tree, tree.root, "think 1")
    grow(toy, tree, left, "code 0")
    grow(toy, tree, right, "code 3")
    solved = grow(toy, tree, right, "code 4")
    below = tree.subtree(right.state)
    assert [node.state for node in below.nodes] == [
        right.state,
        right.state.then(Step(ActionType.CODE, "code 3")),
        right.state.then(Step(ActionType.CODE, "code 4")),
    ]
    assert [node.index for node in below.nodes] == [0, 1, 2]
    assert below.root.parent is None
    assert (below.root.visits, below.root.mean) == (2, 0.875)
    assert below.solution is solved
    with pytest.raises(KeyError):
        below.subtree(left.state)


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="width"):
        Tree(ROOT, width=0)


def test_means_are_over_the_tokens_that_were_kept(toy: ModuleType) -> None:
    # both cost 10 tokens, 6 of the short one only showed its end: −4 / 4 is less likely than −6.3 / 9 = −0.7
    short = Proposal("code 2", 10, -4.0, tuple(range(4)))
    long = Proposal("code 02", 10, -6.3, tuple(range(9)))
    tree = Tree(ROOT)
    nodes = []
    for proposal in (short, long):
        (transition,) = toy.ToyModel().advance([(ROOT, proposal.text)])
        nodes.append(tree.add(tree.root, proposal, transition))
    assert [node.mean_logprob() for node in nodes] == pytest.approx([-1.0, -0.7])
    assert tree.best() is nodes[1]
    assert [node.tokens for node in nodes] == [10, 10]
    again = Tree.from_row(json.loads(json.dumps(tree.to_row())))
    assert [node.kept for node in again.nodes] == [0, 4, 9]
    assert by_logprob_priors(tree) == pytest.approx([math.exp(-1) / (math.exp(-1) + math.exp(-0.7))])
    rollouts = [Rollout(ROOT), Rollout(ROOT)]
    recording = Recording()
    for rollout, proposal in zip(rollouts, (short, long), strict=True):
        (transition,) = toy.ToyModel().advance([(ROOT, proposal.text)])
        rollout.extend(proposal, transition)
        recording.add(Propose(ROOT), (proposal,))
        recording.add(Advance(ROOT, proposal.text), transition)
    assert [rollout.mean_logprob for rollout in rollouts] == pytest.approx([-1.0, -0.7])
    assert [program.mean_logprob for program in judged_programs(recording)] == pytest.approx([-1.0, -0.7])


def by_logprob_priors(tree: Tree) -> list[float]:
    """The prior of the root's first child."""
    for _ in by_logprob(tree.root, ()):
        raise AssertionError("it asks for nothing")
    return [tree.root.children[0].prior]
