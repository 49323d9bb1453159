"""What falsepass has to know of our taskset for verifiers: references, and how answers are written."""

from __future__ import annotations

import random

from falsepass.adapter import Adapter
from falsepass.model import Example
from falsepass.scorers import V1TaskScorer

from o1coder_gym.adapters.verifiers import O1CoderConfig
from o1coder_gym.problems.loading import load_rows
from o1coder_verifiers import O1CoderTaskset


class StarterAudit(Adapter):
    """The bundled problems; a wrong answer is a program that runs, for a broken one is passed over."""

    name = "o1coder-verifiers"

    def load(self, n: int, seed: int) -> tuple[V1TaskScorer, list[Example]]:
        """Returns verifiers' own way to score, and problems with their references."""
        references = {row.problem.task_id: row.reference or "" for row in load_rows("starter")}
        tasks = O1CoderTaskset(O1CoderConfig(id="o1coder-verifiers", problems="starter")).load()
        found = [Example(task.data.id, task.data.question, references[task.data.id], task) for task in tasks]
        return V1TaskScorer(tasks[0]), random.Random(seed).sample(found, min(n, len(found)))

    def render(self, answer: str, example: Example) -> str:
        """Returns a program as models write it."""
        return f"Here it is:\n```python\n{answer}\n```\n"

    def wrong_answer(self, example: Example) -> str:
        """Returns a program that is wrong on every problem of the set, and of the kind that is asked for."""
        name = example.raw.data.truth["entry_point"]
        return f"def {name}(*arguments):\n    return None" if name else "print(input() and None)"


ADAPTER = StarterAudit()
