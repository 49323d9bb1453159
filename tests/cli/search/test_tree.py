import io
import json
import re
import shutil
from typing import Any, cast

import pytest
from rich.console import Console

from o1coder_gym.cli.search.tree import _contents


@pytest.fixture
def run(o1coder, problems, script, tmp_path):
    agents = ("--agent", "greedy", "--agent", "mcts:simulations=8")
    done = o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", *agents, "--out", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_a_page_per_problem(o1coder, run):
    done = o1coder("tree", run, "toy/double")
    assert done.returncode == 0, done.stderr
    page = run / "trees/toy-double.html"
    assert done.stdout.strip() == str(page)
    assert "Double it." in page.read_text()
    assert '"hidden":{"outcome":"pass","passed":2,"total":2}' in page.read_text()


def test_a_page_links_to_what_is_there(o1coder, run):
    page = run / "trees/toy-double.html"

    def links():
        (found,) = re.findall(r'"links":({.*?})', page.read_text())
        return json.loads(found)

    beside = {"next": "toy-square.html"}
    assert links() == beside | {"report": "../report.html"}
    shutil.rmtree(run / "trees")
    (run / "results.jsonl").unlink()
    o1coder("tree", run, "toy/double")
    assert links() == {}


def test_a_beginning_of_a_problem_and_json(o1coder, run):
    (page,) = o1coder("tree", run, "toy/dou").stdout.splitlines()
    assert page == str(run / "trees/toy-double.html")
    trees = [json.loads(line) for line in o1coder("tree", run, "toy/dou", "--json").stdout.splitlines()]
    assert {tree["agent"] for tree in trees} >= {"greedy", "mcts:simulations=8"}
    listed = [json.loads(line) for line in o1coder("tree", run, "--json").stdout.splitlines()]
    assert "toy/double" in [one["problem"] for one in listed]


def test_without_a_problem_they_are_listed(o1coder, run):
    done = o1coder("tree", run)
    assert "toy/double" in done.stdout
    assert "mcts:simulations=8" in done.stdout


def test_other_forms(o1coder, run, tmp_path):
    for form, text in (("terminal", "Double it."), ("mermaid", "flowchart LR"), ("dot", "digraph search {")):
        arguments = ("tree", run, "toy/double", "--agent", "mcts:simulations=8", "--as", form)
        done = o1coder(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(text) == 1
    file = tmp_path / "out.dot"
    assert o1coder(*arguments, "--out", file).stdout.strip() == str(file)
    assert file.read_text() == done.stdout


def test_what_is_not_there_is_named(o1coder, run):
    for arguments in (("toy/nothing",), ("toy/double", "--agent", "beam"), ("toy/double", "--as", "picture")):
        done = o1coder("tree", run, *arguments)
        assert done.returncode == 2
        assert arguments[-1] in done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_without_trees(o1coder, tmp_path):
    done = o1coder("tree", tmp_path)
    assert done.returncode == 2
    assert "no search trees" in done.stderr


class Trees:
    """The trees of two problems; the second has one agent less where agents differ."""

    task_ids = ("micro/test-0000", "micro/test-0001")

    def __init__(self, differ):
        self.differ = differ

    def agents(self, task_id):
        every = ["best_of_n_random:n=64", "mcts?width=4&c=1.4&evaluate=mixed", "self_repair"]
        return every[: 2 if self.differ and task_id == self.task_ids[1] else 3]


@pytest.mark.parametrize("differ", [True, False])
def test_the_list_fits_the_terminal_and_breaks_no_name(differ):
    shown = io.StringIO()
    Console(width=50, file=shown).print(_contents(cast(Any, Trees(differ)), 50))
    lines = shown.getvalue().splitlines()
    assert shown.getvalue().count("best_of_n_random:n=64,") == 1 + differ  # agents of all are named once
    assert all(name in shown.getvalue() for name in Trees.task_ids)
    assert max(map(len, lines)) <= 50
    for words in ("best_of_n_random:n=64,", "width=4&c=1.4&", "evaluate=mixed,", "self_repair"):
        assert any(words in line for line in lines)
