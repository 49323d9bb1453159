"""Draws what the README shows of a demo: the picture of a search tree, and the table of agents.

    o1coder demo --out runs/demo
    python benchmarks/evidence/readme_pictures.py runs/demo

Nothing of it is typed by hand: `docs/images/demo.json` has the figures, the README's table is made of them,
and a test compares the two.
"""

from __future__ import annotations

import io
import json
import re
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.main import main_of
from o1coder_gym.experiments.micro.demo import agent_sentences
from o1coder_gym.reporting.results import ORACLE, ResultRow, read_results, summarize
from o1coder_gym.reporting.run_trees import RunTrees
from o1coder_gym.reporting.tree_text import terminal_tree
from o1coder_gym.settings import Checked, Flag

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "images"
FIGURES = PICTURES / "demo.json"
BEGIN, END = "<!-- demo-table -->", "<!-- /demo-table -->"
COLUMNS = "| agent | solved | 95 % interval | share of the budget spent |"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings(Checked):
    """Pictures.

    Attributes:
        run: Folder of o1coder demo.
    """

    run: Annotated[Path, Flag("RUN")]


def main(settings: PictureSettings) -> None:
    """Writes docs/images/tree.svg, docs/images/demo.json, and the table of the README."""
    run = settings.run
    rows = read_results(run / "agents")
    PICTURES.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(figures(rows), indent=2) + "\n")
    draw_tree(run / "agents", rows, PICTURES / "tree.svg")
    readme = ROOT / "README.md"
    found = readme.read_text()
    section = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", flags=re.S)
    readme.write_text(section.sub(f"{BEGIN}\n{table(json.loads(FIGURES.read_text()))}\n{END}", found))


def figures(rows: list[ResultRow]) -> dict[str, Any]:
    """Returns what the table says, as JSON."""
    summaries = [one for one in summarize(rows) if not one.agent.startswith(ORACLE)]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": "o1coder demo",
        "problems": len({row.task_id for row in rows}),
        "tokens": rows[0].budget.tokens,
        "sentences": agent_sentences(rows),
        "agents": [
            {
                "agent": one.agent.partition(":")[0],
                "solved": one.solved,
                "total": one.total,
                "interval": one.interval,
                "spent": one.spent,
            }
            for one in summaries
        ],
    }


def table(found: dict[str, Any]) -> str:
    """Returns the table as Markdown."""
    lines = [COLUMNS, "|" + " --- |" * 4]
    for one in found["agents"]:
        low, high = one["interval"]
        rate = f"{one['solved']} of {one['total']} | {low:.0%} to {high:.0%}"
        lines.append(f"| `{one['agent']}` | {rate} | {one['spent']:.0%} |")
    told = (
        f"`{found['command']}`, {found['date']}: the tiny model on {found['problems']} problems that its "
        f"training held out, {found['tokens']} tokens a problem. Greedy stops after one program; "
        "`best_of_n_random` chooses at random. "
        + " ".join(one[0].upper() + one[1:] for one in found["sentences"])
    )
    return "\n".join([*lines, "", textwrap.fill(told, 100, break_on_hyphens=False)])


def draw_tree(run: Path, rows: list[ResultRow], path: Path) -> None:
    """Draws the search of the first problem that greedy decoding fails and MCTS solves."""
    solved = {(row.agent.partition(":")[0], row.task_id): row.solved for row in rows}
    task_id = next(
        row.task_id for row in rows if solved["mcts", row.task_id] and not solved["greedy", row.task_id]
    )
    trees = RunTrees(run)
    (agent,) = [name for name in trees.agents(task_id) if name.startswith("mcts")]
    (tree,) = trees.of(task_id, [agent])
    console = Console(width=84, record=True, file=io.StringIO(), force_terminal=True)
    question = tree.problem.prompt.strip().splitlines()[-1].strip(' "')
    console.print(f"[bold]{question}[/]\n", highlight=False)
    console.print(terminal_tree(tree, most=22, title=f"{task_id} · mcts · {tree.usage.tokens} tokens"))
    console.save_svg(str(path), title="o1coder demo")


if __name__ == "__main__":
    sys.exit(main_of(command(PictureSettings, main, name="readme_pictures")))
