"""``o1coder tcg``: measure test generators, make their training data, train them, choose by their tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.options import (
    JsonOption,
    LimitOption,
    OutOption,
    ResumeOption,
    SeedOption,
    SkipBadOption,
    SplitOption,
)
from o1coder_gym.cli.run_folders import optional_folder
from o1coder_gym.cli.training import tcg_training
from o1coder_gym.errors import UsageError
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.protocols import TestGenerator
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import tracked
from o1coder_gym.sandbox import Judge, default_judge
from o1coder_gym.statistics import ROUGH_LEGEND
from o1coder_gym.tcg.checking.selection import choose, execute, load_score
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.quality.evaluation import DatasetTests, EvaluationSettings, evaluate_generator
from o1coder_gym.tcg.quality.measures import ProblemQuality, reward_agreement, summarize
from o1coder_gym.tcg.requests import TestRequest, generate_all
from o1coder_gym.tcg.solutions import read_programs, sample_programs, source_of
from o1coder_gym.tcg.store import read_tests
from o1coder_gym.tcg.training.corrections import build_corrections
from o1coder_gym.tcg.training.data_card import write_dataset
from o1coder_gym.tcg.training.dataset import DatasetSettings, build_dataset
from o1coder_gym.types import TestCase

app = typer.Typer(help="Measure test generators, train them, choose programs by tests.", no_args_is_help=True)
app.command("sft")(tcg_training.sft)
app.command("dpo")(tcg_training.dpo)

DEFAULT_SELECTION = ["codet", "tests"]
PROGRAMS = "programs"
"""Name of the file of sampled programs in a run folder; --programs reads it."""
_BATCH = 16


class Mode(StrEnum):
    """What a generator is shown."""

    A = "a"
    """Question and reference."""
    B = "b"
    """Question only."""


SetArgument = Annotated[str, typer.Argument(metavar="SET", help="Name or path of a problem set.")]
SetsArgument = Annotated[list[str], typer.Argument(metavar="SET…", help="Names or paths of problem sets.")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="a: question and reference; b: question only.")]
ProgramsOption = Annotated[
    Path | None, typer.Option("--programs", help="JSONL rows with task_id and code: right or wrong programs.")
]


@app.command("eval")
def evaluate(
    problems: SetArgument,
    generator: Annotated[
        str,
        typer.Option("--generator", help="mutation, dataset (its own tests), or a policy: hf:NAME."),
    ] = "mutation",
    split: SplitOption = None,
    limit: LimitOption = None,
    tests: Annotated[int, typer.Option("--tests", min=1, help="Tests asked for per problem.")] = 20,
    mode: ModeOption = Mode.A,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Measure a model's tests after check and repair."),
    ] = False,
    as_reward: Annotated[
        bool, typer.Option("--as-reward", help="Compare the reward with that of the hidden tests.")
    ] = False,
    programs: ProgramsOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Policy that samples programs, in place of --programs.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Programs sampled per problem.")] = 8,
    voters: Annotated[
        int, typer.Option("--voters", min=0, help="Mode b: the first N programs of a problem vote.")
    ] = 0,
    mutants: Annotated[int, typer.Option("--mutants", min=0, help="Mutants per problem at most.")] = 40,
    skip_bad: SkipBadOption = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the tests of a generator: soundness, validity, diversity, power to reject wrong programs."""
    rows = load_rows(problems, split=split, skip_bad=skip_bad).rows[:limit]
    settings = EvaluationSettings(tests, mode is Mode.A, mutants, _BATCH, seed)
    config: dict[str, Any] = {"problems": problems, "split": split, "generator": generator, "repair": repair}
    config |= {"policy": policy, "samples": samples, "voters": voters, "programs": programs and str(programs)}
    config |= {"task_ids": [row.problem.task_id for row in rows], "settings": asdict(settings)}
    judge = default_judge()
    with optional_folder(out, config, resume) as folder:
        tried = _programs(programs, policy, rows, samples, seed, folder)
        if as_reward and not tried:
            raise UsageError("--as-reward compares programs: give --programs or --policy")
        judged = {task_id: found[voters:] for task_id, found in tried.items()}
        source = source_of({task_id: found[:voters] for task_id, found in tried.items()})
        made: TestGenerator = DatasetTests(rows)
        if generator != "dataset":
            made = load_generator(generator, judge, solutions=source, as_written=not repair)
        measured = evaluate_generator(judge, made, rows, settings, samples=judged, folder=folder)
        found = list(tracked(measured, len(rows), f"tests of {generator}"))
    _show_quality(found, as_reward, as_json)


