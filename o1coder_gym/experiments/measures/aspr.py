"""ASPR of a benchmark run: how surely does a reasoning path that passed lead to a program that passes?

ASPR = (1/|P|) Σ_p (1/K) Σ_k 1[code passes all tests] (paper, section 3; the definition is ours, for the paper
prints none). P are the reasoning paths found by a search whose program passes the hidden tests; a path is
frozen before its last step, S^{1:m−1}, and K last steps are sampled. A last step that is not a program fails.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import JournalError, UsageError
from o1coder_gym.metrics import SamplingPassRate, average_sampling_pass_rate
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.hidden_tests import Evaluation
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.runs.journal import RunFolder, begun_with, require_folder, require_unchanged
from o1coder_gym.runs.seeds import derive_seed, derive_stream
from o1coder_gym.sandbox import default_judge
from o1coder_gym.steps.formats import StepFormat, load_format, read_action
from o1coder_gym.types import Outcome, PolicyRequest, Problem, Sampling, State
from o1coder_gym.types.protocols import Policy

SAMPLED = "aspr"
"""Name of the file of sampled last steps in a run folder: a row per path."""


_BATCH = 16


@dataclass(frozen=True, slots=True)
class PassingPath:
    """A passing reasoning path without its last step.

    Attributes:
        agent: Who found it.
        seed: Run seed.
        prefix: S^{1:m−1}.
    """

    agent: str
    seed: int
    prefix: State


def measure_aspr(
    run: Path,
    *,
    samples: int = 8,
    paths: int = 4,
    agents: Sequence[str] | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, SamplingPassRate]:
    """Measures the ASPR of each agent of a run; reads earlier samples from its folder.

    Args:
        run: Folder of a benchmark plan; the samples are kept there, so an interrupted call continues.
        samples: K, last steps sampled per path, ≥ 1.
        paths: Passing paths per problem at most, ≥ 1.
        agents: Their paths only; None takes all agents of the run.
        seed: Of the samples.
        on_progress: Called before the first and after each batch with (paths sampled now, paths to sample).

    Returns:
        By agent, in the order of the run.

    Raises:
        UsageError: When the folder is not that of one benchmark plan, or has no such agent, or when its
            policy or its problems have changed by now.
        JournalError: When the folder cannot be read, or is in use.
    """
    require_folder(run)
    config = begun_with(run, "problems", "split", "task_ids", "policy", "format")
    used = config["policy"], config["problems"]
    require_unchanged(run, config, *used, otherwise="its paths are those of another policy or other problems")
    found = load_rows(config["problems"], split=config["split"])
    rows = [found.row(task_id) for task_id in config["task_ids"]]
    problems = {row.problem.task_id: row.problem for row in rows}
    trees = [SearchTree.from_row(row) for row in tree_rows(run) if not agents or row["agent"] in agents]
    if not trees:
        raise UsageError(f"{run}: no search trees" + (f" of {', '.join(agents)}" if agents else ""))
    with RunFolder.open(run, config, resume=True) as folder:
        evaluation = Evaluation(rows, default_judge(), log=folder)
        wanted = [path for tree in trees for path in passing_paths(tree, evaluation, paths, seed)]
        known = _known(folder, samples, seed)
        waiting = [path for path in wanted if _key(path) not in known]
        if waiting:
            policy = load_policy(config["policy"], format=config["format"])
            format = load_format(config["format"])
            tell = on_progress or (lambda done, total: None)
            tell(0, len(waiting))
            for start in range(0, len(waiting), _BATCH):
                batch = waiting[start : start + _BATCH]
                passed = sample_last_steps(policy, format, evaluation, problems, batch, samples, seed)
                for path, outcomes in zip(batch, passed, strict=True):
                    if outcomes is not None:
                        known[_key(path)] = outcomes
                        folder.append(SAMPLED, _row(path, seed, outcomes))
                tell(start + len(batch), len(waiting))
    return {name: _rate(name, trees, wanted, known) for name in dict.fromkeys(tree.agent for tree in trees)}


def passing_paths(tree: SearchTree, evaluation: Evaluation, limit: int, seed: int) -> list[PassingPath]:
    """Returns the distinct reasoning paths of a tree whose program passes the hidden tests.

    Two programs after the same steps are one path: its last step was sampled twice. Of more than `limit`
    paths that many are drawn: the first ones of a search are not like the others.
    """
    states = [tree.state(index) for index, node in enumerate(tree.nodes) if node.outcome is not None]
    task_id = tree.problem.task_id
    verdicts = evaluation.evaluate_batch([(task_id, state.code or "") for state in states])
    passing = [
        State(task_id, state.steps[:-1])
        for state, verdict in zip(states, verdicts, strict=True)
        if verdict.outcome is Outcome.PASS
    ]
    distinct = list(dict.fromkeys(passing))
    # By agent, search seed and problem: the draw of one tree does not depend on which others are measured.
    dice = random.Random(derive_stream(seed, "paths", tree.agent, tree.seed, task_id))
    kept = dice.sample(distinct, min(limit, len(distinct)))
    return [PassingPath(tree.agent, tree.seed, prefix) for prefix in kept]


def sample_last_steps(
    policy: Policy,
    format: StepFormat,
    evaluation: Evaluation,
    problems: Mapping[str, Problem],
    paths: Sequence[PassingPath],
    samples: int,
    seed: int,
    sampling: Sampling = Sampling(),
) -> list[list[bool] | None]:
    """Samples K last steps after each path.

    Returns:
        [P][K], whether the step was a program that passes the hidden tests; None for a path of which the
        judge could not decide one, so that it is missing and sampled again by the next call.

    Raises:
        PolicyError: When the policy fails.
    """
    requests = [
        PolicyRequest(
            problems[path.prefix.problem_id], path.prefix, samples, sampling, _draw_seed(path, seed)
        )
        for path in paths
    ]
    entry_points = {path: problems[path.prefix.problem_id].entry_point for path in paths}
    steps = [
        (path, path.prefix.then(read_action(format, proposal.text, entry_points[path])).code)
        for path, proposals in zip(paths, policy.propose(requests), strict=True)
        for proposal in proposals
    ]
    programs = [(path.prefix.problem_id, code) for path, code in steps if code is not None]
    verdicts = iter(evaluation.evaluate_batch(programs))
    # In order of the samples: each program takes the next verdict, a step that is not a program fails.
    outcomes = [Outcome.COMPILE_ERROR if code is None else next(verdicts).outcome for _, code in steps]
    of_paths = [outcomes[start : start + samples] for start in range(0, len(outcomes), samples)]
    return [
        [one is Outcome.PASS for one in found] if all(one.counted for one in found) else None
        for found in of_paths
    ]


def _draw_seed(path: PassingPath, seed: int) -> int:
    """Returns the seed of a path's last steps, which differs from every seed of its search."""
    return derive_seed(derive_stream(seed, "aspr", path.agent, path.seed), path.prefix, 0)


def _rate(
    agent: str, trees: Sequence[SearchTree], paths: Sequence[PassingPath], known: Mapping[str, list[bool]]
) -> SamplingPassRate:
    outcomes: dict[str, list[list[bool]]] = {
        tree.problem.task_id: [] for tree in trees if tree.agent == agent
    }
    for path in paths:
        if path.agent == agent and _key(path) in known:
            outcomes[path.prefix.problem_id].append(known[_key(path)])
    return average_sampling_pass_rate(outcomes)


def _known(folder: RunFolder, samples: int, seed: int) -> dict[str, list[bool]]:
    known: dict[str, list[bool]] = {}
    for row in folder.rows(SAMPLED):
        try:
            if (len(row["passed"]), row["sampling_seed"]) == (samples, seed):
                known[row["path"]] = row["passed"]
        except (KeyError, TypeError) as error:
            raise JournalError(f"{folder.path}: {SAMPLED}.jsonl holds a row that is not a path") from error
    return known


def _key(path: PassingPath) -> str:
    return json.dumps([path.agent, path.seed, path.prefix.to_row()])


def _row(path: PassingPath, seed: int, passed: Sequence[bool]) -> dict[str, Any]:
    return {"path": _key(path), "sampling_seed": seed, "passed": [*passed]}
