"""`o1coder bench`: problem sets × agents × policies × selectors × budgets × seeds → results and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.cli.search import aspr, compare
from o1coder_gym.errors import O1CoderError, UsageError, unreadable
from o1coder_gym.experiments.benchmark import NoAnswersError, run_benchmark
from o1coder_gym.experiments.suite import Cells, Suite, read_cells, run_suite
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results import RESULTS, ResultRow, budget_words, summarize
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.runs.files import json_lines
from o1coder_gym.runs.journal import read_rows
from o1coder_gym.runs.progress import notes, progress_bars, warn
from o1coder_gym.settings import Checked, Flag, all_settings
from o1coder_gym.settings.groups import ExecutorSpec, FirstN, RunSettings, SkipBad
from o1coder_gym.specs import name_of
from o1coder_gym.types.protocols import Policy

_OF_A_SUITE = ("suite", "split", "limit", "task", "problems_from")
"""Settings that a file of a suite says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSettings(RunSettings):
    """Run folder.

    Attributes:
        shard: i/n: every n-th problem from the i-th on; one --out for all.
    """

    shard: str = ""
    skip_bad: SkipBad = False
    executor: ExecutorSpec = "serial"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings(Checked):
    """Parts of problem sets.

    Attributes:
        split: Split of the sets, e.g. test.
        task: Only these problems, by task id, commas between; may be repeated.
        problems_from: As --task, from a file: a task id per line, or JSON lines with task_id.
        file: A suite file, which has all of this; no other of these options may be given with it.
    """

    suite: Suite = Suite(agents=("greedy", "best_of_n", "mcts"))
    split: str | None = None
    limit: FirstN = None
    task: tuple[str, ...] = ()
    problems_from: Path | None = None
    file: Annotated[Path | None, Flag("--suite")] = None
    run: ShardSettings = ShardSettings()


def bench(settings: BenchSettings) -> None:
    """Compare agents on problem sets at equal budgets, judged on hidden tests."""
    run = settings.run
    show_suite(
        suite_of(settings),
        run_folder("bench", run.out, resume=run.resume),
        run.shard,
        executor=run.executor,
        resume=run.resume,
        skip_bad=run.skip_bad,
        as_json=run.as_json,
    )


def suite_of(settings: BenchSettings) -> Suite | Cells:
    """Returns what is compared: the suites of a file, or that of the settings.

    Raises:
        UsageError: When both say something, for the file would silently overrule the other.
    """
    if settings.file is not None:
        _refuse_others(settings)
        return read_cells(settings.file)
    tasks = chosen_tasks(settings.task, settings.problems_from)
    if tasks and len(settings.suite.problems) > 1:
        raise UsageError(
            "--task chooses from one problem set; for several sets write tasks: into a --suite file"
        )
    choices = (
        replace(one, split=one.split or settings.split, limit=one.limit or settings.limit, tasks=tasks)
        for one in settings.suite.problems
    )
    return replace(settings.suite, problems=tuple(choices))


