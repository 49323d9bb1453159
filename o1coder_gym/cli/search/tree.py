"""`o1coder tree`: the search trees of a run, as a page to open, in the terminal, or for other tools."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.process_data.search_tree import SearchTree
from o1coder_gym.reporting.pages.tree_page import tree_page, write_pages
from o1coder_gym.reporting.run_trees import RunTrees
from o1coder_gym.reporting.tables.terminal_table import name_lines
from o1coder_gym.reporting.tree_text import LINES, dot, mermaid, terminal_tree
from o1coder_gym.settings import AtLeastOne, Checked, Flag
from o1coder_gym.settings.groups import AsJson


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSettings(Checked):
    """Trees.

    Attributes:
        run: Run folder of bench or solve.
        problem: A problem of the run, by its task id or a beginning of it; default: list them.
        agent: An agent of the run; may be repeated; default: all.
        seed: Trees of this seed only.
        form: What to make.
        out: File to write.
        nodes: Maximum number of nodes to show in the terminal.
    """

    run: Annotated[Path, Flag("RUN")]
    problem: Annotated[str | None, Flag("PROBLEM")] = None
    agent: tuple[str, ...] = ()
    seed: int | None = None
    form: Annotated[Literal["html", "terminal", "mermaid", "dot"], Flag("--as")] = "html"
    out: Path | None = None
    nodes: AtLeastOne = LINES
    as_json: AsJson = False


def tree(settings: TreeSettings) -> None:
    """Look at search trees: steps, values, visits, tests; two agents side by side."""
    trees, form, out, agent = RunTrees(settings.run), settings.form, settings.out, settings.agent
    first, *others = trees.task_ids
    if settings.problem is None and others:
        _list(trees, settings.as_json)
        return
    chosen = trees.task_id(settings.problem) if settings.problem is not None else first
    found = trees.of(chosen, agent, settings.seed)
    if settings.as_json:
        for one in found:
            print(to_json(one.to_row()))
    elif form == "html" and out is None and not agent and settings.seed is None:
        print(write_pages(trees, [chosen])[chosen])
    elif form == "html":
        _write(out, tree_page(found, trees.verdicts()))
    elif form == "terminal":
        _print(found, out, settings.nodes)
    else:
        write = mermaid if form == "mermaid" else dot
        _write(out, "\n".join(write(one) for one in found))


def _list(trees: RunTrees, as_json: bool) -> None:
    if not as_json:
        console = Console()
        console.print(_contents(trees, console.width))
        return
    for task_id in trees.task_ids:
        print(to_json({"problem": task_id, "agents": trees.agents(task_id)}))


def _contents(trees: RunTrees, width: int) -> RenderableType:
    """Says which problem has trees of which agents; once where all have the same."""
    if len({tuple(trees.agents(task_id)) for task_id in trees.task_ids}) == 1:
        agents = name_lines(f"each by {', '.join(trees.agents(trees.task_ids[0]))}", width)
        title = f"{len(trees.task_ids)} problems with search trees"
        return Group(title, Text("\n".join(agents)), Columns(map(Text, trees.task_ids), padding=(0, 2)))
    table = Table(title="problems with search trees", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("problem", no_wrap=True)
    table.add_column("agents", no_wrap=True)
    room = width - 2 - max(map(len, trees.task_ids))
    for task_id in trees.task_ids:
        table.add_row(task_id, "\n".join(name_lines(", ".join(trees.agents(task_id)), room)))
    return table


def _print(trees: list[SearchTree], out: Path | None, nodes: int) -> None:
    if out is None:
        for one in trees:
            Console().print(terminal_tree(one, most=nodes))
        return
    with out.open("w", encoding="utf-8") as file:
        for one in trees:
            Console(file=file, width=160).print(terminal_tree(one, most=nodes))
    print(out)


def _write(out: Path | None, text: str) -> None:
    """Writes to a file and says where, or to standard output."""
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, encoding="utf-8")
    print(out)


app = command(TreeSettings, tree, name="tree")
