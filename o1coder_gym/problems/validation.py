"""Checks whether the reference solutions of a problem set pass its tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.rows import ProblemRow, problem_row_to_json
from o1coder_gym.runs.files import replacing
from o1coder_gym.types import CallTest, CheckerTest, Limits, Outcome, StdioTest, TestCase, Verdict
from o1coder_gym.types.protocols import Judge

_BATCH = 64
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Validation:
    """The validation result of one reference solution.

    Attributes:
        row: The problem.
        verdict: On its public and hidden tests; None if it has no reference.
    """

    row: ProblemRow
    verdict: Verdict | None

    @property
    def failed(self) -> bool:
        """Whether there is a reference that fails; without tests it cannot fail."""
        return self.verdict is not None and self.verdict.outcome not in (Outcome.PASS, Outcome.NO_TESTS)

    @property
    def holds(self) -> bool:
        """Whether the row has hidden tests and a reference that passes all of its tests."""
        return bool(self.row.tests) and self.verdict is not None and self.verdict.outcome is Outcome.PASS

    @property
    def reason(self) -> str:
        """The reason in one line: the first test that fails, and how; empty if the row holds."""
        if self.verdict is None:
            return "no reference"
        for index, (test, case) in enumerate(
            zip(_tests(self.row), self.verdict.tests, strict=False), start=1
        ):
            if case.outcome is not Outcome.PASS:
                said = case.error or _difference(test, case.got)
                return f"test {index} of {self.verdict.total}: {case.outcome.value}{said and f': {said}'}"
        return self.verdict.error

    def to_json(self) -> dict[str, Any]:
        """Returns the row that a report has."""
        row: dict[str, Any] = {"task_id": self.row.problem.task_id}
        if self.verdict is None:
            return row | {"outcome": None, "error": "no reference"}
        verdict = self.verdict
        row |= {"outcome": verdict.outcome.value, "passed": verdict.passed, "total": verdict.total}
        return row | {"cpu_s": round(verdict.cpu_s, 3), "error": verdict.error, "reason": self.reason}


def validate_rows(
    rows: Iterable[ProblemRow], judge: Judge, limits: Limits = Limits()
) -> Iterator[Validation]:
    """Yields, in order, the result of each row's reference on all tests of the row, judged in batches.

    Args:
        rows: May be a stream; no more than a batch of them is held.
        judge: Judges a batch on all of its workers.
        limits: For each reference; a row that states more gets more.
    """
    stream = iter(rows)
    while batch := list(islice(stream, _BATCH)):
        asked = [
            submission(row.problem, row.reference, _tests(row), limits)
            for row in batch
            if row.reference is not None
        ]
        verdicts = iter(judge.evaluate(asked) if asked else ())
        for row in batch:
            yield Validation(row, None if row.reference is None else next(verdicts))


def keep_valid(results: Iterable[Validation], path: Path) -> Iterator[Validation]:
    """Yields the results unchanged, and writes the rows that hold to a problem file.

    The file is replaced at the end; an existing one stays until then.
    """
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for result in results:
            if result.holds:
                file.write(json.dumps(problem_row_to_json(result.row), ensure_ascii=False) + "\n")
            yield result


def report_lines(name: str, results: Sequence[Validation]) -> Iterator[str]:
    """Yields a report for people: failures, rows that cannot be judged, slow ones, and the totals.

    Args:
        name: Of the set.
        results: Of all of its rows.
    """
    judged = [(one, one.verdict) for one in results if one.verdict is not None]
    for one, verdict in judged:
        if one.failed:
            tests = f"{verdict.passed} of {verdict.total} tests"
            yield f"{one.row.problem.task_id}\t{verdict.outcome.value}\t{tests}\t{one.reason}"
    usual = Limits().cpu_s
    for one, verdict in judged:
        if not one.failed and verdict.cpu_s > usual:
            yield f"{one.row.problem.task_id}\tpasses, but takes more than the usual {usual:g} CPU seconds"
    outcomes = Counter(verdict.outcome for _, verdict in judged)
    counts = (
        (outcomes[Outcome.NO_TESTS], "have no tests to pass"),
        (outcomes[Outcome.UNSUPPORTED], "have tests that cannot be judged"),
        (len(results) - len(judged), "problems have none"),
    )
    rest = "".join(f"; {count} {what}" for count, what in counts if count)
    yield f"{name}: {outcomes[Outcome.PASS]} of {len(judged)} references pass{rest}"


def _tests(row: ProblemRow) -> tuple[TestCase, ...]:
    """Returns public and hidden tests, each once."""
    return tuple(dict.fromkeys((*row.problem.public_tests, *row.tests)))


def _difference(test: TestCase, got: str | None) -> str:
    """Describes the actual and the expected result, as far as both are known."""
    match test:
        case CallTest(_, expected):
            pass
        case StdioTest(_, expected) | CheckerTest(_, _, expected):
            expected = repr(expected)
        case _:
            return "" if got is None else f"got {got:.{_SHOWN}}"
    return "" if got is None else f"got {got:.{_SHOWN}}, expected {expected:.{_SHOWN}}"
