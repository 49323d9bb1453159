"""`o1coder bench`: problem sets × agents × policies × selectors × budgets × seeds → results and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID

from o1coder_gym.cli.options import (
    DEFAULT_POLICY,
    JsonOption,
    LimitOption,
    MaxStepsOption,
    OutOption,
    ResumeOption,
    ScorerOption,
    SecondsOption,
    SeedOption,
    SkipBadOption,
    SplitOption,
)
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.cli.search import aspr, compare
from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.experiments.benchmark import NoAnswersError, run_benchmark
from o1coder_gym.experiments.suite import ProblemChoice, Suite, read_suite, run_suite
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results import (
    ResultRow,
    budget_words,
    summarize,
    terminal_table,
)
from o1coder_gym.runs.progress import progress_bars, warn
from o1coder_gym.specs import name_of

DEFAULT_PROBLEMS = ["starter"]
DEFAULT_AGENTS = ["greedy", "best_of_n", "mcts"]
DEFAULT_POLICIES = [DEFAULT_POLICY]
DEFAULT_FORMATS = ["pseudocode"]

_WITH_SUITE = frozenset({"suite", "out", "resume", "shard", "skip_bad", "as_json"})
"""Options that go with --suite; the others are in the file."""

app = typer.Typer(
    invoke_without_command=True, help="Compare agents at equal budgets, judged on hidden tests."
)
app.command("compare")(compare.compare)
app.command("aspr")(aspr.aspr)


@app.callback()
def bench(
    context: typer.Context,
    problems: Annotated[
        list[str], typer.Option("--problems", help="Name or path of a problem set; may be repeated.")
    ] = DEFAULT_PROBLEMS,
    agent: Annotated[
        list[str], typer.Option("--agent", help="An agent, e.g. mcts or mcts?width=4&c=1.4; may be repeated.")
    ] = DEFAULT_AGENTS,
    policy: Annotated[
        list[str],
        typer.Option("--policy", help="What proposes steps: hf:NAME, scripted:FILE, …; may be repeated."),
    ] = DEFAULT_POLICIES,
    format: Annotated[
        list[str], typer.Option("--format", help="Step format: pseudocode or vanilla; may be repeated.")
    ] = DEFAULT_FORMATS,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", help="How agents choose: public, tests, codet, majority; may be repeated."),
    ] = None,
    split: SplitOption = None,
    limit: LimitOption = None,
    tokens: Annotated[
        str,
        typer.Option(
            "--tokens",
            help="Budget per problem: generated tokens, or none. 512,1024,2048 runs the largest and reads "
            "the answers within the others off it.",
        ),
    ] = "1024",
    calls: Annotated[
        str, typer.Option("--calls", help="Budget per problem: sampled steps; a list as with --tokens.")
    ] = "none",
    executions: Annotated[
        str, typer.Option("--executions", help="Budget per problem: judged programs; a list likewise.")
    ] = "none",
    seconds: SecondsOption = None,
    max_steps: MaxStepsOption = 8,
    scorer: ScorerOption = None,
    tests: Annotated[
        str,
        typer.Option("--tests", help="Tests that agents see: public, generated, or a file as of tcg eval."),
    ] = "public",
    generator: Annotated[
        str, typer.Option("--generator", help="Who generates tests, from the question alone.")
    ] = "mutation",
    voters: Annotated[
        int, typer.Option("--voters", min=0, help="Programs per problem that decide what tests expect.")
    ] = 8,
    controls: Annotated[
        bool, typer.Option(help="Add greedy, a blind choice and the oracle, which chooses by hidden tests.")
    ] = True,
    share_samples: Annotated[
        bool, typer.Option("--share-samples", help="Answer equal requests once; seconds are not measured.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, help="Seconds after which a call counts as failed."),
    ] = None,
    seed: SeedOption = 0,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds, from --seed up.")] = 1,
    suite: Annotated[Path | None, typer.Option("--suite", help="YAML file that says all of this.")] = None,
    shard: Annotated[
        str, typer.Option("--shard", help="i/n: every n-th problem from the i-th on; one --out for all.")
    ] = "",
    out: OutOption = None,
    resume: ResumeOption = False,
    skip_bad: SkipBadOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare agents on problem sets at equal budgets, judged on hidden tests."""
    if context.invoked_subcommand is not None:
        return
    if suite is not None:
        _refuse_others(context)
        wanted = read_suite(suite)
    else:
        wanted = Suite(
            problems=tuple(ProblemChoice(name, split, limit) for name in problems),
            policies=tuple(policy),
            formats=tuple(format),
            agents=tuple(agent),
            select=tuple(select or ()),
            tokens=_limits("--tokens", tokens),
            calls=_limits("--calls", calls),
            executions=_limits("--executions", executions),
            seconds=seconds,
            seed=seed,
            seeds=seeds,
            max_steps=max_steps,
            controls=controls,
            scorer=scorer,
            tests=tests,
            generator=generator,
            voters=voters,
            share_samples=share_samples,
            timeout=timeout,
        )
    show_suite(
        wanted, out or default_folder("bench"), shard, resume=resume, skip_bad=skip_bad, as_json=as_json
    )


