"""Results of a run on other hidden tests of the same problems: answers to HumanEval on HumanEval+, say.

No search runs again: the programs that were chosen are judged, and each row keeps the setting, seed and costs
of its search. So `compare` and reports read the new run as any other.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import o1coder_gym
from o1coder_gym.errors import UsageError, first_of
from o1coder_gym.experiments.benchmark import JUDGE_FAILED
from o1coder_gym.experiments.training.tcg import Track, untracked
from o1coder_gym.problems.hidden_tests import Evaluation, HiddenVerdict
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import NAMED, Warn, warn_of, without_hidden_tests
from o1coder_gym.reporting.report_files import write_report
from o1coder_gym.reporting.results import FAILURES, ORACLE, RESULTS, ResultRow, counted, read_results
from o1coder_gym.reporting.results.rows import file_name
from o1coder_gym.reporting.run_report import row_facts
from o1coder_gym.runs.journal import FILES, RunFolder
from o1coder_gym.runs.provenance import config_hash, file_hashes
from o1coder_gym.sandbox import default_judge
from o1coder_gym.specs import name_of
from o1coder_gym.types import Outcome
from o1coder_gym.types.protocols import Judge

_BATCH = 64
"""Rows that are judged and written at once: what a kill costs."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A run on other tests.

    Attributes:
        results: All rows of problems that the set has, those without a program or an answer too.
        unknown: Of each problem set of the run the problems that the new one lacks; their rows are left out.
        left_out: Rows of these problems.
        oracles: Rows of the oracle, left out too: it chose by the hidden tests of the run, so that on others
            it is not the most that choosing could be worth.
    """

    results: tuple[ResultRow, ...]
    unknown: Mapping[str, tuple[str, ...]]
    left_out: int
    oracles: int

    @property
    def undecided(self) -> int:
        """Rows on which the judge failed; a resumed run tries them again."""
        return sum(row.error == JUDGE_FAILED for row in self.results)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is left out, and on rows in which nothing was judged."""
        unanswered = sum(_unanswered(row) for row in self.results)
        without = sum(row.code is None for row in self.results) - unanswered
        lacking = ", ".join(
            f"{counted(len(tasks), 'problem')} of {name} ({first_of(tasks, NAMED)})"
            for name, tasks in self.unknown.items()
        )
        told = {
            f"left out: {counted(self.left_out, 'row')} on problems that are not in the set: {lacking}": (
                self.left_out
            ),
            f"left out: {counted(self.oracles, 'row')} of the oracle, which chose by the run's own hidden "
            "tests": self.oracles,
            f"{counted(without, 'row')} without a program, not solved": without,
            f"{counted(unanswered, 'row')} without an answer, for the search failed": unanswered,
        }
        return tuple(sentence for sentence, count in told.items() if count)


