"""What the tasks beside this file are made of: lm-eval imports it by its path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from o1coder_gym.adapters.evaluation import load_exam, pass_at
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.steps.formats import VANILLA
from o1coder_gym.types import State


def dataset(problems: str, split: str | None = None, **_: Any) -> dict[str, Any]:
    """Returns the questions of a problem set; hidden tests stay with the judge."""
    from datasets import Dataset

    exam = load_exam(problems, split)
    rows = [
        {
            "question": VANILLA.prompt(problem, State(task_id)).messages[-1][1],
            "target": json.dumps([problems, split, task_id]),
        }
        for task_id, problem in exam.problems.items()
    ]
    return {"test": Dataset.from_list(rows)}


def answers(responses: Sequence[Sequence[str]], docs: Sequence[Any]) -> list[list[str]]:
    """Keeps answers as they are: the judge's side reads their programs."""
    return [list(group) for group in responses]


def pass_at_1(references: Sequence[str], predictions: Sequence[Sequence[str]]) -> float:
    """Returns the share of answers that pass all hidden tests; masked ones do not count."""
    items = []
    for target, group in zip(references, predictions, strict=True):
        problems, split, task_id = json.loads(target)
        truth = load_exam(problems, split).truths[task_id]
        items += [(program_in(answer, truth.entry_point), truth) for answer in group]
    return pass_at([[score] for score in score_all(items)], 1)
