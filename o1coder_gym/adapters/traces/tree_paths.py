"""What all formats tell of a tree: its root-to-leaf paths, and of each step its statistics."""

from __future__ import annotations

from typing import Any

from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import State

TREE = "o1coder_tree"
"""Field with the row of the tree."""


def prompt(tree: SearchTree) -> list[dict[str, str]]:
    """Returns the messages that the policy was shown first."""
    turns = load_format(tree.format).prompt(tree.problem, State(tree.problem.task_id)).messages
    return [{"role": role, "content": content} for role, content in turns]


def name(tree: SearchTree) -> str:
    """Returns a name that is unique in a run."""
    return f"{tree.agent} {tree.problem.task_id} {tree.seed}"


def paths(tree: SearchTree) -> list[list[int]]:
    """Returns the nodes below the root of each path that ends in a leaf; that of the answer comes first."""
    leaves = [index for index, below in enumerate(tree.children()) if not below]
    # Stable: the answer's path first, the others in order of creation.
    leaves.sort(key=lambda index: index != tree.chosen)
    return [tree.path(leaf)[1:] for leaf in leaves]


def statistics(tree: SearchTree, index: int) -> dict[str, Any]:
    """Returns what the search knows of a step: its node, N, W, advantage and outcome."""
    node = tree.nodes[index]
    total = None if node.value is None else node.value * node.visits
    found = {"node": index, "N": node.visits, "W": total, "advantage": advantage(tree, index)}
    return found | {"outcome": node.outcome.value if node.outcome else None}


def advantage(tree: SearchTree, index: int) -> float | None:
    """Returns A = v(node) − v(parent), None where either is not known."""
    node = tree.nodes[index]
    above = tree.nodes[node.parent].value if node.parent is not None else None
    return None if node.value is None or above is None else node.value - above


def text(tree: SearchTree, index: int) -> str:
    """Returns a step as its format writes it; its number is its depth."""
    step = tree.nodes[index].step
    assert step is not None
    return load_format(tree.format).render(step, len(tree.path(index)) - 1)


def end(tree: SearchTree) -> float | None:
    """Returns v of the answer, None without one or where its tests decide nothing."""
    return tree.nodes[tree.chosen].end if tree.chosen is not None else None
