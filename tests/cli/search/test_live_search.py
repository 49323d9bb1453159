import io

import pytest
from rich.console import Console

from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.greedy import greedy
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.cli.search.live_search import LiveSearch
from o1coder_gym.cli.search.live_text import SideBySide
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.types import ActionType, Problem, Proposal, State, Step, Transition, Usage
from o1coder_gym.types.queries import Propose


def grown() -> SearchTree:
    """A tree with one thought, valued 0.5."""
    root = State("p")
    tree = Tree(root)
    thought = root.then(Step(ActionType.DEFINE, "go through the list"))
    node = tree.add(tree.root, Proposal("x", 9), Transition(thought, 0.0, False, False))
    assert node is not None
    tree.backward(node, 0.5)
    return tree.look(Problem("p", "?"))


@pytest.mark.parametrize("terminal", [True, False])
def test_the_tree_and_what_was_spent_are_shown(terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=40, force_terminal=terminal, color_system=None)
    with LiveSearch(console, grown, tokens=100) as live:
        live(Task("p", greedy), Propose(State("p")), (), Usage(tokens=25))
    text = file.getvalue()
    assert "define  v 0.50  N 1  go through the list" in text
    assert "1 step, 1 simulation" in text
    assert "25 of 100 tokens" in text
    assert max(len(line) for line in text.splitlines() if "\x1b" not in line) <= 80


@pytest.mark.parametrize("terminal", [True, False])
def test_columns_stand_side_by_side(terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, color_system=None)
    with SideBySide(console, ("left", "right")) as columns:
        columns.write(0, "one")
        columns.write(1, "two")
    line = next(line for line in reversed(file.getvalue().splitlines()) if "one" in line)
    assert line.index("one") < 40 < line.index("two")
