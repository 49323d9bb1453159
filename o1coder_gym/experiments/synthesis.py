"""Runs a synthesis plan: a search per problem and seed, its tree kept, what is there already left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.recordings import Recorder, Recording
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.agents.driver.tree_records import tree_record
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.benchmark import FAILURES
from o1coder_gym.process_data.search_tree import TREES, SearchTree, tree_rows
from o1coder_gym.protocols import Judge, Policy, StepScorer
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem, Tests


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

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return asdict(self)


Report = Callable[[SearchTree], None]
"""Told of each new tree."""


def missing(plan: SynthesisPlan, folder: RunFolder) -> dict[int, list[str]]:
    """Returns the problems that have no tree yet, by seed; seeds without such are left out."""
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
        report: Told of each new tree as it comes.

    Returns:
        Why searches failed, one error each; a resumed run tries them again.

    Raises:
        JournalError: When the folder cannot be written; what it has is safe.
    """
    step_format = load_format(plan.format)
    model = ReasoningModel(problems, judge, format=step_format, max_steps=plan.max_steps, tests=tests)
    agent = load_agent(plan.agent)
    errors = []
    for seed, waiting in missing(plan, folder).items():
        recorder = Recorder()
        driver = Driver(model, policy, scorer, seed=seed, journal=folder, observer=recorder)
        tasks = [Task(task, agent, plan.budget, name=plan.agent, seed=seed) for task in waiting]
        for finished in driver.stream(tasks):
            recording = recorder.recordings.pop(finished.task.key, Recording())
            if finished.error is not None:
                row = {"task_id": finished.task.task_id, "seed": seed, "error": str(finished.error)}
                folder.append(FAILURES, row)
                errors.append(finished.error)
                continue
            problem = model.problem(finished.task.task_id)
            tree = tree_record(finished, problem, recording, seed=seed, format=plan.format)
            folder.append(TREES, tree.to_row())
            report(tree)
    return errors
