import json
from pathlib import Path

from o1coder_gym.process_data.search_tree import TREES
from o1coder_gym.reporting.pages.tree_page import page_names
from o1coder_gym.reporting.run_trees import RunTrees


def test_problems_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    tasks = ["set/10", "set/9", "other", "set/9"]
    rows = ({"task_id": task, "agent": f"a{place}", "seed": 0} for place, task in enumerate(tasks))
    (tmp_path / f"{TREES}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert RunTrees(tmp_path).task_ids == ("other", "set/9", "set/10")


def test_page_names_are_safe_and_never_alike():
    names = page_names(["MBPP/417", "MBPP-417", "mbpp 417", "../../etc", "ü", "x" * 200])
    assert names["MBPP/417"] == "MBPP-417.html"
    assert names["MBPP-417"] == "MBPP-417-2.html"
    assert names["mbpp 417"] == "mbpp-417-3.html"
    assert names["../../etc"] == "etc.html"
    assert names["ü"] == "problem.html"
    assert len(names["x" * 200]) == 85
