"""Search by an executor: shards of problems, each with a policy, a judge and a driver of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.benchmark import FAILURES
from o1coder_gym.experiments.synthesis import SynthesisPlan, missing, synthesize_trees
from o1coder_gym.policies import load_policy
from o1coder_gym.prm import load_scorer
from o1coder_gym.process_data.search_tree import TREES, SearchTree
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import progress_bars
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.types import Outcome, Problem, Tests

_SHARDS_PER_WORKER = 4
"""More than one, so that a slow shard at the end keeps few workers waiting."""


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


def search_shown(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    folder: RunFolder,
    executor: str,
) -> list[O1CoderError]:
    """`search_all` with a progress bar."""
    with progress_bars(Console(stderr=True)) as progress:
        total = sum(map(len, missing(plan, folder).values()))
        bar = progress.add_task("searching", total=total, told="")
        solved = tokens = 0

        def show(tree: SearchTree) -> None:
            nonlocal solved, tokens
            solved += any(node.outcome is Outcome.PASS for node in tree.nodes)
            tokens += tree.usage.tokens
            progress.update(bar, advance=1, told=f"{solved} solved, {tokens:,} tokens")

        return search_all(plan, problems, tests, folder, executor, show)


def search_all(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    folder: RunFolder,
    executor: str,
    report: Report,
) -> list[O1CoderError]:
    """Searches for the trees that the folder does not have yet, wherever the executor says.

    In this process a search that was interrupted goes on from the journal; elsewhere a shard that was
    interrupted is searched again. The trees are the same.

    Args:
        plan: What to run.
        problems: Those of `plan.task_ids`.
        tests: Generated tests by task id.
        folder: Opened with `plan` as its config.
        executor: Spec of the executor.
        report: Told of each new tree.

    Returns:
        Why searches failed, one error each.
    """
    run, workers = load_executor(executor)
    if executor == "serial":
        return _here(plan, problems, tests, default_judge(), folder, report)
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
    """Searches the problems of a shard with a judge of its own; returns trees and rows of failures."""
    trees: list[SearchTree] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        Judge(1) as judge,
        RunFolder.open(Path(temporary), shard.plan.to_row()) as folder,
    ):
        _here(shard.plan, shard.problems, shard.tests, judge, folder, trees.append)
        return trees, list(folder.rows(FAILURES))


def _here(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    judge: Judge,
    folder: RunFolder,
    report: Report,
) -> list[O1CoderError]:
    if not missing(plan, folder):
        return []
    policy = load_policy(plan.policy, format=plan.format)
    scorer = load_scorer(plan.scorer or "heuristic")
    return synthesize_trees(plan, problems, tests, policy, scorer, judge, folder, report)


def _shards(
    plan: SynthesisPlan,
    task_ids: Sequence[str],
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    workers: int,
) -> list[Shard]:
    size = max(1, -(-len(task_ids) // (workers * _SHARDS_PER_WORKER)))
    known = {problem.task_id: problem for problem in problems}
    return [
        Shard(
            replace(plan, task_ids=tuple(part)),
            tuple(known[task_id] for task_id in part),
            {task_id: tests[task_id] for task_id in part if task_id in tests},
        )
        for part in (task_ids[start : start + size] for start in range(0, len(task_ids), size))
    ]