def rejudge(
    run: Path,
    out: Path,
    problems: str,
    *,
    judge: Judge | None = None,
    resume: bool = False,
    track: Track = untracked,
    on_warning: Warn = warnings.warn,
) -> Rejudged:
    """Judges the answers of a run on the hidden tests of another set with the same problems.

    Args:
        run: Folder of a benchmark, a suite, or a part of one.
        out: The new run folder: results.jsonl, failures.jsonl, report.html, report.md.
        problems: Name or path of the set; problems are the same if their task ids are.
        judge: Runs the programs; None is the judge of this process.
        resume: Whether to continue what `out` holds; programs are not judged twice.
        track: Shows how far it is.
        on_warning: Called with a line about problems that lack tests.

    Raises:
        UsageError: When the run has no rows, or none of a problem of the set, or one folder is in the other.
        JournalError: When a folder cannot be read or written, or `out` holds another run.
        UnknownNameError: When there is no such set.
    """
    _check_apart(run, out)
    rows = read_results(run)
    found = load_rows(problems)
    names = {row.problem.task_id for row in found}
    known = [row for row in rows if row.task_id in names]
    asked = [row for row in known if name_of(row.agent) != ORACLE]
    if not asked:
        raise UsageError(f"{run}: no row to judge on {problems}, which has none of its problems")
    wanted = {row.task_id for row in asked}
    tested = [row for row in found if row.problem.task_id in wanted]
    warn_of(on_warning, without_hidden_tests(tested))
    config = {
        "rejudged": sorted({row.run for row in rows}),
        "problems": problems,
        FILES: file_hashes(problems),
    }
    with RunFolder.open(out, config, resume=resume) as folder:
        evaluation = Evaluation(tested, judge or default_judge(), log=folder)
        begun = [_begun(row, config) for row in asked]
        answers = set(map(_answer, begun))
        # What was said of an answer that the run no longer has, or has otherwise now, is no verdict on it.
        folder.keep(RESULTS, lambda row: _answer(ResultRow.from_row(row)) in answers)
        results = [ResultRow.from_row(row) for row in folder.rows(RESULTS)]
        done = {_key(row) for row in results}
        # A search that failed stays a failure, which is written once.
        failed = {_key(row) for row in map(ResultRow.from_row, folder.rows(FAILURES)) if _unanswered(row)}
        waiting = [row for row in begun if _key(row) not in done]
        for row in track(_judged(waiting, evaluation), len(waiting), "answers"):
            results.append(row)
            if not (_unanswered(row) and _key(row) in failed):
                folder.append(FAILURES if row.error else RESULTS, row.to_row())
    places = {_key(row): place for place, row in enumerate(begun)}
    results.sort(key=lambda row: places[_key(row)])
    left_out = [row for row in rows if row.task_id not in names]
    made = Rejudged(tuple(results), _by_set(left_out), len(left_out), len(known) - len(asked))
    facts = {**dict(row_facts(results)), "judged again": f"the answers of {run}, on {problems}"}
    write_report(out, results, f"{run} on {problems}", facts | _numbered(made.notes))
    return made


def _judged(rows: Sequence[ResultRow], evaluation: Evaluation) -> Iterator[ResultRow]:
    """Yields rows with what the new tests say of them, a batch of programs at a time."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        programs = [(row.task_id, row.code) for row in batch if row.code is not None]
        verdicts = iter(evaluation.evaluate_batch(programs))
        for row in batch:
            total = evaluation.total(row.task_id)
            yield replace(row, total=total) if row.code is None else _with(row, next(verdicts))


def _with(row: ResultRow, verdict: HiddenVerdict) -> ResultRow:
    failed = verdict.outcome is Outcome.INFRASTRUCTURE
    return replace(
        row,
        outcome=verdict.outcome,
        passed=verdict.passed,
        total=verdict.total,
        error=JUDGE_FAILED if failed else "",
    )


def _begun(row: ResultRow, config: Mapping[str, object]) -> ResultRow:
    """Returns a row of the new run on which nothing is decided; rows of two runs stay those of two."""
    return replace(
        row,
        problems=str(config["problems"]),
        outcome=None,
        passed=0,
        run=config_hash({**config, "run": row.run})[:12],
        version=o1coder_gym.__version__,
    )


def _unanswered(row: ResultRow) -> bool:
    """Whether the search failed, so that there is nothing to judge."""
    return row.code is None and bool(row.error)


def _key(row: ResultRow) -> tuple[object, ...]:
    return row.setting, row.seed, row.task_id, row.run


def _answer(row: ResultRow) -> tuple[object, ...]:
    return *_key(row), row.code


def _by_set(rows: Sequence[ResultRow]) -> dict[str, tuple[str, ...]]:
    """Returns the problems of rows by the name of their set."""
    sets = Counter((file_name(row.problems), row.task_id) for row in rows)
    names = dict.fromkeys(name for name, _ in sets)
    return {name: tuple(task_id for one, task_id in sets if one == name) for name in names}


def _numbered(notes: Sequence[str]) -> dict[str, str]:
    return {f"note {number}": note for number, note in enumerate(notes, start=1)}


def _check_apart(run: Path, out: Path) -> None:
    """Refuses a folder whose rows would be read as those of the run, or the other way round."""
    first, second = run.resolve(), out.resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise UsageError(f"--out {out} and {run}: one is in the other; their rows would be read as one run")
