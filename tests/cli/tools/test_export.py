import json

from o1coder_gym.adapters.traces import read_trees
from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.types import Problem
from tests.command_line import call

TREE = SearchTree(Problem("p", "q"), "greedy", 0, "vanilla", (TreeNode(None, None),))


def test_trees_of_a_run_are_written(tmp_path):
    (tmp_path / "trees.jsonl").write_text(json.dumps(TREE.to_row()) + "\n")
    done = call("export", tmp_path, "--format", "atif", "--json")
    assert json.loads(done.stdout) == {"rows": 1, "out": str(tmp_path / "atif.jsonl")}
    assert list(read_trees([json.loads((tmp_path / "atif.jsonl").read_text())])) == [TREE]
    assert (
        call("export", tmp_path, "--format", "verl", "--out", tmp_path / "x").stdout
        == f"1 rows: {tmp_path / 'x'}\n"
    )


def test_what_is_no_run_and_no_format_is_told(tmp_path):
    done = call("export", tmp_path, "--format", "atif")
    assert (done.exit_code, done.stderr) == (1, f"error: {tmp_path}: holds no search trees\n")
    assert list(tmp_path.iterdir()) == []
    done = call("export", tmp_path, "--format", "xml")
    assert done.exit_code == 2
    assert "atif" in done.stderr
