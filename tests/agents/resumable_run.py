"""A run to be killed: searches some toy problems into a run folder, and logs each request it pays for.

    python resumable_run.py FOLDER LOG

Prints the results as JSON. The log has one line per request served: the seed of the request.
"""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial

import toy

from o1coder_gym.agents.best_of_n import best_of_n
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.mcts import mcts
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import PolicyRequest, Proposal


class LoggingPolicy(toy.ToyPolicy):
    """Writes down what it served, before it returns."""

    def __init__(self, log: str, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        answers = super().propose(requests)
        os.write(self.log, "".join(f"{request.seed}\n" for request in requests).encode())
        return answers


def main(folder: str, log: str, seconds: str = "0.01") -> None:
    agents = [partial(mcts, parallel=2), partial(best_of_n, n=100)]
    tasks = [Task(f"p{i}", agents[i % 2], Budget(tokens=900)) for i in range(6)]
    with RunFolder.open(folder, {"tasks": [task.key for task in tasks]}, resume=True) as journal:
        policy = LoggingPolicy(log, float(seconds))
        results = Driver(toy.ToyModel(), policy, seed=5, journal=journal).run(tasks)
    for result in results:
        assert result.result is not None
        tree = result.result.tree
        usage = result.usage
        print(json.dumps([result.task.key, result.result.value, result.result.code]))
        print(json.dumps([usage.tokens, usage.calls, usage.executions, tree and tree.to_row()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