def show_suite(
    suite: Suite,
    out: Path,
    shard: str = "",
    *,
    resume: bool = False,
    skip_bad: bool = False,
    as_json: bool = False,
) -> None:
    """Runs a suite with progress bars; prints its tables, or its rows as JSON."""
    console = Console(stderr=True)
    folders: list[Path] = []

    def run(plan: Plan, out: Path, *, rows: Sequence[ProblemRow], resume: bool) -> list[ResultRow]:
        folders.append(out)
        return run_shown(plan, rows, out, resume=resume, quiet=as_json)

    def told(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    failure: NoAnswersError | None = None
    try:
        results = run_suite(
            suite, out, shard=shard, resume=resume, skip_bad=skip_bad, on_warning=told, run=run
        )
    except NoAnswersError as error:
        results, failure = error.results, error
    if as_json:
        typer.echo(json.dumps([result.to_row() for result in results]))
    elif len(folders) > 1:
        Console().print(terminal_table(summarize(results), "all parts"))
        _tell_report(out)
    if failure is not None:
        raise O1CoderError(f"{failure}; try them again with: --out {out} --resume")


def run_shown(
    plan: Plan, rows: Sequence[ProblemRow], out: Path, *, resume: bool = False, quiet: bool = False
) -> list[ResultRow]:
    """Runs a plan with a progress bar, says where the report is, and prints the table unless `quiet`.

    Raises:
        NoAnswersError: When rows have no answer because an engine or a judge failed.
    """
    console = Console(stderr=True)
    status = console.status(f"loading {plan.policy}")
    board = Board(console, plan)

    def warned(line: str) -> None:
        status.stop()  # a line would be drawn over
        warn(line)

    def started() -> None:
        status.stop()
        board.start()

    failure: NoAnswersError | None = None
    try:
        with resumable(out), status, board:
            results = run_benchmark(
                plan,
                out,
                rows=rows,
                resume=resume,
                on_start=started,
                on_row=board.add,
                on_warning=warned,
            )
    except NoAnswersError as error:
        results, failure = error.results, error
    if not quiet:
        title = f"{plan.set_name} · {plan.policy} · {plan.format} · {budget_words(plan.budget)}"
        Console().print(terminal_table(summarize(results), title))
    _tell_report(out)
    if failure is not None:
        raise failure
    return results


def _tell_report(out: Path) -> None:
    Console(stderr=True).print(f"report: {out / 'report.html'}", soft_wrap=True)


def _limits(option: str, text: str) -> tuple[int, ...]:
    """Reads ``1024``, ``256,512,1024`` or ``none``."""
    if text == "none":
        return ()
    try:
        limits = tuple(int(limit) for limit in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option}: expected numbers such as 512,1024, or none; got {text!r}") from error
    if min(limits) < 0:
        raise UsageError(f"{option}: a budget is at least 0, got {text!r}")
    return limits


def _refuse_others(context: typer.Context) -> None:
    """Raises UsageError for an option that --suite would silently overrule."""
    for name in context.params.keys() - _WITH_SUITE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name.replace('_', '-')} does not go with --suite; say it in the file")


def _short_names(agents: Sequence[str]) -> dict[str, str]:
    """Names each agent without its arguments, where that tells it from the others."""
    names = [name_of(agent) for agent in agents]
    return {a: n if names.count(n) == 1 else a for a, n in zip(agents, names, strict=True)}


class Board:
    """The progress bars: one line per agent."""

    def __init__(self, console: Console, plan: Plan) -> None:
        """Makes a bar per agent."""
        self._progress = progress_bars(console, "{task.fields[solved]} solved")
        total = len(plan.task_ids) * len(plan.seeds)
        self._bars: dict[str, TaskID] = {
            agent: self._progress.add_task(escape(name), total=total, solved=0, start=False)
            for agent, name in _short_names(plan.agents).items()
        }
        self._solved = dict.fromkeys(plan.agents, 0)

    def add(self, result: ResultRow) -> None:
        """Counts a new row."""
        self._solved[result.agent] += result.solved
        if not self._progress.tasks[self._bars[result.agent]].started:
            self._progress.start_task(self._bars[result.agent])
        self._progress.update(self._bars[result.agent], advance=1, solved=self._solved[result.agent])

    def start(self) -> None:
        """Shows the bars."""
        self._progress.start()

    def __enter__(self) -> Board:
        """Shows nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the bars as they are."""
        self._progress.stop()
