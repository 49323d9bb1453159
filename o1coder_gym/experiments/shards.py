"""The searches of a synthesis: here, or by an executor in shards with their own policy, judge and driver.

What is there already is left alone: a search per problem and seed, whose tree is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tasks import Task, TaskResult
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.agents.search.rollouts import Rollout, complete
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.benchmark import FAILURES
from o1coder_gym.experiments.tools import acting_agents, acting_policies
from o1coder_gym.policies import load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.process_data.harvest import reason_to_drop
from o1coder_gym.process_data.search_tree import TREES, SearchTree, tree_rows
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.executors import cut, load_executor
from o1coder_gym.runs.journal import FILES, RunFolder
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem, Sampling, Tests
from o1coder_gym.types.protocols import Judge, Policy, StepScorer


@dataclass(frozen=True, slots=True)
class SynthesisPlan:
    """All that the trees of a synthesis depend on; the run folder's config.

    Attributes:
        problems: Name or path of the problem set.
        task_ids: The problems, in order.
        agent: Agent spec, e.g. ``"mcts:simulations=32,width=4"``.
        policy: Policy spec.
        format: Step format.
        budget: Per search.
        seeds: A search per problem with each.
        max_steps: Reasoning steps per episode.
        generator: What makes tests beside the public ones.
        tests: How many it is asked for per problem; 0 for none.
        scorer: Step scorer of agents that ask for one, None without.
        inputs: Hashes of artefacts that the specs name, by spec.
        rollouts: K, completions of each prefix after its search, whose mean is its value (Math-Shepherd's
            estimate); 0 takes the search's own W / N. They are not paid from the search's budget.
        files: Hashes of the files that hold problems.
    """

    problems: str
    task_ids: tuple[str, ...]
    agent: str
    policy: str
    format: str
    budget: Budget
    seeds: tuple[int, ...] = (0,)
    max_steps: int = 8
    generator: str = "mutation"
    tests: int = 16
    scorer: str | None = None
    inputs: Mapping[str, str] | None = None
    rollouts: int = 0
    files: Mapping[str, str] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; what earlier versions did not have only where it is set."""
        row = asdict(self) | {"budget": self.budget.to_row()}
        return {name: value for name, value in row.items() if value or name not in ("rollouts", FILES)}


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of work for another process.

    Attributes:
        plan: With the problems of this shard and one seed.
        problems: Those of ``plan.task_ids``.
        tests: Generated tests by task id.
    """

    plan: SynthesisPlan
    problems: tuple[Problem, ...]
    tests: Mapping[str, Tests]


Report = Callable[[SearchTree], None]
"""Called with each new tree."""

Search = Callable[
    [SynthesisPlan, Sequence[Problem], Mapping[str, Tests], RunFolder, str, Report], list[O1CoderError]
]
"""Runs the searches of a plan: `search_all`, or a caller's function that shows them as well."""


def search_all(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    folder: RunFolder,
    executor: str,
    report: Report,
) -> list[O1CoderError]:
    """Searches for the trees that the folder does not have yet, wherever the executor says.

    In this process a search that was interrupted continues from the journal; elsewhere a shard that was
    interrupted is searched again. The trees are the same.

    Args:
        plan: What to run.
        problems: Those of `plan.task_ids`.
        tests: Generated tests by task id.
        folder: Opened with `plan` as its config.
        executor: Spec of the executor.
        report: Called with each new tree.

    Returns:
        Why searches failed, one error each.
    """
    run, workers = load_executor(executor)
    if executor == "serial":
        return _here(plan, problems, tests, folder, report)
    errors: list[O1CoderError] = []
    shards = [
        shard
        for seed, waiting in missing(plan, folder).items()
        for shard in _shards(replace(plan, seeds=(seed,)), waiting, problems, tests, workers)
    ]
    for trees, failures in run(search_shard, shards):
        folder.append(TREES, *(tree.to_row() for tree in trees))
        folder.append(FAILURES, *failures)
        errors += [O1CoderError(failure["error"]) for failure in failures]
        for tree in trees:
            report(tree)
    return errors


def search_shard(shard: Shard) -> tuple[list[SearchTree], list[dict[str, object]]]:
    """Searches the problems of a shard with the judge of its process; returns trees and rows of failures."""
    trees: list[SearchTree] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        RunFolder.open(Path(temporary), shard.plan.to_row()) as folder,
    ):
        _here(shard.plan, shard.problems, shard.tests, folder, trees.append)
        return trees, list(folder.rows(FAILURES))


def _here(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    folder: RunFolder,
    report: Report,
) -> list[O1CoderError]:
    if not missing(plan, folder):
        return []
    policy = load_policy(plan.policy, format=plan.format)
    scorer = load_scorer(plan.scorer or "heuristic")
    return synthesize_trees(plan, problems, tests, policy, scorer, default_judge(), folder, report)


def _shards(
    plan: SynthesisPlan,
    task_ids: Sequence[str],
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    workers: int,
) -> list[Shard]:
    known = {problem.task_id: problem for problem in problems}
    return [
        Shard(
            replace(plan, task_ids=tuple(part)),
            tuple(known[task_id] for task_id in part),
            {task_id: tests[task_id] for task_id in part if task_id in tests},
        )
        for part in cut(task_ids, workers)
    ]


