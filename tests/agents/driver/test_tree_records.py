from functools import partial
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, Tree, best_of_n, load_agent
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Outcome, Problem

PROBLEM = Problem("p", "a question")


def recorded(toy: ModuleType, agent: Any, policy: Any = None) -> tuple[SearchTree, Any]:
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), policy or toy.ToyPolicy(), toy.ToyScorer(), observer=recorder)
    (finished,) = driver.run([Task("p", agent, Budget(tokens=3000), name="it")])
    assert finished.error is None
    recording = recorder.recordings[finished.task.key]
    return tree_record(finished, PROBLEM, recording, seed=5, format="pseudocode"), finished.result


@pytest.mark.parametrize("spec", [*AGENTS, "mcts:evaluate=scored", "beam:rank=by_scorer"])
def test_every_agent_leaves_a_tree(toy: ModuleType, spec: str) -> None:
    tree, result = recorded(toy, load_agent(spec))
    assert SearchTree.from_row(tree.to_row()) == tree
    assert (tree.agent, tree.seed, tree.problem) == ("it", 5, PROBLEM)
    assert tree.chosen is not None
    assert tree.state(tree.chosen) == result.state
    for index, node in enumerate(tree.nodes[1:], start=1):
        assert node.parent is not None
        assert node.parent < index
    ends = [node for node in tree.nodes if node.end is not None]
    assert tree.nodes[0].visits == len(tree.trace) >= len(ends) > 0


def test_a_tree_search_is_kept_as_it_was(toy: ModuleType) -> None:
    tree, result = recorded(toy, load_agent("mcts"))
    kept = result.tree
    assert isinstance(kept, Tree)
    assert [node.visits for node in tree.nodes] == [node.visits for node in kept.nodes]
    assert [node.value or 0.0 for node in tree.nodes] == [node.mean for node in kept.nodes]
    assert list(tree.trace) == kept.trace


def test_rollouts_become_a_tree(toy: ModuleType) -> None:
    # three rollouts take the same plan; the programs pass 4, 2 and 4 of 4 tests, the third is the first again
    class Turns(toy.ToyPolicy):
        programs = iter(["code 4", "code 2", "code 4"])

        def _draw(self, request: Any) -> Any:
            text = "think 1" if request.state.depth == 0 else next(self.programs)
            return (toy.Proposal(text, 10, -1.0),)

    tree, _ = recorded(toy, partial(best_of_n, n=3), Turns())
    root, plan, right, half = tree.nodes
    assert (plan.count, right.count, half.count) == (3, 2, 1)
    assert (root.visits, root.value) == (2, 0.75)  # (1.0 + 0.5) / 2
    assert (right.outcome, right.bits, right.born) == (Outcome.PASS, "1111", 1)
    assert (half.end, half.bits, half.born) == (0.5, "1100", 2)
    assert tree.trace == ((1, 2, 1.0), (2, 3, 0.5))
    assert tree.chosen == 2
