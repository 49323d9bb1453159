"""A benchmark plan and the objects that it names: policy, judge, scorer, the tests that agents see."""

from __future__ import annotations

import inspect
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from o1coder_gym.agents.driver.cache import CachedPolicy
from o1coder_gym.agents.registry import agent_spec
from o1coder_gym.envs.acting import ActingPolicy, Process
from o1coder_gym.errors import UsageError
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.hf.engine import auto_dtype
from o1coder_gym.policies.loading import parameters_of, prepare
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.budget import Budget, ModelSizes
from o1coder_gym.runs.journal import FILES, RunFolder
from o1coder_gym.runs.provenance import cpu_features, package_versions
from o1coder_gym.sandbox import Judge as Sandbox
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs.own_code import load_object
from o1coder_gym.tcg.checking.solutions import sample_programs, source_of
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.store import TestStore, read_tests
from o1coder_gym.types import CheckerTest, Problem, Tests
from o1coder_gym.types.protocols import ActingAgent, Judge, Policy, StepScorer

SESSIONS = "sessions"
"""Name of the file that says when, where and by which command a run was worked on."""

VOTERS = "voters"
"""Name of the file of programs that decide what generated tests expect."""

_TESTS_PER_PROBLEM = 16
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the results of a benchmark depend on; the run folder's config.

    Attributes:
        problems: Name or path of the problem set.
        task_ids: The problems, in order.
        agents: Agent specs, e.g. ``"mcts?width=4"``.
        policy: Policy spec.
        format: Step format.
        budget: Per problem and agent.
        split: Split of the set, None for all of it.
        seeds: Run seeds; each agent runs once with each.
        max_steps: Reasoning steps per episode.
        sweep: Smaller budgets, whose answers are read off the same run.
        scorer: Step scorer spec, None without one.
        tests: What agents see: ``public``, ``generated``, or a file of tests beside the public ones.
        generator: Test generator.
        voters: Direct answers per problem that are sampled for it, outside of the budgets.
        share_samples: Whether equal requests are answered once; seconds are not measured then.
        inputs: Hashes of the artefacts that specs name.
        shard: ``i/n`` where only every n-th problem is run, else empty.
        timeout_s: Seconds after which a call of policy, judge or scorer counts as failed; None: never.
        files: Hashes of the files that hold problems and tests.
    """

    problems: str
    task_ids: tuple[str, ...]
    agents: tuple[str, ...]
    policy: str
    format: str
    budget: Budget
    split: str | None = None
    seeds: tuple[int, ...] = (0,)
    max_steps: int = 8
    sweep: tuple[Budget, ...] = ()
    scorer: str | None = None
    tests: str = "public"
    generator: str = "mutation"
    voters: int = 8
    share_samples: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    shard: str = ""
    timeout_s: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def set_name(self) -> str:
        """Names the problem set, split included."""
        return self.problems if self.split is None else f"{self.problems}:{self.split}"

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; what earlier versions did not have only where it is set."""
        row = asdict(self) | {
            "budget": self.budget.to_row(),
            "sweep": tuple(budget.to_row() for budget in self.sweep),
        }
        later = {"timeout_s": None, FILES: {}}
        return {name: value for name, value in row.items() if name not in later or value != later[name]}


@dataclass(frozen=True, slots=True)
class Tools:
    """The opened objects of a plan.

    Attributes:
        policy: Proposes steps.
        judge: Runs programs, for agents and for the evaluation.
        scorer: Scores steps, None without one.
        tests: Tests by task id that agents see beside the public ones.
        parameters: Weights of the policy's model, None if not known.
    """

    policy: Policy
    judge: Judge
    scorer: StepScorer | None = None
    tests: Mapping[str, Tests] | None = None
    parameters: int | None = None

    @property
    def sizes(self) -> ModelSizes:
        """The model sizes from which FLOPs are computed."""
        return ModelSizes(self.parameters, int(getattr(self.scorer, "parameters", 0)))


