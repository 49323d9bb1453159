"""Opens what a benchmark plan names: policy, judge, scorer, the tests that agents see, the model's size."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o1coder_gym.experiments.benchmark import Plan, Tools
from o1coder_gym.models.lookup import parameters_of
from o1coder_gym.policies import load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import package_versions
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.solutions import sample_programs, source_of
from o1coder_gym.tcg.store import TestStore, read_tests
from o1coder_gym.types import Problem, Tests

VOTERS = "voters"
"""Name of the file of programs that decide what generated tests expect."""

_TESTS_PER_PROBLEM = 16
_BATCH = 16


def open_tools(plan: Plan, rows: Sequence[ProblemRow], folder: RunFolder) -> Tools:
    """Loads what a plan names, and makes the generated tests that the folder does not have.

    Raises:
        O1CoderError: When something cannot be loaded; the message says what.
    """
    judge = default_judge()
    problems = [row.problem for row in rows]
    return Tools(
        policy=load_policy(plan.policy, format=plan.format),
        judge=judge,
        scorer=load_scorer(plan.scorer or "heuristic"),
        tests=_tests(plan, problems, judge, folder),
        parameters=parameters_of(plan.policy),
    )


def session_row() -> dict[str, Any]:
    """Returns when, where and by which command a run is being worked on."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv[1:],
        "versions": package_versions("torch", "transformers", "vllm"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _tests(
    plan: Plan, problems: Sequence[Problem], judge: Judge, folder: RunFolder
) -> dict[str, Tests] | None:
    """Returns the tests that agents see beside the public ones. No reference is shown to a generator."""
    if plan.tests == "public":
        return None
    if plan.tests != "generated":
        return dict(read_tests(Path(plan.tests)))
    voters = source_of(_voters(plan, problems, folder))
    generator = load_generator(plan.generator, judge, solutions=voters)
    store = TestStore(folder.path / "tests.jsonl", generator, f"{plan.generator} {plan.voters}")
    made: dict[str, Tests] = {}
    for start in range(0, len(problems), _BATCH):
        batch = problems[start : start + _BATCH]
        made |= store.tests([TestRequest(problem, _TESTS_PER_PROBLEM) for problem in batch])
    return made


def _voters(plan: Plan, problems: Sequence[Problem], folder: RunFolder) -> dict[str, list[str]]:
    """Returns programs of the policy that vote on outputs; those sampled before come from the folder."""
    known: dict[str, list[str]] = {}
    for row in folder.rows(VOTERS):
        known[row["task_id"]] = row["programs"]
    waiting = [problem for problem in problems if problem.task_id not in known] if plan.voters else []
    if not waiting:
        return known
    sampler = load_policy(plan.policy, format="vanilla")
    for start in range(0, len(waiting), _BATCH):
        written = sample_programs(sampler, waiting[start : start + _BATCH], plan.voters, seed=plan.seeds[0])
        folder.append(VOTERS, *({"task_id": t, "programs": codes} for t, codes in written.items()))
        known |= written
    return known
