"""Runs a benchmark plan: problems × agents × seeds at equal budgets, one row each, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from o1coder_gym.agents import load_agent
from o1coder_gym.agents.driver import Driver, Task, TaskResult
from o1coder_gym.agents.sweep import Recorder, Recording
from o1coder_gym.agents.tree_records import tree_record
from o1coder_gym.budget import Budget
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.evaluation import Evaluation
from o1coder_gym.formats import load_format
from o1coder_gym.journal import RunFolder
from o1coder_gym.problems import ProblemRow
from o1coder_gym.protocols import Judge, Policy
from o1coder_gym.reporting.results import ResultRow
from o1coder_gym.search_tree import TREES

RESULTS = "results"
"""Name of the file of result rows."""

FAILURES = "failures"
"""Name of the file of rows without an answer: an engine or a judge failed. A resumed run tries them again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the results of a benchmark depend on; the run folder's config.

    Attributes:
        problems: Name or path of the problem set.
        task_ids: The problems, in order.
        agents: Agent specs, e.g. ``"mcts:width=4"``.
        policy: Policy spec.
        format: Step format.
        budget: Per problem and agent.
        seeds: Run seeds; each agent runs once with each.
        max_steps: Reasoning steps per episode.
    """

    problems: str
    task_ids: tuple[str, ...]
    agents: tuple[str, ...]
    policy: str
    format: str
    budget: Budget
    seeds: tuple[int, ...] = (0,)
    max_steps: int = 8

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return asdict(self)


Report = Callable[[ResultRow], None]
"""Told of each new row."""


def run_plan(
    plan: Plan, rows: Sequence[ProblemRow], policy: Policy, judge: Judge, folder: RunFolder, report: Report
) -> list[ResultRow]:
    """Runs what the folder does not have yet.

    Agents run one after another, each on all problems at once, so that their seconds compare.

    Args:
        plan: What to run.
        rows: The problems of `plan.task_ids`, with their hidden tests.
        policy: What `plan.policy` names.
        judge: Runs programs, for agents and for the evaluation.
        folder: Opened with `plan` as its config.
        report: Told of each new row as it comes.

    Returns:
        All rows; those without an answer have an `error`.

    Raises:
        UnknownNameError: When there is no such agent or format.
        JournalError: When the folder cannot be written; what it has is safe.
    """
    agents = {spec: load_agent(spec) for spec in plan.agents}
    model = ReasoningModel(
        [row.problem for row in rows], judge, format=load_format(plan.format), max_steps=plan.max_steps
    )
    evaluation = Evaluation(rows, judge, log=folder)
    results = [ResultRow.from_row(row) for row in folder.rows(RESULTS)]
    done = {(result.agent, result.seed, result.task_id) for result in results}
    for seed in plan.seeds:
        recorder = Recorder()
        driver = Driver(model, policy, seed=seed, journal=folder, observer=recorder)
        for spec, agent in agents.items():
            tasks = [
                Task(task_id, agent, plan.budget, name=spec, seed=seed)
                for task_id in plan.task_ids
                if (spec, seed, task_id) not in done
            ]
            for finished in driver.stream(tasks):
                recording = recorder.recordings.pop(finished.task.key, Recording())
                problem = model.problem(finished.task.task_id)
                tree = tree_record(finished, problem, recording, seed=seed, format=plan.format)
                folder.append(TREES, tree.to_row())
                result = _judged(finished, seed, evaluation)
                folder.append(FAILURES if result.error else RESULTS, result.to_row())
                results.append(result)
                report(result)
    return results


def _judged(finished: TaskResult, seed: int, evaluation: Evaluation) -> ResultRow:
    """Asks the hidden tests about the chosen code."""
    found = finished.result
    code = found.code if found else None
    hidden = evaluation.evaluate(finished.task.task_id, code) if code is not None else None
    return ResultRow(
        task_id=finished.task.task_id,
        agent=finished.task.name,
        seed=seed,
        outcome=hidden.outcome if hidden else None,
        passed=hidden.passed if hidden else 0,
        total=hidden.total if hidden else evaluation.total(finished.task.task_id),
        value=found.value if found else 0.0,
        code=code,
        steps=found.state.depth if found and found.state else 0,
        usage=finished.usage,
        error=str(finished.error) if finished.error else "",
    )
