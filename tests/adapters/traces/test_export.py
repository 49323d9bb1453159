"""Search trees as traces of other projects: each path with its statistics, and the tree comes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.adapters.traces import FORMATS, export_traces, read_trees
from o1coder_gym.errors import JournalError, RowError, UnknownNameError, UsageError
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.types import ActionType, CallTest, Outcome, Problem, Step, Usage

PLAN = Step(ActionType.DEFINE, "add")
WRONG = Step(ActionType.CODE, "1/0")
TREE = SearchTree(
    problem=Problem("p/1", "add two numbers", "f", (CallTest("[1, 2]", "3"),)),
    agent="mcts",
    seed=3,
    format="pseudocode",
    nodes=(
        TreeNode(None, None, visits=3, value=0.5),
        TreeNode(0, PLAN, born=1, visits=2, value=0.75, tokens=9, logprob=-2.5, score=0.25),
        TreeNode(1, WRONG, 2, 1, 0.5, tokens=3, end=0.5, outcome=Outcome.WRONG_ANSWER, bits="01"),
        TreeNode(1, Step(ActionType.CODE, "def f(): …"), 1, 1, 1.0, end=1.0, outcome=Outcome.PASS, bits="11"),
        TreeNode(0, Step(ActionType.DEFINE, "a note"), author="agent"),
    ),
    trace=((1, 2, 1.0), (2, 3, 0.5)),
    chosen=3,
    usage=Usage(tokens=40),
)
BARE = SearchTree(Problem("p", "q"), "greedy", 0, "vanilla", (TreeNode(None, None),))


def through_json(rows):
    return [json.loads(json.dumps(row)) for row in rows]


@pytest.mark.parametrize("name", FORMATS)
def test_trees_come_back_as_they_were(name):
    rows = [row for tree in (TREE, BARE) for row in through_json(FORMATS[name](tree))]
    assert list(read_trees(rows)) == [TREE, BARE]


def test_a_path_says_node_visits_and_advantage():
    (document,) = FORMATS["atif"](TREE)
    first, plan, code = document["steps"]
    assert [step["step_id"] for step in (first, plan, code)] == [1, 2, 3]
    assert plan["message"].startswith("### Step 1 (define)\nadd")
    assert plan["extra"] == {"node": 1, "N": 2, "W": 1.5, "advantage": 0.25, "outcome": None}
    assert code["extra"] == {"node": 3, "N": 1, "W": 1.0, "advantage": 0.25, "outcome": "pass"}
    others = document["subagent_trajectories"]
    assert [[step["extra"]["node"] for step in other["steps"][1:]] for other in others] == [[1, 2], [4]]
    assert [other["trajectory_id"] for other in others] == ["path-1", "path-2"]
    assert others[1]["steps"][1]["source"] == "user"  # a note of the search was not sampled
    assert others[1]["steps"][1]["extra"]["advantage"] is None


def test_a_trace_of_verifiers_has_the_tree_as_its_graph():
    (trace,) = FORMATS["verifiers"](TREE)
    start = len(trace["nodes"]) - 4
    assert [node["parent"] for node in trace["nodes"][start:]] == [start - 1, start, start, start - 1]
    assert [node["sampled"] for node in trace["nodes"][start:]] == [True, True, True, False]
    assert trace["rewards"] == {"value": {"score": 1.0, "weight": 1.0}}
    assert [step["node"] for step in trace["info"]["statistics"]] == [1, 2, 3, 4]
    (bare,) = FORMATS["verifiers"](BARE)
    assert bare["rewards"] == {}


def test_rows_of_verl_have_an_advantage_per_step():
    best, second, note = FORMATS["verl"](TREE)
    assert (best["step_advantages"], best["reward"]) == ([0.25, 0.25], 1.0)
    assert (second["step_advantages"], second["reward"]) == ([0.25, -0.25], 0.5)
    assert (note["step_advantages"], note["reward"]) == ([None], None)
    assert [row["extra_info"]["nodes"] for row in (best, second, note)] == [[1, 3], [1, 2], [4]]
    assert all(step.rstrip() in best["response"] for step in best["steps"])


def test_a_run_folder_is_exported(tmp_path: Path):
    rows = [json.dumps(tree.to_row()) + "\n" for tree in (TREE, BARE)]
    (tmp_path / "trees.jsonl").write_text("".join(rows))
    assert export_traces(tmp_path, "verl", tmp_path / "out.jsonl") == 4
    assert list(read_trees(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))) == [
        TREE,
        BARE,
    ]
    with pytest.raises(UnknownNameError, match="atif"):
        export_traces(tmp_path, "xml", tmp_path / "out.jsonl")


def test_the_trees_themselves_are_not_replaced(tmp_path: Path):
    trees = tmp_path / "trees.jsonl"
    trees.write_text(json.dumps(TREE.to_row()) + "\n")
    with pytest.raises(UsageError, match="would be replaced"):
        export_traces(tmp_path, "atif", tmp_path / ".." / tmp_path.name / "trees.jsonl")
    assert json.loads(trees.read_text()) == TREE.to_row()


@pytest.mark.parametrize("line", ["{}", "[" * 100_000, json.dumps({**TREE.to_row(), "seed": []}), "[]"])
def test_a_file_of_something_else_is_told(tmp_path: Path, line: str):
    (tmp_path / "trees.jsonl").write_text(line + "\n")
    with pytest.raises(JournalError, match=r"trees\.jsonl"):
        export_traces(tmp_path, "atif", tmp_path / "out.jsonl")


def test_what_is_no_trace_of_ours_is_refused():
    trees = ("{", "[" * 100_000, 7, [])
    carried = ({"info": {"o1coder_tree": tree}} for tree in trees)
    bad: list[Any] = [None, 7, {"extra": {}}, {"extra": "x"}, *carried]
    for row in bad:
        with pytest.raises(RowError, match="row 1: field 'o1coder_tree'"):
            list(read_trees([row]))
    with pytest.raises(JournalError, match="search tree"):
        list(read_trees([{"info": {"o1coder_tree": {"schema": 9}}}]))
