"""`o1coder synthesize`: search over a problem set → trees → D_process (Algorithm 1, steps 2 and 6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.agents import load_agent
from o1coder_gym.cli.options import (
    DEFAULT_POLICY,
    CallsOption,
    ExecutionsOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MaxStepsOption,
    OutOption,
    PolicyOption,
    ProblemsOption,
    ResumeOption,
    ScorerOption,
    SecondsOption,
    SeedOption,
    SkipBadOption,
    SplitOption,
    TokensOption,
)
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.errors import O1CoderError, UnknownNameError
from o1coder_gym.experiments.shards import search_shown
from o1coder_gym.experiments.synthesis import SynthesisPlan, missing
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData, merged, read_data, write_data
from o1coder_gym.process_data.exports import EXPORTS, export
from o1coder_gym.process_data.harvest import harvest, source_id
from o1coder_gym.process_data.search_tree import SearchTree, tree_rows
from o1coder_gym.process_data.store import data_hash, is_written
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import warn
from o1coder_gym.runs.provenance import input_hashes, package_versions
from o1coder_gym.sandbox import default_judge
from o1coder_gym.tcg.store import generated_tests, read_tests


def synthesize(
    problems: ProblemsOption = "starter",
    split: SplitOption = None,
    limit: LimitOption = None,
    agent: Annotated[str, typer.Option("--agent", help="The search.")] = "mcts:simulations=32,width=4",
    policy: PolicyOption = DEFAULT_POLICY,
    scorer: ScorerOption = None,
    format: FormatOption = "pseudocode",
    tokens: TokensOption = 4096,
    calls: CallsOption = None,
    executions: ExecutionsOption = None,
    seconds: SecondsOption = None,
    max_steps: MaxStepsOption = 8,
    generator: Annotated[
        str, typer.Option("--generator", help="Makes tests beside the public ones: mutation, hf:NAME, …")
    ] = "mutation",
    tests: Annotated[int, typer.Option("--tests", min=0, help="Tests it makes per problem; 0: none.")] = 16,
    hard: Annotated[
        str, typer.Option("--hard", help="Hard label: any (a passing end below) or value (v ≥ --threshold).")
    ] = "any",
    threshold: Annotated[float, typer.Option("--threshold", help="Of --hard value, in [0, 1].")] = 0.5,
    margin: Annotated[float, typer.Option("--margin", help="Least difference of a pair's values.")] = 0.2,
    min_visits: Annotated[int, typer.Option("--min-visits", min=1, help="Least visits in a pair.")] = 1,
    validation: Annotated[
        float, typer.Option("--validation", min=0.0, max=0.9, help="Share of the problems held out.")
    ] = 0.1,
    add: Annotated[
        list[Path] | None, typer.Option("--add", help="Earlier data to unite with (D ∪ D'); may be repeated.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option("--export", help=f"Write it as {', '.join(EXPORTS)} too.")
    ] = None,
    executor: Annotated[
        str, typer.Option("--executor", help="serial, processes?workers=N, ray?workers=N…; same rows.")
    ] = "serial",
    seed: SeedOption = 0,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Searches per problem.")] = 1,
    skip_bad: SkipBadOption = False,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search problems and turn the finished trees into training data for the policy and the PRM."""
    rows = load_rows(problems, split=split, skip_bad=skip_bad)[:limit]
    plan = SynthesisPlan(
        problems=problems,
        task_ids=tuple(row.problem.task_id for row in rows),
        agent=agent,
        policy=policy,
        format=format,
        budget=Budget(tokens=tokens, calls=calls, executions=executions, seconds=seconds),
        seeds=tuple(range(seed, seed + seeds)),
        max_steps=max_steps,
        generator=generator,
        tests=tests,
        scorer=scorer,
        inputs=input_hashes(policy, scorer, generator),
    )
    load_agent(agent)
    load_executor(executor)
    rules = Rules(LabelRule(hard, threshold), PairRule(margin, min_visits), validation)
    for name in also or ():
        if name not in EXPORTS:
            raise UnknownNameError("export", name, EXPORTS)
    earlier = [read_data(path) for path in add or ()]
    out = out or default_folder("synthesize")
    with RunFolder.open(out, plan.to_row(), resume=resume) as folder, resumable(out):
        errors = _search(plan, rows, folder, executor)
        _harvest(plan, rules, earlier, out)
    data = read_data(out)
    for name in also or ():
        export(data, name, out / "exports" / name)
    _show(data, out, as_json)
    if errors:
        again = f"try them again with: --out {out} --resume"
        raise O1CoderError(f"{len(errors)} searches failed, the first: {errors[0]}; {again}")


@dataclass(frozen=True, slots=True)
class Rules:
    """How trees become rows."""

    label: LabelRule
    pair: PairRule
    validation: float


def _search(
    plan: SynthesisPlan, rows: Sequence[ProblemRow], folder: RunFolder, executor: str
) -> list[O1CoderError]:
    """Runs the searches that the folder does not have; loads nothing if there are none."""
    if not missing(plan, folder):
        return []
    tests = generated_tests(plan.generator, rows, plan.tests, folder.path)
    warn(without_visible_tests(rows, tests))
    return search_shown(plan, [row.problem for row in rows], tests, folder, executor)


def _harvest(plan: SynthesisPlan, rules: Rules, earlier: Sequence[ProcessData], out: Path) -> None:
    """Turns the folder's trees into rows, unless that was done with the same trees and rules."""
    place = {task_id: index for index, task_id in enumerate(plan.task_ids)}
    rows = sorted(tree_rows(out), key=lambda row: (row["seed"], place[row["task_id"]]))
    trees = [SearchTree.from_row(row) for row in rows]
    versions = package_versions("torch", "transformers", "vllm")
    source = {"config": plan.to_row(), "versions": versions, "trees": len(trees)}
    sources = {source_id(source), *(name for data in earlier for name in data.sources)}
    if is_written(out, sources, rules.label, rules.pair, rules.validation):
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
    write_data(out, merged([data, *earlier]))


def _show(data: ProcessData, out: Path, as_json: bool) -> None:
    counts = {
        "problems": len(data.problems),
        "solved": len({path.state.problem_id for path in data.paths}),
        "prefixes": len(data.prefixes),
        "paths": len(data.paths),
        "pairs": len(data.pairs),
    }
    if as_json:
        typer.echo(json.dumps({**counts, "out": str(out), "hash": data_hash(out)}))
        return
    table = Table(*counts, box=None)
    table.add_row(*map(str, counts.values()))
    Console().print(table)
    Console(stderr=True).print(f"data: {out} (see {out / 'README.md'})", soft_wrap=True)
