import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from o1coder_gym.process_data.search_tree import SearchTree, TreeNode
from o1coder_gym.reporting.colours import BAD, GOOD, MIDDLE, UNKNOWN, value_colour
from o1coder_gym.reporting.tree_text import dot, mermaid, terminal_tree
from o1coder_gym.types import ActionType, Outcome, Problem, Step, Usage

NODES = (
    TreeNode(None, None, visits=2, value=0.75),
    TreeNode(0, Step(ActionType.DEFINE, 'say "hi" <b>'), visits=2, value=0.75, score=0.25),
    TreeNode(1, Step(ActionType.CODE, "a = 1"), 1, 1, 1.0, end=1.0, outcome=Outcome.PASS, bits="11"),
    TreeNode(1, Step(ActionType.CODE, "b = 1"), 2, 1, 0.5, end=0.5, outcome=Outcome.TIMEOUT, bits="01"),
)
TREE = SearchTree(Problem("p/1", "?"), "mcts", 0, "pseudocode", NODES, chosen=2, usage=Usage(tokens=40))


def text(tree: SearchTree, most: int = 60) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(terminal_tree(tree, most=most))
    return console.export_text()


def test_the_terminal_shows_steps_values_and_tests():
    shown = text(TREE)
    assert "p/1 · mcts: 4 nodes, 40 tokens" in shown
    assert 'define  v 0.75  N 2  PRM 0.25  say "hi" <b>' in shown
    assert "code  v 1.00  N 1  pass, 2/2 tests  a = 1" in shown
    assert "code  v 0.50  N 1  timeout, 1/2 tests  b = 1" in shown


def accidents() -> SearchTree:
    """The tree with a program at the sampling's limit, one that the budget cut, and a note of the agent."""
    code = Step(ActionType.CODE, "c = ")
    more = (
        TreeNode(
            1, code, 3, 1, 0.0, tokens=384, end=0.0, outcome=Outcome.COMPILE_ERROR, bits="00", finish="length"
        ),
        TreeNode(1, code, 3, tokens=70, finish="budget"),
        TreeNode(0, Step(ActionType.REFINE, "It is wrong."), 3, author="agent"),
    )
    return replace(TREE, nodes=NODES + more)


def test_how_a_step_came_about_is_said():
    shown = text(accidents())
    assert "code  cut at 384 tokens  v 0.00  N 1  compile error, 0/2 tests  c =" in shown
    assert "code  cut by the budget  c =" in shown
    assert "refine  note of the agent  v –  N 0  It is wrong." in shown
    graph = mermaid(accidents())
    assert '["code: c =<br/>N 1, v 0.00<br/>cut at 384 tokens<br/>compile error, 0/2 tests"]' in graph
    assert '("code: c =<br/>cut by the budget")' in graph


def test_a_large_tree_is_cut_where_it_was_visited_least():
    more = tuple(TreeNode(0, Step(ActionType.DEFINE, f"idea {i}"), visits=i, value=0.0) for i in range(9))
    shown = text(replace(TREE, nodes=NODES + more), most=5)
    assert "a = 1" in shown  # the answer's path is always there
    assert "idea 8" in shown
    assert "idea 7" in shown
    assert "idea 6" not in shown
    assert "… 7 more" in shown


def test_mermaid():
    lines = mermaid(TREE).splitlines()
    assert lines[0] == "flowchart LR"
    assert '  n1("define: say #quot;hi#quot; #lt;b#gt;<br/>N 2, v 0.75")' in lines
    assert '  n2["code: a = 1<br/>N 1, v 1.00<br/>pass, 2/2 tests"]' in lines
    assert "  n1 ==> n2" in lines  # the answer
    assert "  n1 --> n3" in lines


def test_dot():
    written = dot(TREE)
    assert r'n1 [label="define: say \"hi\" <b>\nN 2, v 0.75"' in written
    assert 'n1 -> n2 [penwidth=2.5, color="#3a56c5"];' in written
    assert "n1 -> n3;" in written
    assert written.rstrip().endswith("}")


@pytest.mark.parametrize(("value", "colour"), [(0.0, BAD), (0.5, MIDDLE), (1.0, GOOD)])
def test_colours_of_values(value, colour):
    assert value_colour(value) == colour


def test_colours_between_are_mixed():
    # half way from d9c98f to 0d7a70
    assert value_colour(0.75) == "#73a280"
    assert value_colour(None) not in (BAD, MIDDLE, GOOD)


def test_without_tests_a_program_is_shown_in_a_neutral_colour():
    code = TreeNode(0, Step(ActionType.CODE, "a = 1"), outcome=Outcome.NO_TESTS)
    bare = replace(TREE, nodes=(TreeNode(None, None), code), chosen=1)
    assert "code  v –  N 0  no tests  a = 1" in text(bare)
    (line,) = terminal_tree(bare).children
    told = line.label
    assert isinstance(told, Text)
    assert {str(span.style) for span in told.spans if told.plain[span.start : span.end] == "  no tests"} == {
        "dim"
    }
    assert f"style n1 fill:{UNKNOWN}" in mermaid(bare)
    assert f'fillcolor="{UNKNOWN}"' in dot(bare)
