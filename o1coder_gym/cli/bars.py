"""Searches with a progress bar, for the commands that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.shards import Report, SynthesisPlan, missing, search_all
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import notes, progress_bars
from o1coder_gym.types import Outcome, Problem, Tests


def search_shown(
    plan: SynthesisPlan,
    problems: Sequence[Problem],
    tests: Mapping[str, Tests],
    folder: RunFolder,
    executor: str,
    report: Report,
) -> list[O1CoderError]:
    """`experiments.shards.search_all` with a progress bar."""
    with progress_bars(notes()) as progress:
        total, waiting = len(plan.task_ids) * len(plan.seeds), sum(map(len, missing(plan, folder).values()))
        bar = progress.add_task("searching", total=total, completed=total - waiting, told="")
        solved = tokens = 0

        def show(tree: SearchTree) -> None:
            nonlocal solved, tokens
            solved += any(node.outcome is Outcome.PASS for node in tree.nodes)
            tokens += tree.usage.tokens
            progress.update(bar, advance=1, told=f"{solved} solved, {tokens:,} tokens")
            report(tree)

        return search_all(plan, problems, tests, folder, executor, show)
