"""Measures the environments: how much they add to parsing, and to the judge.

    python benchmarks/speed/env_speed.py [--seconds 2] [--rounds 10] [--json]

Rows:
  advance     transitions per CPU second of `ReasoningModel.advance` with cached verdicts, batches of 64
  step        pseudocode steps per CPU second through `gymnasium.make(...).step`, nothing executed
  choice      the same for `ReasoningEnv` over choices, with a scripted policy and cached verdicts
  vector      wall-clock throughput of 64 environments in one vector that all commit new programs at every
              step, over the judge's own on batches of 64 programs of the same kind, interleaved

The first three are CPU time of this process alone, so neighbours on the machine change little. Each row
prints its pin and whether it holds; the exit status is 1 if one does not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
from rich.console import Console
from rich.table import Table

from o1coder_gym.envs import (
    ChoiceInteraction,
    ReasoningEnv,
    ReasoningModel,
    ReasoningVectorEnv,
    TextInteraction,
)
from o1coder_gym.policies import ScriptedPolicy
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.sandbox import Judge
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Problem, Step, Submission

BATCH = 64
DEFINE = "### Step 1 (define)\nfunction solve(values)\n    keep a running total\n    return it\n"
PROGRAM = (
    "def {name}(*values):\n    total = 0\n    for value in values:\n        total = value\n    return total"
)


def rate_of(work: Callable[[], int], seconds: float) -> float:
    """Returns units per CPU second of `work`, which returns the units that it did."""
    work()
    units, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds:
        units += work()
    return units / spent


def programs(problem: Problem) -> Iterator[str]:
    """Yields programs for a problem, no two alike, as actions."""
    program = PROGRAM.format(name=problem.entry_point)
    for number in itertools.count():
        yield PSEUDOCODE.render(Step(ActionType.CODE, f"{program}  # {number}"), 1)


def advance_rate(model: ReasoningModel, seconds: float) -> float:
    """Transitions per CPU second with cached verdicts."""
    problem = model.problem(model.task_ids[0])
    root = model.initial(problem.task_id)
    pairs = [(root, action) for action in itertools.islice(programs(problem), BATCH)]
    return rate_of(lambda: len(model.advance(pairs)), seconds)


def step_rate(seconds: float) -> float:
    """Pseudocode steps per CPU second through the Gymnasium environment with its usual wrappers."""
    env = gymnasium.make("O1Coder/Starter-v0", max_steps=9)

    def episode() -> int:
        env.reset(seed=0)
        for _ in range(8):
            env.step(DEFINE)
        return 8

    return rate_of(episode, seconds)


def choice_rate(model: ReasoningModel, seconds: float) -> float:
    """Choices per CPU second, K = 4, resets included."""
    code = PROGRAM.format(name="solve")
    steps = [{"type": "define", "text": "plan", "weight": 3}, {"type": "code", "text": code}]
    policy = ScriptedPolicy.from_rows({"problems": {"*": {"depths": [steps]}}})
    env = ReasoningEnv(ChoiceInteraction(model, policy, k=4))

    def episode() -> int:
        env.reset(seed=0)
        taken = 0
        while not env.cursor.done:
            env.step(0)
            taken += 1
        return taken

    return rate_of(episode, seconds)


def vector_share(judge: Judge, problem: Problem, rounds: int) -> tuple[float, float, float]:
    """Programs per second of the vector and of the judge alone, and the median ratio over rounds."""
    actions = programs(problem)
    model = ReasoningModel([problem], judge)
    vector = ReasoningVectorEnv(TextInteraction(model), BATCH, autoreset_mode="SameStep")
    vector.reset(seed=0)

    def step() -> None:
        vector.step(tuple(itertools.islice(actions, BATCH)))

    def evaluate() -> None:
        batch = [PSEUDOCODE.parse(action).text for action in itertools.islice(actions, BATCH)]
        judge.evaluate([Submission(code, problem.entry_point, problem.public_tests) for code in batch])

    pairs = [(_seconds(step), _seconds(evaluate)) for _ in range(rounds + 1)][1:]
    with_env, alone = (statistics.median(times) for times in zip(*pairs, strict=True))
    return BATCH / with_env, BATCH / alone, statistics.median(judge_s / env_s for env_s, judge_s in pairs)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Takes all measurements."""
    problem = load_problems("starter")[0]
    with Judge() as judge:
        model = ReasoningModel([problem], judge)
        with_env, alone, share = vector_share(judge, problem, rounds)
        return [
            {"name": "advance, cached verdicts", "value": advance_rate(model, seconds), "pin": 20_000.0},
            {"name": "pseudocode step", "value": step_rate(seconds), "pin": 10_000.0},
            {"name": "choice of 4", "value": choice_rate(model, seconds), "pin": None},
            {"name": "vector of 64, programs/s", "value": with_env, "pin": None},
            {"name": "judge alone, programs/s", "value": alone, "pin": None},
            {"name": "vector over judge", "value": share, "pin": 0.9},
        ]


def main() -> None:
    """Prints the table, or JSON."""
    parser = argparse.ArgumentParser(description="Measures the environments.")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds per rate")
    parser.add_argument("--rounds", type=int, default=10, help="steps of the vector")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.seconds, arguments.rounds)
    if arguments.json:
        print(json.dumps(rows))
    else:
        table = Table("what", "measured", "pin", "holds")
        for row in rows:
            pin = row["pin"]
            holds = "" if pin is None else "yes" if row["value"] >= pin else "no"
            table.add_row(row["name"], f"{row['value']:,.2f}", "" if pin is None else f"{pin:,.1f}", holds)
        Console().print(table)
    sys.exit(any(row["pin"] is not None and row["value"] < row["pin"] for row in rows))


if __name__ == "__main__":
    main()
