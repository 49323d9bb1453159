"""Harvest: golden tree → golden rows; numbers by hand; what is left out. Run as a script to write anew."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, Tree, best_of_n, mcts
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tasks import TaskResult
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.experiments.shards import completed
from o1coder_gym.process_data import ProcessData
from o1coder_gym.process_data.harvest import harvest, prefix_rows
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import (
    ActionType,
    CallTest,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Submission,
    Usage,
    Verdict,
)
from o1coder_gym.types.protocols import Policy

FOLDER = Path(__file__).parents[1] / "golden"
PROBLEM = Problem("golden", "a question", "f", (CallTest("[]", "1"),))


class ToyJudge:
    """Programs ``code K`` pass K of 4 tests; `flaky` ones pass in the search only."""

    def __init__(self, *flaky: str, outcome: Outcome = Outcome.WRONG_ANSWER) -> None:
        self.flaky = flaky
        self.outcome = outcome
        self.seen: list[Submission] = []

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.seen += submissions
        return [self._one(submission) for submission in submissions]

    def _one(self, submission: Submission) -> Verdict:
        if submission.code == "code 4" and submission.code not in self.flaky:
            return Verdict(Outcome.PASS, tuple(CaseResult(Outcome.PASS) for _ in submission.tests))
        return Verdict(self.outcome, tuple(CaseResult(self.outcome) for _ in submission.tests))


def golden_tree(name: str) -> SearchTree:
    tree = Tree.from_row(json.loads((FOLDER / f"{name}.json").read_text()))
    task = Task("golden", mcts, name=name)
    result = TaskResult(task, SearchResult(None, tree=tree), Usage())
    return tree_record(result, PROBLEM, Recording(), seed=11, format="pseudocode")


def golden_rows(name: str) -> list[dict[str, Any]]:
    data = harvest([golden_tree(name)], ToyJudge(), source={"run": name})
    return [row.to_row() for row in (*data.prefixes, *data.paths, *data.pairs)]


@pytest.mark.parametrize("name", ["mcts", "beam"])
def test_a_golden_tree_gives_the_golden_rows(name: str) -> None:
    assert golden_rows(name) == json.loads((FOLDER / f"harvest_{name}.json").read_text())


def node(parent: int | None, text: str, kind: ActionType = ActionType.DEFINE, **fields: Any) -> TreeNode:
    return TreeNode(parent, None if parent is None else Step(kind, text), **fields)


def by_hand() -> SearchTree:
    """A root with three steps below it: a (one passing, one half right end), b (failing), c (never seen)."""
    code = ActionType.CODE
    nodes = (
        node(None, "", visits=3, value=0.5),
        node(0, "a", visits=2, value=0.75, tokens=4, logprob=-2.0),
        node(0, "b", visits=1, value=0.0, tokens=3, logprob=-1.0),
        node(0, "c"),
        node(1, "code 4", code, visits=1, value=1.0, end=1.0, outcome=Outcome.PASS, bits="1111", tokens=9),
        node(1, "code 2", code, visits=1, value=0.5, end=0.5, outcome=Outcome.WRONG_ANSWER, bits="1100",
             tokens=8, logprob=-4.0),
        node(2, "mumble", ActionType.MALFORMED, visits=1, value=0.0, end=0.0),
        node(2, "judge down", code, outcome=Outcome.INFRASTRUCTURE),
    )  # fmt: skip
    return SearchTree(PROBLEM, "by hand", 0, "pseudocode", nodes)


def test_rows_by_hand() -> None:
    drops: Counter[str] = Counter()
    rows = list(prefix_rows(by_hand(), "x", drops))
    told = [
        (row.state.steps[-1].text, row.value, row.visits, row.ends, row.passing, row.ended) for row in rows
    ]
    assert told == [
        ("a", 0.75, 2, 2, 1, False),
        ("b", 0.0, 1, 1, 0, False),
        ("code 4", 1.0, 1, 1, 1, True),
        ("code 2", 0.5, 1, 1, 0, True),
    ]
    assert [(row.tokens, row.logprob) for row in rows] == [(4, -2.0), (3, -1.0), (13, None), (12, -6.0)]
    assert drops == {
        "prefix: never evaluated": 1,
        "prefix: step cannot be read": 1,
        "prefix: the judge failed": 1,
    }


def test_tokens_that_are_no_part_of_a_step_have_no_log_probability() -> None:
    tree = by_hand()
    assert "kept" not in tree.to_row()
    assert [row.kept for row in prefix_rows(tree, "x", Counter())] == [None] * 4
    # a thought before it, or the beginning of the next header behind it
    thought = (*tree.nodes[:1], replace(tree.nodes[1], tokens=90, kept=4), *tree.nodes[2:])
    tree = SearchTree.from_row(json.loads(json.dumps(replace(tree, nodes=thought).to_row())))
    rows = list(prefix_rows(tree, "x", Counter()))
    assert [(row.tokens, row.kept) for row in rows] == [(90, 4), (3, None), (99, 13), (98, 12)]
    assert [row.mean_logprob for row in rows] == [-0.5, -1 / 3, None, -0.5]


def test_soft_labels_are_values_and_the_passing_path_is_kept() -> None:
    data = harvest([by_hand()], ToyJudge(), source={"seed": 0}, tests={"golden": (CallTest("[]", "2"),)})
    assert [row.soft for row in data.prefixes] == [0.75, 0.0, 1.0, 0.5]
    assert [row.hard for row in data.prefixes] == [1, 0, 1, 0]
    (path,) = data.paths
    assert (path.state.code, path.tests) == ("code 4", 2)  # the public test and the generated one
    margins = {(pair.chosen.text, pair.rejected.text): pair.margin for pair in data.pairs}
    assert margins == {("a", "b"): 0.75, ("code 4", "code 2"): 0.5}


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ({"prompt": "another question"}, "two problems called golden differ in their prompt"),
        ({"public_tests": (CallTest("[]", "2"),)}, "differ in their public tests"),
        ({"prelude": "import math"}, "differ in their prelude"),
    ],
)
def test_trees_of_two_problems_of_one_name_are_not_united(problem: dict[str, Any], told: str) -> None:
    judge, tree = ToyJudge(), by_hand()
    assert len(harvest([tree, tree], judge, source={}).prefixes) == 4
    judge.seen.clear()
    with pytest.raises(UsageError, match=told):
        harvest([tree, replace(tree, problem=replace(PROBLEM, **problem))], judge, source={})
    with pytest.raises(
        UsageError, match="different step formats cannot form one data set: pseudocode, vanilla"
    ):
        harvest([tree, replace(tree, format="vanilla")], judge, source={})
    assert not judge.seen  # before anything is run


def test_a_path_that_does_not_pass_again_is_left_out() -> None:
    data = harvest([by_hand()], ToyJudge("code 4"), source={})
    assert data.paths == ()
    assert data.drops["path: did not pass again"] == 1


@pytest.mark.parametrize(("cut", "kept"), [(1, False), (4, True)])
def test_a_path_with_a_step_that_was_cut_is_not_learned(cut: int, kept: bool) -> None:
    tree = by_hand()
    nodes = [*tree.nodes]
    nodes[cut] = replace(nodes[cut], finish="length")  # its value is known; of a program all is there
    data = harvest([replace(tree, nodes=tuple(nodes))], ToyJudge(), source={})
    assert (bool(data.paths), len(data.prefixes)) == (kept, 4)
    assert ("path: a step was cut at its limit of tokens" in data.drops) != kept


def test_a_judge_that_fails_decides_nothing() -> None:
    with pytest.raises(InfrastructureError, match="golden: the judge failed"):
        harvest([by_hand()], ToyJudge("code 4", outcome=Outcome.INFRASTRUCTURE), source={})


@pytest.mark.parametrize("agent", [mcts, best_of_n])
def test_every_row_agrees_with_the_search(toy: ModuleType, agent: Any) -> None:
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3, observer=recorder)
    trees = []
    for result in driver.run([Task(f"p{i}", agent, Budget(tokens=1500)) for i in range(8)]):
        problem = toy.ToyModel().problem(result.task.task_id)
        recording = recorder.recordings[result.task.key]
        trees.append(tree_record(result, problem, recording, seed=3, format="pseudocode"))
    data: ProcessData = harvest(trees, ToyJudge(), source={})
    assert data.prefixes
    by_state = {row.state: row for row in data.prefixes}
    assert len(by_state) == len(data.prefixes)
    for row in data.prefixes:
        assert row.visits >= row.ends >= row.passing
        assert row.value == pytest.approx(sum_of_ends(row.state, data) / row.visits) or row.visits > row.ends
        parent = State(row.state.problem_id, row.state.steps[:-1])
        assert parent not in by_state or by_state[parent].visits >= row.visits
        assert row.hard == int(row.passing > 0)
    for path in data.paths:
        assert all(step.type is not ActionType.MALFORMED for step in path.state.steps)


@pytest.mark.parametrize("agent", [mcts, best_of_n])
@pytest.mark.parametrize("rollouts", [1, 8])
def test_completions_say_what_a_prefix_is_worth(toy: ModuleType, agent: Any, rollouts: int) -> None:
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3, observer=recorder)
    trees = []
    for result in driver.run([Task(f"p{i}", agent, Budget(tokens=600)) for i in range(4)]):
        problem = toy.ToyModel().problem(result.task.task_id)
        recording = recorder.recordings[result.task.key]
        trees.append(tree_record(result, problem, recording, seed=3, format="pseudocode"))
    found = completed(trees, rollouts, Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3))
    whole = sorted((tree for _, tree in found), key=lambda tree: tree.problem.task_id)
    assert [SearchTree.from_row(json.loads(json.dumps(tree.to_row()))) for tree in whole] == whole
    before, after = (harvest(some, ToyJudge(), source={}) for some in (trees, whole))
    assert [row.state for row in after.prefixes] == [row.state for row in before.prefixes]
    values = {tree.state(node): v for tree in whole for node, v in tree.completions}
    assert values
    for row, old in zip(after.prefixes, before.prefixes, strict=True):
        if row.ended:
            assert row == old
        else:
            v = values[row.state]
            assert (row.visits, row.ends) == (len(v), len(v)) == (rollouts, rollouts)
            assert row.value == row.soft == pytest.approx(sum(v) / len(v))
            assert row.passing == sum(one == 1.0 for one in v)
    assert "completions" not in trees[0].to_row()


def test_no_completion_is_a_sample_of_its_search(toy: ModuleType) -> None:
    searching, completing = (Listening(toy.ToyPolicy()) for _ in range(2))
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), searching, seed=3, observer=recorder)
    (result,) = driver.run([Task("p0", mcts, Budget(tokens=600), seed=3)])
    problem = toy.ToyModel().problem("p0")
    recording = recorder.recordings[result.task.key]
    tree = tree_record(result, problem, recording, seed=3, format="pseudocode")
    assert list(completed([tree], 2, Driver(toy.ToyModel(), completing, seed=3)))
    states = [{one.state for one in policy.asked} for policy in (searching, completing)]
    assert states[0] & states[1]
    seeds = [{one.seed for one in policy.asked} for policy in (searching, completing)]
    assert not seeds[0] & seeds[1]


class Listening:
    """Writes down what a policy is asked."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.asked = policy, list[PolicyRequest]()

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.asked += requests
        return self.policy.propose(requests)


def sum_of_ends(state: State, data: ProcessData) -> float:
    """W of a prefix, added up from the ends below it."""
    depth, task = state.depth, state.problem_id
    ends = [row for row in data.prefixes if row.ended and row.state.problem_id == task]
    return sum(row.value for row in ends if row.state.steps[:depth] == state.steps)


def main() -> None:
    for name in ("mcts", "beam"):
        path = FOLDER / f"harvest_{name}.json"
        path.write_text(json.dumps(golden_rows(name), indent=1) + "\n")


if __name__ == "__main__":
    main()
