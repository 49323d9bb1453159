"""`o1coder synthesize`: search over a problem set → trees → D_process (Algorithm 1, steps 2 and 6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.bars import search_shown
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
from o1coder_gym.experiments import synthesis
from o1coder_gym.experiments.synthesis import FailedSearchesError, HarvestRules, SynthesisPlan
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.process_data import LabelRule, PairRule, ProcessData
from o1coder_gym.process_data.exports import EXPORTS, export
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.progress import warn
from o1coder_gym.runs.provenance import input_hashes


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
    rules = HarvestRules(LabelRule(hard, threshold), PairRule(margin, min_visits), validation)
    for name in also or ():
        if name not in EXPORTS:
            raise UnknownNameError("export", name, EXPORTS)
    out = out or default_folder("synthesize")
    failure: FailedSearchesError | None = None
    try:
        with resumable(out):
            data = synthesis.synthesize(
                plan,
                out,
                rows=rows,
                rules=rules,
                add=add or (),
                executor=executor,
                resume=resume,
                on_warning=warn,
                search=search_shown,
            )
    except FailedSearchesError as error:
        data, failure = error.data, error
    for name in also or ():
        export(data, name, out / "exports" / name)
    _show(data, out, as_json)
    if failure is not None:
        raise O1CoderError(f"{failure}; try them again with: --out {out} --resume")


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