@app.command()
def data(
    problems: SetsArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the rows and the card.")],
    split: SplitOption = None,
    limit: LimitOption = None,
    cases: Annotated[int, typer.Option("--cases", min=2, max=6, help="Cases per row.")] = 3,
    rows_per_problem: Annotated[int, typer.Option("--rows", min=1, help="Rows per problem at most.")] = 4,
    validation: Annotated[
        float, typer.Option("--validation", min=0.0, max=0.9, help="Share of problems for validation.")
    ] = 0.1,
    mode: ModeOption = Mode.A,
    augment: Annotated[
        int, typer.Option("--augment", min=0, help="Further cases per problem, by the mutation generator.")
    ] = 0,
    written: Annotated[
        Path | None,
        typer.Option(
            "--written", help="Tests of a model, as of tcg eval: pairs are its mistakes, corrected."
        ),
    ] = None,
    programs: ProgramsOption = None,
    skip_bad: SkipBadOption = False,
    seed: SeedOption = 0,
) -> None:
    """Make SFT rows and DPO pairs from problem sets; every case and every exchanged case is run."""
    rows = [row for name in problems for row in load_rows(name, split=split, skip_bad=skip_bad).rows[:limit]]
    judge = default_judge()
    settings = DatasetSettings(cases, rows_per_problem, validation, mode is Mode.A, seed)
    if written is not None:
        if augment or programs:
            raise UsageError("--written takes neither --augment nor --programs")
        dataset = build_corrections(judge, rows, read_tests(written), settings)
    else:
        dataset = build_dataset(
            judge,
            rows,
            solutions=read_programs(programs) if programs else None,
            further_tests=_augmented(judge, rows, augment, seed) if augment else None,
            settings=settings,
        )
    for path in write_dataset(out, dataset, problems):
        typer.echo(path)


@app.command()
def select(
    problems: SetArgument,
    solutions: Annotated[Path, typer.Option("--solutions", help="JSONL rows with task_id and code.")],
    tests: Annotated[
        Path | None,
        typer.Option("--tests", help="JSONL rows with task_id and tests, as of tcg eval."),
    ] = None,
    by: Annotated[
        list[str],
        typer.Option("--by", help="public, tests, codet, codet-sqrt, majority; the next breaks ties."),
    ] = DEFAULT_SELECTION,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
) -> None:
    """Choose one of several programs per problem by their tests; prints JSONL."""
    scores = [load_score(name) for name in by]
    candidates = read_programs(solutions)
    generated = read_tests(tests) if tests else {}
    rows = [
        row
        for row in load_rows(problems, split=split, skip_bad=skip_bad)
        if row.problem.task_id in candidates
    ]
    if not rows:
        raise UsageError(f"{solutions} has no program for a problem of {problems}")
    judge = default_judge()
    for row in tracked(rows, len(rows), "choosing"):
        task_id = row.problem.task_id
        matrix = execute(judge, row.problem, candidates[task_id], generated.get(task_id, ()))
        index = choose(matrix, *scores)
        chosen = {name: score(matrix)[index] for name, score in zip(by, scores, strict=True)}
        line = {"task_id": task_id, "index": index, "code": candidates[task_id][index], "scores": chosen}
        typer.echo(json.dumps(line, ensure_ascii=False))


def _programs(
    file: Path | None,
    policy: str | None,
    rows: Sequence[ProblemRow],
    samples: int,
    seed: int,
    folder: RunFolder | None,
) -> dict[str, list[str]]:
    """Returns the programs of --programs, or those that --policy wrote before or writes now."""
    if file is not None:
        return read_programs(file)
    if policy is None:
        return {}
    known: dict[str, list[str]] = {}
    for row in folder.rows(PROGRAMS) if folder else ():
        known.setdefault(row["task_id"], []).append(row["code"])
    waiting = [row.problem for row in rows if row.problem.task_id not in known]
    sampler = load_policy(policy, format="vanilla")
    batches = [waiting[start : start + _BATCH] for start in range(0, len(waiting), _BATCH)]
    for batch in tracked(batches, len(batches), f"programs of {policy}"):
        written = sample_programs(sampler, batch, samples, seed=seed)
        known |= written
        if folder is not None:
            pairs = ((task_id, code) for task_id, codes in written.items() for code in codes)
            folder.append(PROGRAMS, *({"task_id": task_id, "code": code} for task_id, code in pairs))
    return known


def _augmented(
    judge: Judge, rows: Sequence[ProblemRow], count: int, seed: int
) -> dict[str, tuple[TestCase, ...]]:
    generator = load_generator("mutation", judge)
    requests = [TestRequest(row.problem, count, row.reference, seed) for row in rows if row.reference]
    batches = [requests[start : start + _BATCH] for start in range(0, len(requests), _BATCH)]
    found: dict[str, tuple[TestCase, ...]] = {}
    for batch in tracked(batches, len(batches), "further cases"):
        generated = generate_all(generator, batch)
        found |= {one.problem.task_id: made.tests for one, made in zip(batch, generated, strict=True)}
    return found


def _show_quality(found: Sequence[ProblemQuality], as_reward: bool, as_json: bool) -> None:
    rates = summarize(found)
    agreement = reward_agreement(found) if as_reward else None
    if as_json:
        summary: dict[str, Any] = {
            name: {"mean": rate.value, "low": rate.low, "high": rate.high, "problems": rate.count}
            for name, rate in rates.items()
            if rate.count
        }
        if agreement is not None:
            summary["reward"] = asdict(agreement)
        typer.echo(json.dumps(summary))
        return
    table = Table("", "mean", "95 % interval", "problems", box=None, caption=ROUGH_LEGEND)
    for name, rate in rates.items():
        value = f"{rate.mean:.3f}" if rate.count else "not measured"
        table.add_row(name.replace("_", " "), value, rate.ends, str(rate.count))
    Console().print(table)
    if agreement is not None:
        typer.echo(f"as reward: {agreement}")
