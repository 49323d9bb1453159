"""`o1coder bench`: problem set × agents × policy × budget → results.jsonl and report.md."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from o1coder_gym.budget import Budget
from o1coder_gym.cli.benchmark import Plan, run_plan
from o1coder_gym.cli.options import (
    DEFAULT_POLICY,
    CallsOption,
    ExecutionsOption,
    FormatOption,
    JsonOption,
    MaxStepsOption,
    OutOption,
    PolicyOption,
    ResumeOption,
    SecondsOption,
    SeedOption,
    SkipBadOption,
    SplitOption,
    TokensOption,
)
from o1coder_gym.errors import O1CoderError
from o1coder_gym.journal import RunFolder
from o1coder_gym.policies import load_policy
from o1coder_gym.problems import ProblemRow, load_rows
from o1coder_gym.reporting.results import ResultRow, markdown_report, summarize, terminal_table
from o1coder_gym.sandbox import default_judge

DEFAULT_AGENTS = ["greedy", "best_of_n", "mcts"]


def bench(
    problems: Annotated[str, typer.Option("--problems", help="Name or path of a problem set.")] = "starter",
    agent: Annotated[
        list[str], typer.Option("--agent", help="An agent, e.g. mcts or mcts:width=4,c=1.4; may be repeated.")
    ] = DEFAULT_AGENTS,
    policy: PolicyOption = DEFAULT_POLICY,
    format: FormatOption = "pseudocode",
    split: SplitOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N problems only.")] = None,
    tokens: TokensOption = 1024,
    calls: CallsOption = None,
    executions: ExecutionsOption = None,
    seconds: SecondsOption = None,
    max_steps: MaxStepsOption = 8,
    seed: SeedOption = 0,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds, from --seed up.")] = 1,
    out: OutOption = None,
    resume: ResumeOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare agents on a problem set at equal budgets, judged on hidden tests."""
    found = load_rows(problems, split=split, skip_bad=skip_bad)
    for reason in found.skipped:
        Console(stderr=True).print(f"skipped: {reason}", markup=False, soft_wrap=True)
    rows = found[:limit]
    plan = Plan(
        problems=problems,
        task_ids=tuple(row.problem.task_id for row in rows),
        agents=tuple(dict.fromkeys(agent)),
        policy=policy,
        format=format,
        budget=Budget(tokens=tokens, calls=calls, executions=executions, seconds=seconds),
        seeds=tuple(range(seed, seed + seeds)),
        max_steps=max_steps,
    )
    run_bench(plan, rows, out or default_folder("bench"), resume=resume, as_json=as_json)


def default_folder(command: str) -> Path:
    """Returns runs/COMMAND-TIME, a new name each second."""
    return Path("runs") / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"


def run_bench(
    plan: Plan, rows: Sequence[ProblemRow], out: Path, *, resume: bool = False, as_json: bool = False
) -> None:
    """Runs a plan in a folder with a progress bar, then prints the table and writes report.md."""
    console = Console(stderr=True)
    with RunFolder.open(out, plan.to_row(), resume=resume) as folder:
        with console.status(f"loading {plan.policy}"):
            policy = load_policy(plan.policy, format=plan.format)
        try:
            with Board(console, plan) as board:
                results = run_plan(plan, rows, policy, default_judge(), folder, board.add)
        except KeyboardInterrupt:
            console.print(f"interrupted; go on with: --out {out} --resume", soft_wrap=True)
            raise typer.Exit(130) from None
    report = out / "report.md"
    config = {
        "problems": f"{plan.problems}, {len(rows)} problems",
        "policy": plan.policy,
        "format": plan.format,
        "budget per problem": _words(plan.budget),
        "seeds": ", ".join(map(str, plan.seeds)),
    }
    report.write_text(markdown_report(f"{plan.problems}: {', '.join(plan.agents)}", results, config))
    if as_json:
        typer.echo(json.dumps([result.to_row() for result in results]))
    else:
        title = f"{plan.problems} · {plan.policy} · {plan.format} · {_words(plan.budget)}"
        Console().print(terminal_table(summarize(results), title))
    console.print(f"report: {report}", soft_wrap=True)
    if failed := [result for result in results if result.error]:
        raise O1CoderError(
            f"{len(failed)} of {len(results)} rows have no answer, the first: {failed[0].error}; "
            f"try them again with: --out {out} --resume"
        )


def _words(budget: Budget) -> str:
    limits = asdict(budget)
    return ", ".join(f"{limit:,} {unit}" for unit, limit in limits.items() if limit is not None) or "no limit"


class Board:
    """The progress bars: one line per agent."""

    def __init__(self, console: Console, plan: Plan) -> None:
        """Makes a bar per agent."""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[solved]} solved"),
            TimeElapsedColumn(),
            console=console,
        )
        total = len(plan.task_ids) * len(plan.seeds)
        self._bars: dict[str, TaskID] = {
            agent: self._progress.add_task(agent, total=total, solved=0) for agent in plan.agents
        }
        self._solved = dict.fromkeys(plan.agents, 0)

    def add(self, result: ResultRow) -> None:
        """Counts a new row."""
        self._solved[result.agent] += result.solved
        self._progress.update(self._bars[result.agent], advance=1, solved=self._solved[result.agent])

    def __enter__(self) -> Board:
        """Shows the bars."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the bars as they are."""
        self._progress.stop()
