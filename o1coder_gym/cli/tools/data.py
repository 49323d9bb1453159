"""``o1coder data``: which problem sets there are, look into them, check their references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.options import JsonOption, SkipBadOption, SplitOption
from o1coder_gym.problems.loading import ProblemSet, load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import ProblemRow, problem_row_to_json, public_row_to_json
from o1coder_gym.problems.sources import KNOWN_SETS, find_files
from o1coder_gym.problems.validation import keep_valid, report_lines, validate_rows
from o1coder_gym.runs.progress import tracked, warn
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import Limits

app = typer.Typer(help="Look into problem sets and check them.", no_args_is_help=True)

SetArgument: TypeAlias = Annotated[str, typer.Argument(metavar="SET", help="Name or path of a problem set.")]


@app.command("list")
def list_sets(as_json: JsonOption = False) -> None:
    """List the known problem sets, where they are and how many problems they have."""
    rows = []
    for known in KNOWN_SETS.values():
        if find_files(known):
            found = load_rows(known.name, skip_bad=True)
            rows.append((known.name, known.title, len(found), found.source))
        else:
            hub = f"Hugging Face: {known.hub[0]}" if known.hub else f"not in O1CODER_DATA ({known.files})"
            rows.append((known.name, known.title, None, hub))
    if as_json:
        for row in rows:
            typer.echo(json.dumps(dict(zip(("name", "title", "problems", "where"), row, strict=True))))
        return
    table = Table("name", "what", "problems", box=None)
    for name, title, count, _ in rows:
        table.add_row(name, title, "–" if count is None else str(count))
    Console().print(table)
    for name, _, _, where in rows:
        typer.echo(f"{name}: {where}")


@app.command()
def show(
    name: SetArgument,
    task: Annotated[str | None, typer.Argument(help="Task id; without it all tasks are listed.")] = None,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Hidden tests and reference too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the problems of a set, or one of them; with --json --hidden as rows of a problem file."""
    found = load_rows(name, split=split, skip_bad=skip_bad)
    _report_skipped(found)
    if as_json:
        for row in [found.row(task)] if task else found:
            typer.echo(json.dumps(_shown(row, hidden), ensure_ascii=False))
        if not hidden:
            typer.echo("hidden tests and references are left out: no problem file; see --hidden", err=True)
    elif task:
        _show_task(_shown(found.row(task), hidden))
    else:
        for row in found:
            problem = row.problem
            tests = f"{len(problem.public_tests)} public, {len(row.tests)} hidden tests"
            typer.echo(f"{problem.task_id}\t{problem.entry_point or 'stdin → stdout'}\t{tests}")


@app.command()
def validate(
    name: SetArgument,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    cpu_s: Annotated[
        float,
        typer.Option("--cpu-s", min=0.1, help="CPU seconds that a reference may take for each test."),
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Writes the rows that hold there, such as validated.jsonl.", dir_okay=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run every reference against its public and hidden tests; name those that fail, exit 1 if any does.

    Warns of problems without public or hidden tests.
    """
    found = load_rows(name, split=split, skip_bad=skip_bad)
    judged = validate_rows(found, default_judge(), Limits(cpu_s=cpu_s, wall_s=5 * cpu_s))
    if out is not None:
        judged = keep_valid(judged, out)
    results = list(tracked(judged, len(found), f"validating {name}"))
    _report_skipped(found)
    if as_json:
        for result in results:
            typer.echo(json.dumps(result.to_json()))
    else:
        for line in report_lines(found.name, results):
            typer.echo(line)
    warn(without_visible_tests(found), without_hidden_tests(found))
    if any(result.failed for result in results):
        raise typer.Exit(1)


def _report_skipped(found: ProblemSet) -> None:
    for message in found.skipped:
        typer.echo(f"skipped: {message}", err=True)
    if found.skipped:
        typer.echo(f"skipped {len(found.skipped)} bad rows of {found.name}", err=True)


def _shown(row: ProblemRow, hidden: bool) -> dict[str, Any]:
    """Returns a row as JSON, without what is hidden unless that is asked for."""
    return problem_row_to_json(row) if hidden else public_row_to_json(row)


def _show_task(fields: dict[str, Any]) -> None:
    typer.echo(f"{fields['task_id']}  entry point: {fields['entry_point'] or 'none (stdin → stdout)'}")
    typer.echo(f"meta: {json.dumps(fields['meta'], ensure_ascii=False)}\n")
    typer.echo(fields["prompt"].rstrip() + "\n")
    for title, name in (("public tests", "public_tests"), ("hidden tests", "tests")):
        for test in fields.get(name, ()):
            typer.echo(f"{title[:-1]}: {json.dumps(test, ensure_ascii=False)}")
    if fields.get("reference"):
        typer.echo(f"\nreference:\n{fields['reference'].rstrip()}")