def chosen_tasks(words: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """Returns the task ids that are asked for, each once: those of a command line, then those of a file.

    Raises:
        UsageError: When the file cannot be read, or names none.
    """
    asked = [task.strip() for word in words for task in word.split(",")]
    if file is not None:
        try:
            lines = [line.strip() for line in json_lines(file)]
            found = [json.loads(line)["task_id"] if line.startswith("{") else line for line in lines]
        except OSError as error:
            raise UsageError(unreadable(file, error)) from error
        except (ValueError, KeyError) as error:
            raise UsageError(
                f"{file}: expected a task id a line, or JSON lines with task_id: {error}"
            ) from error
        if not any(found):
            raise UsageError(f"{file}: names no problem")
        asked += found
    return tuple(dict.fromkeys(filter(None, asked)))


def _refuse_others(settings: BenchSettings) -> None:
    for one in all_settings(BenchSettings):
        if one.path[0] in _OF_A_SUITE and reduce(getattr, one.path, settings) != one.default:
            raise UsageError(f"{one.flag} cannot be combined with --suite; write it into the file")


def show_suite(
    suite: Suite | Cells,
    out: Path,
    shard: str = "",
    *,
    executor: str = "serial",
    resume: bool = False,
    skip_bad: bool = False,
    as_json: bool = False,
) -> None:
    """Runs a suite with progress bars; prints its tables, or its rows as JSON."""
    console = notes()
    folders: list[Path] = []

    def run(
        plan: Plan, out: Path, *, rows: Sequence[ProblemRow], resume: bool, policy: Policy | None = None
    ) -> list[ResultRow]:
        folders.append(out)
        return run_shown(plan, rows, out, executor=executor, resume=resume, quiet=as_json, policy=policy)

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
        print(to_json([result.to_row() for result in results]))
    elif len(folders) > 1:
        _print_table(results, "all parts")
        _tell_report(out)
    if failure is not None:
        raise O1CoderError(f"{failure}; try them again with: --out {out} --resume")


def run_shown(
    plan: Plan,
    rows: Sequence[ProblemRow],
    out: Path,
    *,
    executor: str = "serial",
    resume: bool = False,
    quiet: bool = False,
    policy: Policy | None = None,
) -> list[ResultRow]:
    """Runs a plan with a progress bar, says where the report is, and prints the table unless `quiet`.

    Raises:
        NoAnswersError: When rows have no answer because an engine or a judge failed.
    """
    console = notes()
    status = console.status(f"loading {plan.policy}")
    board = Board(console, plan)

    def warned(line: str) -> None:
        status.stop()  # a line would be drawn over
        warn(line)

    def started() -> None:
        status.stop()
        board.start(known_rows(out) if resume else ())

    failure: NoAnswersError | None = None
    try:
        with resumable(out), status, board:
            results = run_benchmark(
                plan,
                out,
                rows=rows,
                executor=executor,
                resume=resume,
                on_start=started,
                on_row=board.add,
                on_warning=warned,
                policy=policy,
            )
    except NoAnswersError as error:
        results, failure = error.results, error
    if not quiet:
        limits = f" · {budget_words(plan.budget)}" if not plan.sweep else ""
        _print_table(results, f"{plan.set_name} · {plan.policy} · {plan.format}{limits}")
    _tell_report(out)
    if failure is not None:
        raise failure
    return results


def known_rows(out: Path) -> list[ResultRow]:
    """Returns the rows with an answer that a run has, none for a new one."""
    return [ResultRow.from_row(row) for row in read_rows(out / f"{RESULTS}.jsonl")]


def _print_table(results: Sequence[ResultRow], title: str) -> None:
    console = Console()
    console.print(terminal_table(summarize(results), title, console.width))


def _tell_report(out: Path) -> None:
    notes().print(f"report: {out / 'report.html'}", soft_wrap=True)


def _short_names(agents: Sequence[str]) -> dict[str, str]:
    """Names each agent without its arguments, where that tells it from the others."""
    names = [name_of(agent) for agent in agents]
    return {a: n if names.count(n) == 1 else a for a, n in zip(agents, names, strict=True)}


class Board:
    """The progress bars: one line per agent."""

    def __init__(self, console: Console, plan: Plan) -> None:
        """Makes a bar per agent."""
        self._progress = progress_bars(console)
        total = len(plan.task_ids) * len(plan.seeds)
        self._bars: dict[str, TaskID] = {
            agent: self._progress.add_task(escape(name), total=total, told="0 solved", start=False)
            for agent, name in _short_names(plan.agents).items()
        }
        self._solved = dict.fromkeys(plan.agents, 0)
        self._budget = plan.budget
        self._latest = self._progress.get_time()  # when the latest row came, or the run began

    def add(self, result: ResultRow) -> None:
        """Counts a new row."""
        self._solved[result.agent] += result.solved
        bar = self._bars[result.agent]
        if not self._progress.tasks[bar].started:
            # Its searches began when those of the agent before it had ended, long before its first row.
            self._progress.tasks[bar].start_time = self._latest
        self._progress.update(bar, advance=1, told=f"{self._solved[result.agent]} solved")
        self._latest = self._progress.get_time()

    def start(self, known: Sequence[ResultRow] = ()) -> None:
        """Shows the bars, with the rows that the run had before."""
        self._progress.start()
        self._latest = self._progress.get_time()
        for row in known:
            if row.agent in self._bars and row.budget == self._budget:
                self.add(row)

    def __enter__(self) -> Board:
        """Shows nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the bars as they are."""
        self._progress.stop()


app = command(BenchSettings, bench, name="bench")
app.command(compare.app)
app.command(aspr.app)
