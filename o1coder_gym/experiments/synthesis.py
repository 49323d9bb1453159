"""Synthesis: search over problems → trees → D_process (Algorithm 1, steps 2 and 6), in a run folder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from o1coder_gym.agents import load_agent
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.shards import (
    Report,
    Search,
    SynthesisPlan,
    missing,
    search_all,
    synthesize_trees,
)
from o1coder_gym.experiments.sources import search_source
from o1coder_gym.experiments.tools import acting_agents, planned_rows
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.loading import prepare
from o1coder_gym.prm import load_scorer
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData, merged, read_data, write_data
from o1coder_gym.process_data.dataset import source_id
from o1coder_gym.process_data.harvest import harvest
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.process_data.store import is_written
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.provenance import file_hashes, input_hashes, package_versions
from o1coder_gym.sandbox import default_judge
from o1coder_gym.tcg.store import generated_tests, read_tests

__all__ = [
    "FailedSearchesError",
    "HarvestRules",
    "Report",
    "SynthesisPlan",
    "missing",
    "synthesize",
    "synthesize_trees",
]


@dataclass(frozen=True, slots=True)
class HarvestRules:
    """How trees become rows.

    Attributes:
        label: Hard labels of prefixes.
        pair: Which siblings make a pair.
        validation: Share of the problems that are held out, in [0, 0.9].
        decay: Weight of earlier data's visits, see `merged`.
    """

    label: LabelRule = LabelRule()
    pair: PairRule = PairRule()
    validation: float = 0.1
    decay: float = 1.0


class FailedSearchesError(O1CoderError):
    """Raised when searches of a finished synthesis failed, since an engine or a judge did.

    Attributes:
        errors: One a search.
        data: What the other searches, and earlier data, taught.
    """

    def __init__(self, errors: Sequence[O1CoderError], data: ProcessData) -> None:
        """Args: why searches failed, ≥ 1; the data there is."""
        super().__init__(f"{len(errors)} searches failed, the first: {errors[0]}")
        self.errors = tuple(errors)
        self.data = data


def synthesize(
    plan: SynthesisPlan,
    out: Path,
    *,
    rows: Sequence[ProblemRow] = (),
    rules: HarvestRules = HarvestRules(),
    add: Sequence[Path] = (),
    executor: str = "serial",
    resume: bool = False,
    on_tree: Report | None = None,
    on_warning: Warn = warnings.warn,
    search: Search = search_all,
) -> ProcessData:
    """Searches problems and turns the trees into training data: ``o1coder synthesize`` without printing.

    Args:
        plan: What to search, and how.
        out: The run folder: trees.jsonl, and the data for `process_data.read_data`.
        rows: The problems of `plan.task_ids`, where they are read already or are your own.
        rules: How trees become rows; they may change when a run is resumed.
        add: Folders of earlier data to unite with (D ∪ D').
        executor: Where tests are made and searches run: ``serial``, ``processes:2``, …; same rows.
        resume: Whether to continue the run that `out` holds; no search is paid for twice.
        on_tree: Called with each new tree as it comes.
        on_warning: Called with a line about problems without public tests.
        search: Runs the searches, for a caller that shows them.

    Returns:
        The data in `out`.

    Raises:
        FailedSearchesError: When searches failed; data of the others is written. Resuming tries again.
        JournalError: When `out` holds a run and `resume` is false, or a run of another plan.
        UnknownNameError: When something that the plan names does not exist.
    """
    load_agent(plan.agent)
    acting_agents([plan.agent])
    load_executor(executor)
    rows = rows or planned_rows(plan.problems, plan.task_ids)
    plan = replace(
        plan,
        files=file_hashes(plan.problems, plan.scorer),
        inputs=input_hashes(plan.policy, plan.scorer, plan.generator, plan.agent),
    )
    earlier = [read_data(path) for path in add]
    errors: list[O1CoderError] = []
    with RunFolder.open(out, plan.to_row(), resume=resume) as folder:
        if missing(plan, folder):  # otherwise neither tests nor weights are needed
            if not folder.resumed:
                _load_tools(plan, executor)
            tests = generated_tests(plan.generator, rows, plan.tests, folder.path, executor)
            warn_of(on_warning, without_visible_tests(rows, tests))
            problems = [row.problem for row in rows]
            errors = search(plan, problems, tests, folder, executor, on_tree or (lambda tree: None))
        # Also where searches failed: what the others have found is not lost, and the next resume adds to it.
        _harvest(plan, rules, earlier, out)
    data = read_data(out)
    if errors:
        raise FailedSearchesError(errors, data)
    return data


def _load_tools(plan: SynthesisPlan, executor: str) -> None:
    """Loads what the plan names before anything is written, so that a start that fails leaves no folder."""
    policy = load_policy(plan.policy, format=plan.format)
    load_scorer(plan.scorer or "heuristic")
    if executor == "serial" and not acting_agents([plan.agent]):
        prepare(policy)


def _harvest(plan: SynthesisPlan, rules: HarvestRules, earlier: Sequence[ProcessData], out: Path) -> None:
    """Turns the folder's trees into rows, unless rows of the same trees and rules exist."""
    place = {task_id: index for index, task_id in enumerate(plan.task_ids)}
    # In order of the plan: trees are appended as searches finish, and data must not depend on that.
    rows = sorted(tree_rows(out), key=lambda row: (row["seed"], place[row["task_id"]]))
    trees = [SearchTree.from_row(row) for row in rows]
    versions = package_versions("torch", "transformers", "vllm")
    source = search_source(plan.to_row(), len(trees), versions)
    # What earlier data weighs cannot be read off the rows, so they are united again.
    if not earlier and is_written(out, [source_id(source)], rules.label, rules.pair, rules.validation):
        return
    data = harvest(
        trees,
        default_judge(),
        source=source,
        tests=read_tests(out / "tests.jsonl") if plan.tests else {},
        label_rule=rules.label,
        pair_rule=rules.pair,
        validation=rules.validation,
    )
    write_data(out, merged([data, *earlier], decay=rules.decay))
