import json
from dataclasses import replace

import pytest

from o1coder_gym.errors import JournalError
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode, tree_rows
from o1coder_gym.types import ActionType, CallTest, Outcome, Problem, State, Step, Usage

PLAN = Step(ActionType.DEFINE, "add")
HELPER = Step(ActionType.HELPER, "def g(): ...")
CODE = Step(ActionType.CODE, "def f(): ...")


def small() -> SearchTree:
    """A plan with a right and a wrong program below it: v(plan) = (1 + 0.5) / 2."""
    return SearchTree(
        problem=Problem("p/1", "add two numbers", "f", (CallTest("[1, 2]", "3"),)),
        agent="mcts",
        seed=3,
        format="pseudocode",
        nodes=(
            TreeNode(None, None, visits=2, value=0.75),
            TreeNode(0, PLAN, born=1, visits=2, value=0.75, tokens=9, logprob=-2.5, score=0.25),
            TreeNode(1, CODE, born=1, visits=1, value=1.0, end=1.0, outcome=Outcome.PASS, bits="11"),
            TreeNode(
                1, Step(ActionType.CODE, "1/0"), 2, 1, 0.5, end=0.5, outcome=Outcome.WRONG_ANSWER, bits="01"
            ),
        ),
        trace=((1, 2, 1.0), (2, 3, 0.5)),
        chosen=2,
        usage=Usage(tokens=40),
    )


def test_a_tree_survives_json():
    assert SearchTree.from_row(json.loads(json.dumps(small().to_row()))) == small()


def test_a_tree_without_evaluations_survives_json():
    bare = SearchTree(Problem("p", "q"), "greedy", 0, "vanilla", (TreeNode(None, None),))
    assert SearchTree.from_row(bare.to_row()) == bare


def test_reading_the_tree():
    tree = small()
    assert tree.children() == [[1], [2, 3], [], []]
    assert tree.path(3) == [0, 1, 3]
    assert tree.state(2) == State("p/1", (PLAN, CODE))


def test_the_answer_has_its_helpers():
    helped = replace(small(), nodes=(*small().nodes[:1], TreeNode(0, HELPER), *small().nodes[2:]))
    assert (small().code, helped.code) == (CODE.text, f"{HELPER.text}\n\n\n{CODE.text}")
    assert helped.code == helped.state(2).code  # the program that is judged, and named in the log


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": 9},
        {"steps": None},
        {"parent": [None]},
        {"problem": {}},
        {"parent": [None, 1, 1, 1]},
        {"parent": [None, 0, 3, 2]},
        {"parent": [None, 0, -1, 1]},
        {"parent": [0, 0, 1, 1]},
        {"chosen": 4},
        {"chosen": -1},
    ],
)
def test_another_row_is_refused(damage):
    with pytest.raises(JournalError, match="search tree"):
        SearchTree.from_row(small().to_row() | damage)


def test_a_tree_written_twice_is_read_once_the_last(tmp_path):
    rows = [small().to_row(), small().to_row() | {"seed": 4}, small().to_row() | {"chosen": 3}]
    (tmp_path / "trees.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(row["seed"], row["chosen"]) for row in tree_rows(tmp_path)] == [(3, 3), (4, 2)]
    assert list(tree_rows(tmp_path / "nowhere")) == []


def test_a_pass_of_no_tests_in_an_earlier_tree_is_taken_back() -> None:
    # Counted then: two ends of value 1 without tests, and one program that does not load, of value 0.
    nodes = (
        TreeNode(None, None, visits=3, value=2 / 3),
        TreeNode(0, CODE, visits=1, value=1.0, end=1.0, outcome=Outcome.NO_TESTS),
        TreeNode(0, Step(ActionType.DEFINE, "plan"), visits=2, value=0.5),
        TreeNode(2, CODE, visits=1, value=1.0, end=1.0, outcome=Outcome.NO_TESTS),
        TreeNode(2, CODE, visits=1, value=0.0, end=0.0, outcome=Outcome.COMPILE_ERROR),
    )
    trace = ((1, 1, 1.0), (2, 3, 1.0), (3, 4, 0.0))
    row = SearchTree(Problem("p", "?"), "mcts", 0, "pseudocode", nodes, trace, chosen=3).to_row()
    row["outcome"] = ["pass" if outcome == "no_tests" else outcome for outcome in row["outcome"]]
    tree = SearchTree.from_row(row)
    assert [node.outcome for node in tree.nodes] == [node.outcome for node in nodes]
    assert [node.visits for node in tree.nodes] == [1, 0, 1, 0, 1]
    assert [node.value for node in tree.nodes] == [0.0, None, 0.0, None, 0.0]
    assert [node.end for node in tree.nodes] == [None, None, None, None, 0.0]
    assert tree.trace == ((3, 4, 0.0),)