def planned_rows(problems: str, task_ids: Sequence[str], split: str | None = None) -> list[ProblemRow]:
    """Loads the problems of a plan, in its order.

    Raises:
        UnknownNameError: When there is no such problem set, or it has no such problem.
        ProblemFileError: When a row of the set is malformed.
    """
    found = load_rows(problems, split=split)
    return [found.row(task_id) for task_id in task_ids]


def open_tools(
    plan: Plan, rows: Sequence[ProblemRow], folder: RunFolder, policy: Policy | None = None
) -> Tools:
    """Opens what a plan names, its policy unless one is given, and generates tests that the folder lacks.

    Raises:
        O1CoderError: When something cannot be loaded; the message says what.
    """
    judge = default_judge()
    problems = [row.problem for row in rows]
    policy = policy or load_policy(plan.policy, format=plan.format)
    # a run that goes on may need no more than its journal has, and agents that act bring models of their own
    if not folder.resumed and {*plan.agents} - {*acting_agents(plan.agents)}:
        prepare(policy.policy if isinstance(policy, CachedPolicy) else policy)
    return Tools(
        policy=policy,
        judge=judge,
        scorer=load_scorer(plan.scorer or "heuristic"),
        tests=_tests(plan, problems, judge, folder),
        parameters=parameters_of(plan.policy),
    )


def acting_agents(specs: Iterable[str]) -> dict[str, Callable[[], ActingAgent]]:
    """Returns the factories of acting agents, ``acting?agent=package.module:Class``, by spec.

    Raises:
        UsageError: When there is no such agent.
        PluginError: When its code fails.
    """
    asked = {spec: agent_spec(spec) for spec in specs}
    return {
        spec: _maker(dict(found.arguments).get("agent", ""), spec)
        for spec, found in asked.items()
        if found.name == "acting"
    }


def acting_policies(makers: Mapping[str, Callable[[], ActingAgent]], model: Process) -> dict[str, Policy]:
    """Returns the policies that tasks of acting agents need, by spec; each has agents of its own."""
    return {spec: ActingPolicy(make, model) for spec, make in makers.items()}


def _maker(path: str, spec: str) -> Callable[[], ActingAgent]:
    """Imports the factory of an acting agent, by module or from a file."""
    made = load_object(path)
    if not callable(made) or not callable(getattr(made, "act", None)):
        raise UsageError(f"agent {spec}: {path} is not a class with a method act")
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise UsageError(f"agent {spec}: {path} is called without arguments: {error}") from error
    return cast(Callable[[], ActingAgent], made)


def comparison_policies(rows: Iterable[ProblemRow]) -> dict[str, int]:
    """Returns how many tests name each comparison policy; those with a checker of their own are one."""
    tests = (test for row in rows for test in dict.fromkeys((*row.problem.public_tests, *row.tests)))
    named = ("checker" if isinstance(test, CheckerTest) else getattr(test, "compare", None) for test in tests)
    return dict(sorted(Counter(filter(None, named)).items()))


def session_row(policy: str, rows: Iterable[ProblemRow]) -> dict[str, Any]:
    """Returns when, where and by which command a run is being worked on, and what counts as right in it.

    Args:
        policy: Its spec. What ``dtype=auto`` of ``hf:`` is depends on the machine, and so do its samples.
        rows: Its problems.
    """
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv[1:],
        "versions": package_versions("torch", "transformers", "vllm"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu_features(),
        "auto_dtype": auto_dtype() if policy.startswith("hf:") else None,
        "comparison": comparison_policies(rows),
    }


def _tests(
    plan: Plan, problems: Sequence[Problem], judge: Sandbox, folder: RunFolder
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
        # Without a reference: agents see these tests, and a reference is an answer.
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
    # Votes are counted over whole programs, so the policy writes them in one step, not in the plan's format.
    sampler = load_policy(plan.policy, format="vanilla")
    for start in range(0, len(waiting), _BATCH):
        written = sample_programs(sampler, waiting[start : start + _BATCH], plan.voters, seed=plan.seeds[0])
        folder.append(VOTERS, *({"task_id": t, "programs": codes} for t, codes in written.items()))
        known |= written
    return known
