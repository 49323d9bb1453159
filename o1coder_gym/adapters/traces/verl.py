"""verl: one row a path, with the advantage of each of its steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row
from o1coder_gym.adapters.traces.tree_paths import TREE, advantage, paths, prompt, text
from o1coder_gym.process_data.search_tree import SearchTree


def verl(tree: SearchTree) -> Iterator[dict[str, Any]]:
    """Yields a row per path, with its response in steps and the advantage of each."""
    truth = json.dumps(ground_truth_row(ground_truth_of(tree.problem)))
    for number, path in enumerate(paths(tree)):
        steps = [text(tree, index) for index in path]
        carried = {TREE: json.dumps(tree.to_row())} if number == 0 else {TREE: None}
        yield {
            "data_source": "o1coder",
            "prompt": prompt(tree),
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": truth},
            "response": "\n\n".join(step.rstrip() for step in steps) + "\n",
            "steps": steps,
            "step_advantages": [advantage(tree, index) for index in path],
            "reward": tree.nodes[path[-1]].end if path else None,
            "extra_info": {"task_id": tree.problem.task_id, "nodes": path, **carried},
        }
