"""`o1coder tree`: the search trees of a run, as a page to open, in the terminal, or for other tools."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.reporting.pages.tree_page import tree_page, write_pages
from o1coder_gym.reporting.run_trees import RunTrees
from o1coder_gym.reporting.tree_text import LINES, dot, mermaid, terminal_tree


class TreeForm(enum.StrEnum):
    """What a tree is shown as."""

    HTML = "html"
    TERMINAL = "terminal"
    MERMAID = "mermaid"
    DOT = "dot"


def tree(
    run: Annotated[Path, typer.Argument(help="Run folder of bench or solve.")],
    problem: Annotated[str | None, typer.Argument(help="A problem of the run; default: list them.")] = None,
    agent: Annotated[
        list[str] | None, typer.Option("--agent", help="An agent of the run; may be repeated; default: all.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Trees of this seed only.")] = None,
    form: Annotated[TreeForm, typer.Option("--as", help="What to make.")] = TreeForm.HTML,
    out: Annotated[Path | None, typer.Option("--out", help="File to write.")] = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Most nodes shown in the terminal.")] = LINES,
) -> None:
    """Look at search trees: steps, values, visits, tests, prompts; two agents side by side."""
    trees = RunTrees(run)
    first, *others = trees.task_ids
    if problem is None and others:
        Console().print(_contents(trees))
        return
    chosen = problem if problem is not None else first
    found = trees.of(chosen, agent or [], seed)
    if form is TreeForm.HTML and out is None and not agent and seed is None:
        typer.echo(write_pages(trees, [chosen])[chosen])
    elif form is TreeForm.HTML:
        _write(out, tree_page(found, trees.verdicts()))
    elif form is TreeForm.TERMINAL:
        _print(found, out, nodes)
    else:
        write = mermaid if form is TreeForm.MERMAID else dot
        _write(out, "\n".join(write(one) for one in found))


def _contents(trees: RunTrees) -> Table:
    table = Table(title="problems with search trees", padding=(0, 1, 0, 0))
    table.add_column("problem")
    table.add_column("agents")
    for task_id in trees.task_ids:
        table.add_row(task_id, ", ".join(trees.agents(task_id)))
    return table


def _print(trees: list[SearchTree], out: Path | None, nodes: int) -> None:
    if out is None:
        for one in trees:
            Console().print(terminal_tree(one, most=nodes))
        return
    with out.open("w", encoding="utf-8") as file:
        for one in trees:
            Console(file=file, width=160).print(terminal_tree(one, most=nodes))
    typer.echo(out)


def _write(out: Path | None, text: str) -> None:
    """Writes to a file and says where, or to standard output."""
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(out)
