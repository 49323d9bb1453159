"""ATIF 1.8: one document a tree, a trajectory a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from o1coder_gym.adapters.traces.tree_paths import TREE, name, paths, statistics, text
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.types import Author

_ATIF = "ATIF-v1.8"
_SOURCES: Mapping[Author, str] = {"policy": "agent", "agent": "user"}
"""Who a step is said to come from: a note of the search is told to the policy, as a user would."""


def atif(tree: SearchTree) -> Iterator[dict[str, Any]]:
    """Yields one document: the chosen path, or the first; all others as its subagent trajectories."""
    first, *others = [_trajectory(tree, number, path) for number, path in enumerate(paths(tree))]
    extra = {**first["extra"], TREE: tree.to_row()}
    yield first | {"extra": extra, "subagent_trajectories": others or None}


def _trajectory(tree: SearchTree, number: int, path: list[int]) -> dict[str, Any]:
    question = {"step_id": 1, "source": "user", "message": tree.problem.prompt}
    steps = [_atif_step(tree, index, place) for place, index in enumerate(path, start=2)]
    return {
        "schema_version": _ATIF,
        "session_id": name(tree),
        "trajectory_id": f"path-{number}",
        "agent": {"name": "o1coder-gym", "version": tree.agent},
        "steps": [question, *steps],
        "final_metrics": {"total_completion_tokens": sum(tree.nodes[index].tokens for index in path)},
        "extra": {"task_id": tree.problem.task_id, "value": tree.nodes[path[-1]].end if path else None},
    }


def _atif_step(tree: SearchTree, index: int, place: int) -> dict[str, Any]:
    node = tree.nodes[index]
    step = {"step_id": place, "source": _SOURCES[node.author], "message": text(tree, index)}
    if node.author == "policy":
        step["metrics"] = {"completion_tokens": node.tokens}
    return step | {"extra": statistics(tree, index)}
