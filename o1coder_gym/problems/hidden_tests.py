"""The only holder of hidden tests.

Search, training and environments see `Problem`, which has none. What they choose is brought here, and
only an outcome and two counts come back. Each candidate is run once per run: asking again returns the
recorded answer. Every access is logged, so that a report can show how often the hidden tests were asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.runs.journal import RunFolder, read_rows
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import Limits, Outcome, Submission, Verdict
from o1coder_gym.types.protocols import Judge

LOG = "evaluation"
"""Name of the log in a run folder."""


@dataclass(frozen=True, slots=True)
class HiddenVerdict:
    """The only information about a candidate that leaves the hidden tests.

    Attributes:
        outcome: `PASS` iff there are hidden tests and all passed; `NO_TESTS` if there are none and the
            program loads; `INFRASTRUCTURE` if the judge failed, which is not remembered, so that the
            candidate may be brought again.
        passed: Hidden tests passed.
        total: Hidden tests.
    """

    outcome: Outcome
    passed: int
    total: int

    def __post_init__(self) -> None:
        """Reads a pass of no tests, which the logs of earlier versions have, as `NO_TESTS`."""
        object.__setattr__(self, "outcome", self.outcome.after(self.total))


class Evaluation:
    """Judges candidates on hidden tests, once each, and logs each access. Used by one thread."""

    def __init__(
        self,
        rows: Sequence[ProblemRow],
        judge: Judge,
        *,
        log: RunFolder | None = None,
        limits: Limits = Limits(),
    ) -> None:
        """Loads the hidden tests, and the answers in the log.

        Args:
            rows: Problems with their hidden tests.
            judge: Runs the candidates.
            log: Run folder of the run; what was answered before a resume is answered from it.
            limits: Bounds on one candidate; a problem whose tests need more gets more.

        Raises:
            JournalError: When the log cannot be read.
        """
        self._rows = {row.problem.task_id: row for row in rows}
        self._judge = judge
        self._log = log
        self._limits = limits
        self._answers: dict[tuple[str, str], HiddenVerdict] = {}
        for row in log.rows(LOG) if log is not None else ():
            self._remember((row["task_id"], row["candidate"]), _from_row(row))

    def evaluate(self, task_id: str, code: str) -> HiddenVerdict:
        """Judges one candidate on the hidden tests; see `evaluate_batch`."""
        return self.evaluate_batch([(task_id, code)])[0]

    def evaluate_batch(self, candidates: Sequence[tuple[str, str]]) -> list[HiddenVerdict]:
        """Judges candidates on the hidden tests, the new ones in one batch.

        Args:
            candidates: B pairs of task id and program.

        Returns:
            B answers, in order; recorded ones where a candidate was brought before in this run.

        Raises:
            UnknownNameError: When there is no such problem.
            JournalError: When the log cannot be written.
        """
        keys = [(self._row(task_id).problem.task_id, candidate_name(code)) for task_id, code in candidates]
        new = {
            key: candidate
            for key, candidate in zip(keys, candidates, strict=True)
            if key not in self._answers
        }
        fresh = dict(zip(new, self._judged(list(new.values())), strict=True))
        answers = [fresh[key] if key in fresh else self._answers[key] for key in keys]
        if self._log is not None:
            # Logged before they are remembered: an answer that the log does not have may not be given again
            # for free.
            rows = zip(keys, answers, strict=True)
            self._log.append(LOG, *(_to_row(key, answer, key not in new) for key, answer in rows))
        for key, answer in fresh.items():
            self._remember(key, answer)
        return answers

    def total(self, task_id: str) -> int:
        """Returns the number of hidden tests of a problem.

        Raises:
            UnknownNameError: When there is no such problem.
        """
        return len(self._row(task_id).tests)

    def _judged(self, candidates: Sequence[tuple[str, str]]) -> list[HiddenVerdict]:
        submissions = [self._submission(task_id, code) for task_id, code in candidates]
        verdicts = self._judge.evaluate(submissions) if submissions else []
        return [
            _hidden(verdict, len(submission.tests))
            for verdict, submission in zip(verdicts, submissions, strict=True)
        ]

    def _submission(self, task_id: str, code: str) -> Submission:
        row = self._row(task_id)
        return submission(row.problem, code, row.tests, self._limits)

    def _row(self, task_id: str) -> ProblemRow:
        if task_id not in self._rows:
            raise UnknownNameError("task", task_id, list(self._rows)[:10])
        return self._rows[task_id]

    def _remember(self, key: tuple[str, str], answer: HiddenVerdict) -> None:
        # A failure of the judge says nothing about the program, so it may be asked again.
        if answer.outcome is not Outcome.INFRASTRUCTURE:
            self._answers[key] = answer


def logged_verdicts(folder: Path) -> dict[tuple[str, str], HiddenVerdict]:
    """Returns the logged hidden-test results of a run by task id and `candidate_name`.

    Raises:
        JournalError: When the log cannot be read.
    """
    rows = read_rows(folder / f"{LOG}.jsonl")
    return {(row["task_id"], row["candidate"]): _from_row(row) for row in rows}


def _hidden(verdict: Verdict, total: int) -> HiddenVerdict:
    return HiddenVerdict(verdict.outcome, verdict.passed, total)


def candidate_name(code: str) -> str:
    """Returns the name of a program in the log: its SHA-256 in hex."""
    return content_hash(code)


def _to_row(key: tuple[str, str], answer: HiddenVerdict, repeat: bool) -> dict[str, Any]:
    return {
        "task_id": key[0],
        "candidate": key[1],
        "outcome": answer.outcome.value,
        "passed": answer.passed,
        "total": answer.total,
        "repeat": repeat,
    }


def _from_row(row: dict[str, Any]) -> HiddenVerdict:
    return HiddenVerdict(Outcome(row["outcome"]), row["passed"], row["total"])