def missing(plan: SynthesisPlan, folder: RunFolder) -> dict[int, list[str]]:
    """Returns the problems that have no tree yet, by seed; omits seeds that are complete."""
    done = {(row["seed"], row["task_id"]) for row in tree_rows(folder.path)}
    waiting = {seed: [task for task in plan.task_ids if (seed, task) not in done] for seed in plan.seeds}
    return {seed: tasks for seed, tasks in waiting.items() if tasks}


def synthesize_trees(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    policy: Policy,
    scorer: StepScorer | None,
    judge: Judge,
    folder: RunFolder,
    report: Report,
) -> list[O1CoderError]:
    """Searches for the trees that the folder does not have yet; all problems of a seed at once.

    Args:
        plan: What to run.
        problems: Those of `plan.task_ids`.
        tests: Tests by task id beside the public ones.
        policy: What `plan.policy` names.
        scorer: What `plan.scorer` names.
        judge: Runs programs.
        folder: Opened with `plan` as its config.
        report: Called with each new tree as it comes.

    Returns:
        Why searches failed, one error each; a resumed run tries them again.

    Raises:
        JournalError: When the folder cannot be written; what it has is safe.
    """
    step_format = load_format(plan.format)
    model = ReasoningModel(problems, judge, format=step_format, max_steps=plan.max_steps, tests=tests)
    agent = load_agent(plan.agent)
    own = acting_policies(acting_agents([plan.agent]), model).get(plan.agent)
    errors: list[O1CoderError] = []
    for seed, waiting in missing(plan, folder).items():
        recorder = Recorder()
        driver = Driver(model, policy, scorer, seed=seed, journal=folder, observer=recorder)
        tasks = [Task(task, agent, plan.budget, name=plan.agent, seed=seed, policy=own) for task in waiting]
        trees: list[SearchTree] = []
        sampling = Sampling()
        for finished in driver.stream(tasks):
            recording = recorder.recordings.pop(finished.task.key, Recording())
            if _failed(finished, seed, folder, errors):
                continue
            problem = model.problem(finished.task.task_id)
            tree = tree_record(finished, problem, recording, seed=seed, format=plan.format)
            # Completed after all searches, in one batch of all trees: single ones would leave the policy half
            # empty.
            if plan.rollouts:
                trees.append(tree)
                if recording.samples:
                    sampling = recording.sampling  # of all searches alike: one agent made them
                continue
            folder.append(TREES, tree.to_row())
            report(tree)
        completing = Driver(model, policy, scorer, seed=seed, journal=folder)
        for finished, tree in completed(trees, plan.rollouts, completing, own, sampling):
            if _failed(finished, seed, folder, errors):
                continue
            folder.append(TREES, tree.to_row())
            report(tree)
    return errors


def _failed(finished: TaskResult, seed: int, folder: RunFolder, errors: list[O1CoderError]) -> bool:
    """Returns whether a search with a seed failed, or the completions of its tree, and records why.

    A shard reports it through its folder.
    """
    if finished.error is None:
        return False
    row = {"task_id": finished.task.task_id, "seed": seed, "error": str(finished.error)}
    folder.append(FAILURES, row)
    errors.append(finished.error)
    return True


def completed(
    trees: Sequence[SearchTree],
    rollouts: int,
    driver: Driver,
    policy: Policy | None = None,
    sampling: Sampling = Sampling(),
) -> Iterator[tuple[TaskResult, SearchTree]]:
    """Lets the policy complete each evaluated prefix of finished searches, all at once.

    Args:
        trees: Of one run.
        rollouts: K, completions of each prefix.
        driver: Runs them; its journal keeps what a kill would lose.
        policy: Completes them; None is the driver's.
        sampling: How steps are drawn. As in the search, or values would be those of another policy.

    Yields:
        The result of a tree's completions, and the tree with them.
    """
    found: dict[str, tuple[SearchTree, list[int], list[Rollout]]] = {}
    tasks = []
    for tree in trees:
        places = [
            place
            for place, node in enumerate(tree.nodes)
            if node.parent is not None and node.end is None and reason_to_drop(node) is None
        ]
        runs: list[Rollout] = []
        starts = [tree.state(place) for place in places for _ in range(rollouts)]
        agent = partial(complete, starts=starts, sampling=sampling, found=runs)
        name = f"{tree.agent} completions"
        # With the search's own seed the first completion of a prefix would be what the search sampled there:
        # its values are what the search was led by, and no new draws.
        seed = derive_stream(tree.seed, "completions")
        tasks.append(Task(tree.problem.task_id, agent, name=name, seed=seed, policy=policy))
        found[tasks[-1].key] = tree, places, runs
    for finished in driver.stream(tasks) if tasks else ():
        tree, places, runs = found[finished.task.key]
        values = [
            (place, tuple(run.value for run in runs[start : start + rollouts] if run.value is not None))
            for start, place in zip(range(0, len(runs), rollouts), places, strict=True)
        ]
        yield finished, replace(tree, completions=tuple((place, some) for place, some in values if some))
