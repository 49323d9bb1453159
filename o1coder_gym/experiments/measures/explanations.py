"""Explains answers of a run: the program, judged once more, and every hidden test that it failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.pages.tree_page import test_line
from o1coder_gym.reporting.results import RESULTS, ResultRow, read_results
from o1coder_gym.runs.journal import begun_with, require_unchanged
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import Checked, Flag, Hint
from o1coder_gym.settings.groups import AsJson
from o1coder_gym.specs import name_of, one_of
from o1coder_gym.types import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainSettings(Checked):
    """Answer.

    Attributes:
        run: Run folder of bench.
        task: A problem of the run, by its task id or a beginning of it.
        agent: The agent, with or without its arguments and its file; default: all of them.
        seed: Run seed; default: the first.
        tokens: Budget to show, of a run with several; default: the largest.
        problems: The problem set, where it is not where the run found it.
    """

    run: Annotated[Path, Flag("RUN")]
    task: Annotated[str, Flag("TASK"), Hint("o1coder tree RUN lists them")]
    agent: Annotated[str | None, Flag("AGENT")] = None
    seed: int | None = None
    tokens: int | None = None
    problems: str | None = None
    as_json: AsJson = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, and why it was judged as it was.

    Attributes:
        answer: The run's row.
        verdict: Of its program, judged anew; None without a program.
        failed: Each hidden test that it failed: the test, its outcome, what came, the error.
    """

    answer: ResultRow
    verdict: Verdict | None
    failed: tuple[dict[str, Any], ...] = ()


def explain_answers(settings: ExplainSettings) -> list[Explanation]:
    """Judges answers of a run once more, on the hidden tests, and says what failed.

    Returns:
        An explanation for each agent that is asked for.

    Raises:
        UnknownNameError: When the run has no such problem or agent.
        UsageError: When it has no answer with that seed and budget, or does not say where its problems are,
            or these have changed since.
        JournalError: When a folder of the run has a damaged config.json.
    """
    rows = read_results(settings.run)
    task = one_of(f"problem of {settings.run}", settings.task, (row.task_id for row in rows))
    settings = replace(settings, task=task)
    answers = list(_answers(settings, rows))
    row = _problem(settings)
    return [_explained(row, answer) for answer in answers]


def _explained(row: ProblemRow, answer: ResultRow) -> Explanation:
    if answer.code is None:
        return Explanation(answer, None)
    (verdict,) = default_judge().evaluate([submission(row.problem, answer.code, row.tests)])
    return Explanation(answer, verdict, tuple(_failed(row, verdict)))


def _answers(settings: ExplainSettings, rows: Sequence[ResultRow]) -> Iterator[ResultRow]:
    """Yields the row of each agent that is asked for."""
    of_task = [row for row in rows if row.task_id == settings.task]
    agents = dict.fromkeys(row.agent for row in of_task)
    # Of own code, FILE.py:NAME, the name alone will do.
    known = {one: (None, one, name_of(one), name_of(one).rpartition(":")[2]) for one in agents}
    asked = [one for one, names in known.items() if settings.agent in names]
    if not asked:
        raise UnknownNameError(f"agent of {settings.run}", str(settings.agent), agents)
    for agent in asked:
        found = [
            row
            for row in of_task
            if row.agent == agent
            and settings.seed in (None, row.seed)
            and settings.tokens in (None, row.budget.tokens)
        ]
        if not found:
            raise UsageError(
                f"{settings.run}: {agent} has no answer to {settings.task} with that seed and budget"
            )
        yield max(found, key=lambda row: (-row.seed, row.budget.size))


def _problem(settings: ExplainSettings) -> ProblemRow:
    """Loads the problem from the set that the run's own folder, or that of one of its parts, names."""
    if settings.problems is not None:
        return load_rows(settings.problems).row(settings.task)
    # Beside rows alone: a model's folder, which a run may hold too, has a config.json of its own.
    for file in sorted(settings.run.rglob(f"{RESULTS}.jsonl")):
        config = begun_with(file.parent)
        if settings.task in config.get("task_ids", ()):
            otherwise = "--problems says which tests to run"
            require_unchanged(settings.run, config, config["problems"], otherwise=otherwise)
            return load_rows(config["problems"], split=config.get("split")).row(settings.task)
    raise UsageError(f"{settings.run} does not say where its problems are; give --problems")


def _failed(row: ProblemRow, verdict: Verdict) -> Iterator[dict[str, Any]]:
    for test, case in zip(row.tests, verdict.tests, strict=False):
        if case.outcome is not Outcome.PASS:
            line = test_line(row.problem, test)
            yield {"test": line, "outcome": case.outcome.value, "got": case.got, "error": case.error}
