"""`o1coder judge`: solutions of a file against all tests of a problem file, one JSON row each."""

from __future__ import annotations

import os
from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.tools import judge_run, judge_serve
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.answers.solutions import Solution, read_solutions
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.runs.progress import notes, progress_bars, warn
from o1coder_gym.sandbox import ConcurrentJudge, Judge, JudgePool
from o1coder_gym.sandbox.callers.asking import AskedJudge
from o1coder_gym.sandbox.callers.judge_pool import WORKERS_PER_PROCESS
from o1coder_gym.settings import AtLeastOne, Checked
from o1coder_gym.settings.groups import JsonLines, SetName, SkipBad, Split
from o1coder_gym.types import CaseResult, Outcome, Submission, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings(Checked):
    """Judging.

    Attributes:
        solutions: JSON lines: task_id, and code, solution or completion (which continues the prompt);
            results.jsonl of a run is one, of whose rows those with a program are judged (o1coder judge run
            makes result rows of all), and LiveCodeBench's list with code_list or output_list.
        workers: Programs at the same time; default: one per core.
        require: What the sandbox must enforce, or nothing is run, e.g. full (o1coder doctor); may be
            repeated. Without it: those that judging untrusted programs needs.
        without: Guarantees to do without, e.g. foreign_files; may be repeated.
    """

    problems: SetName
    solutions: Path
    split: Split = None
    workers: AtLeastOne | None = None
    require: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    skip_bad: SkipBad = False
    output: JsonLines = JsonLines()


def judge(settings: JudgeSettings) -> None:
    """Run untrusted solutions against all tests of their problems.

    Public tests and hidden ones. A JSON row each on standard output, a count of outcomes beside it.
    """
    found = load_rows(settings.problems, split=settings.split, skip_bad=settings.skip_bad)
    rows = {row.problem.task_id: row for row in found}
    asked = list(read_solutions(settings.solutions, rows))
    waiting = deque(asked)
    console = notes()
    warn(without_visible_tests(rows.values()), without_hidden_tests(list(rows.values())))
    with ExitStack() as stack, progress_bars(console, transient=True) as progress:
        bar = progress.add_task("judging", total=len(asked), told="")
        submissions = (_submission(one, rows[one.task_id]) for one in asked)
        verdicts: dict[int, Verdict] = {}
        outcomes: Counter[Outcome] = Counter()
        for place, verdict in _opened(settings, stack).as_completed(submissions):
            verdicts[place] = verdict
            progress.advance(bar)
            while (first := len(asked) - len(waiting)) in verdicts:  # rows are in the order of the file
                verdict = verdicts.pop(first)
                outcomes[verdict.outcome] += 1
                print(to_json(_row(waiting.popleft(), verdict)))
    console.print(_told(outcomes), highlight=False)


def _told(outcomes: Counter[Outcome]) -> str:
    """Says how many programs pass, and what became of the others, most frequent first."""
    passed = outcomes.pop(Outcome.PASS, 0)
    others = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcomes.most_common())
    told = f"{passed} of {counted(passed + outcomes.total(), 'program')} pass all tests"
    return f"{told}; {others}" if others else told


def _opened(settings: JudgeSettings, stack: ExitStack) -> AskedJudge:
    """Opens a judge of one process, or of several where one would not keep all cores busy."""
    told: dict[str, Any] = {"require": settings.require or None, "without": settings.without}
    workers = settings.workers or len(os.sched_getaffinity(0))
    if workers > WORKERS_PER_PROCESS:
        return stack.enter_context(JudgePool(workers, **told))
    return stack.enter_context(ConcurrentJudge(stack.enter_context(Judge(workers, **told))))


def _submission(solution: Solution, row: ProblemRow) -> Submission:
    problem = row.problem
    tests = (*problem.public_tests, *row.tests)
    return submission(problem, solution.program(problem) or "", tests)


def _row(solution: Solution, verdict: Verdict) -> dict[str, Any]:
    return {
        "task_id": solution.task_id,
        "solution_id": solution.solution_id,
        "outcome": verdict.outcome.value,
        "passed": verdict.passed,
        "total": verdict.total,
        "tests": [_case(case) for case in verdict.tests],
        "cpu_s": round(verdict.cpu_s, 6),
        "error": verdict.error,
    }


def _case(case: CaseResult) -> dict[str, Any]:
    return {"outcome": case.outcome.value, "got": case.got, "error": case.error}


app = command(JudgeSettings, judge, name="judge")
app.command(judge_run.app)
app.command(judge_serve.app)
