"""``o1coder data``: which problem sets there are, look into them, check their references."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.micro.problems import write_rows
from o1coder_gym.problems.likeness.overlap import overlaps
from o1coder_gym.problems.loading import SHARES, ProblemSet, load_rows, with_splits
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow, problem_row_to_json, public_row_to_json
from o1coder_gym.problems.sources import KNOWN_SETS, find_files
from o1coder_gym.problems.validation import keep_valid, report_lines, validate_rows
from o1coder_gym.runs.progress import tracked, warn
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import Checked, Flag, Range
from o1coder_gym.settings.groups import AsJson, OutputSettings, Seed, SetName, SkipBad, Split
from o1coder_gym.specs import registry
from o1coder_gym.types import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSettings(Checked):
    """Problem set."""

    name: Annotated[SetName, Flag("SET")]
    split: Split = None
    skip_bad: SkipBad = False
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowSettings(SetSettings):
    """Problem set.

    Attributes:
        task: Task id; without it all tasks are listed.
        hidden: Show hidden tests and the reference too.
    """

    task: Annotated[str | None, Flag("TASK")] = None
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapSettings(Checked):
    """Two problem sets.

    Attributes:
        a: Name or path of a problem set, e.g. of a training.
        b: Another set, e.g. one to measure on.
        behaviour: Also run references, to find problems that ask the same in other words.
    """

    a: Annotated[str, Flag("A")]
    b: Annotated[str, Flag("B")]
    behaviour: bool = False
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateSettings(SetSettings):
    """Problem set.

    Attributes:
        cpu_s: CPU seconds that a reference may take for each test.
        out: File for the rows that pass, such as validated.jsonl.
    """

    cpu_s: Annotated[float, Range(0.1)] = 10.0
    out: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSettings(Checked):
    """Problem set.

    Attributes:
        out: The problem file to write, such as own.jsonl; each row has its split in meta.
        validation: Share of the problems that decides when to stop.
        test: Share of the problems that is measured at the end.
        seed: Another value splits the same problems differently.
    """

    name: Annotated[SetName, Flag("SET")]
    out: Path
    validation: Annotated[float, Range(0, 0.9)] = SHARES["validation"]
    test: Annotated[float, Range(0, 0.9)] = SHARES["test"]
    seed: Seed = 0
    skip_bad: SkipBad = False
    as_json: AsJson = False


def list_sets(settings: OutputSettings) -> None:
    """List the known problem sets, where they are and how many problems they have."""
    rows = []
    for known in KNOWN_SETS.values():
        if find_files(known):
            found = load_rows(known.name, skip_bad=True)
            rows.append((known.name, known.title, len(found), found.source))
        else:
            hub = f"Hugging Face: {known.hub[0]}" if known.hub else f"not in O1CODER_DATA ({known.files})"
            rows.append((known.name, known.title, None, hub))
    for name in sorted(registry.entries("problems").keys() - KNOWN_SETS.keys()):
        rows.append((name, "a format of rows", None, "any file or set of the Hub with such rows"))
    if settings.as_json:
        for row in rows:
            print(to_json(dict(zip(("name", "title", "problems", "where"), row, strict=True))))
        return
    table = Table("name", "what", Column("problems", justify="right"), box=None)
    for name, title, count, _ in rows:
        table.add_row(name, title, "–" if count is None else str(count))
    Console().print(table, Text("–: fetched when it is first used, and counted then", style="table.caption"))
    for name, _, _, where in rows:
        print(f"{name}: {where}")


def show(settings: ShowSettings) -> None:
    """Show the problems of a set, or one of them; with --json --hidden as rows of a problem file."""
    found = load_rows(settings.name, split=settings.split, skip_bad=settings.skip_bad)
    _report_skipped(found)
    task, hidden = settings.task, settings.hidden
    if settings.as_json:
        for row in [found.row(task)] if task else found:
            print(json.dumps(_shown(row, hidden), ensure_ascii=False))
        if not hidden:
            told = "hidden tests and references are left out: no problem file; see --hidden"
            print(told, file=sys.stderr)
    elif task:
        _show_task(_shown(found.row(task), hidden))
    else:
        for row in found:
            problem = row.problem
            tests = f"{len(problem.public_tests)} public, {len(row.tests)} hidden tests"
            print(f"{problem.task_id}\t{problem.entry_point or 'stdin → stdout'}\t{tests}")


def validate(settings: ValidateSettings) -> int:
    """Run every reference against its public and hidden tests; name those that fail, exit 1 if any does.

    Warns of problems without public or hidden tests.
    """
    name, cpu_s = settings.name, settings.cpu_s
    found = load_rows(name, split=settings.split, skip_bad=settings.skip_bad)
    judged = validate_rows(found, default_judge(), Limits(cpu_s=cpu_s, wall_s=5 * cpu_s))
    if settings.out is not None:
        judged = keep_valid(judged, settings.out)
    results = list(tracked(judged, len(found), f"validating {name}"))
    _report_skipped(found)
    if settings.as_json:
        for result in results:
            print(to_json(result.to_json()))
    else:
        for line in report_lines(found.name, results):
            print(line)
    warn(without_visible_tests(found), without_hidden_tests(found))
    return int(any(result.failed for result in results))


def split(settings: SplitSettings) -> None:
    """Split the problems of a set into train, validation and test by task id; write a problem file."""
    found = load_rows(settings.name, skip_bad=settings.skip_bad)
    _report_skipped(found)
    shares = {"validation": settings.validation, "test": settings.test}
    dealt = with_splits(found, {"train": 1 - sum(shares.values()), **shares}, seed=settings.seed)
    write_rows(dealt, settings.out)
    counts = {name: len(dealt.of_split(name)) for name in dealt.splits}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(to_json({"file": str(settings.out), **counts}) if settings.as_json else f"{settings.out}: {told}")


def overlap(settings: OverlapSettings) -> None:
    """Find the problems of one set that are also in another: same question, tests, text or behaviour."""
    a, b = load_rows(settings.a), load_rows(settings.b)
    found = overlaps(a, b, default_judge() if settings.behaviour else None)
    if settings.as_json:
        for pair in found:
            print(to_json(asdict(pair)))
        return
    for pair in found:
        print(f"{pair.a}\t{pair.b}\t{pair.way}")
    print(f"{len({pair.a for pair in found})} of {len(a)} problems of {settings.a} stand in {settings.b}")


def _report_skipped(found: ProblemSet) -> None:
    for message in found.skipped:
        print(f"skipped: {message}", file=sys.stderr)
    if found.skipped:
        print(f"skipped {len(found.skipped)} bad rows of {found.name}", file=sys.stderr)


def _shown(row: ProblemRow, hidden: bool) -> dict[str, Any]:
    """Returns a row as JSON, without what is hidden unless that is asked for."""
    return problem_row_to_json(row) if hidden else public_row_to_json(row)


def _show_task(fields: dict[str, Any]) -> None:
    print(f"{fields['task_id']}  entry point: {fields['entry_point'] or 'none (stdin → stdout)'}")
    print(f"meta: {json.dumps(fields['meta'], ensure_ascii=False)}\n")
    print(fields["prompt"].rstrip() + "\n")
    for title, name in (("public tests", "public_tests"), ("hidden tests", "tests")):
        for test in fields.get(name, ()):
            print(f"{title[:-1]}: {json.dumps(test, ensure_ascii=False)}")
    if fields.get("reference"):
        print(f"\nreference:\n{fields['reference'].rstrip()}")


app = new_app("data", "List, show, check and split problem sets.")
app.command(command(OutputSettings, list_sets, name="list"))
app.command(command(ShowSettings, show, name="show"))
app.command(command(ValidateSettings, validate, name="validate"))
app.command(command(SplitSettings, split, name="split"))
app.command(command(OverlapSettings, overlap, name="overlap"))
