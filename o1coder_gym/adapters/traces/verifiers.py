"""verifiers v1: one trace a tree; its message graph is the tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from o1coder_gym.adapters.traces.tree_paths import TREE, end, name, prompt, statistics, text
from o1coder_gym.process_data.search_tree import SearchTree


def verifiers(tree: SearchTree) -> Iterator[dict[str, Any]]:
    """Yields one trace: the messages of the prompt, then a node per step with its parent."""
    nodes: list[dict[str, Any]] = [
        {"parent": number - 1 if number else None, "message": message}
        for number, message in enumerate(prompt(tree))
    ]
    above = len(nodes) - 1  # the root of the tree is the end of the prompt
    for index, node in list(enumerate(tree.nodes))[1:]:
        message = {"role": "assistant", "content": text(tree, index)}
        sampled = node.author == "policy"
        nodes.append({"parent": above + (node.parent or 0), "message": message, "sampled": sampled})
    told = [statistics(tree, index) for index in range(1, len(tree.nodes))]
    data = {"id": tree.problem.task_id, "prompt": tree.problem.prompt}
    yield {
        "version": 1,
        "id": name(tree),
        "task": {"type": "ProblemTask", "data": data},
        "agent": {"config": {}, "name": tree.agent},
        "nodes": nodes,
        "rewards": {} if end(tree) is None else {"value": {"score": end(tree), "weight": 1.0}},
        "info": {"statistics": told, TREE: tree.to_row()},
        "is_completed": True,
        "ok": True,
    }
