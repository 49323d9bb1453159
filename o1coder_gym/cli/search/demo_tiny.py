"""The demo with the tiny model: one search as a live tree, agents at equal budgets, self-play's curve.

Which problem is shown is decided here and now, not beforehand: the first that greedy decoding fails and the
search solves.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from o1coder_gym.cli.search.bench import run_shown
from o1coder_gym.cli.search.live_search import LiveSearch
from o1coder_gym.experiments.micro.demo import (
    LEARNED,
    NAMES,
    POLICY,
    PROBLEMS,
    TOKENS,
    TREE_TOKENS,
    TreeSearch,
    agent_sentences,
    demo_plan,
    demo_rows,
    greedy_answers,
    recorded_self_play,
    solved_by,
)
from o1coder_gym.experiments.solving import Solved
from o1coder_gym.problems.hidden_tests import HiddenVerdict
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.colours import GOOD
from o1coder_gym.reporting.pages.tree_page import PAGES, page_names, test_lines
from o1coder_gym.reporting.results import ORACLE, ResultRow, summarize
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.specs import name_of
from o1coder_gym.types import Outcome, Problem

_STAGES = {"sft": "after SFT", "end": "after SFT and RL"}
_LOOKED_AT, _TRIED = 16, 4
"""Problems that greedy decoding is tried on for the first picture; searches drawn at most."""


def tiny_demo(
    console: Console, out: Path, *, seed: int, limit: int | None = None, resume: bool = False
) -> dict[str, Any]:
    """Runs the demo; pictures and tables go to the terminal, everything else to a folder.

    Args:
        console: Of standard error.
        out: The run folder; the comparison is in ``out/agents``.
        seed: Of all draws.
        limit: Only the first problems; None takes all 128.
        resume: Whether to go on with a comparison that was interrupted.

    Returns:
        A JSON-able account of what was shown.
    """
    console.print(
        "A tiny language model (1.5 million weights) reasons in steps about small problems, tests "
        "judge its programs, and a search decides which thought to follow. Three pictures, in a minute and "
        "a half.\n"
    )
    with console.status("loading the tiny model"):
        rows = demo_rows(limit)
        answers = greedy_answers(rows[:_LOOKED_AT], POLICY, seed)
    shown = _one_problem(console, rows, answers, seed)
    console.rule("2 · All of them: five agents, the same budget")
    results = run_shown(demo_plan(rows, seed), rows, out / "agents", resume=resume, quiet=True)
    Console().print(_table(results))
    sentences = agent_sentences(results)
    for sentence in sentences:
        console.print(f"· {sentence}", highlight=False, markup=False)
    console.rule("3 · Learning from its own searches")
    recorded = recorded_self_play()
    console.print(_curve(recorded))
    learned = greedy_answers(rows, LEARNED, seed)
    before, after = solved_by("greedy", results), sum(answer.passes for answer in learned)
    told = f"Measured now: greedy decoding solves {before} before self-play, {after} after, of {len(rows)}."
    console.print(told, highlight=False)
    console.rule("What next")
    console.print(_next(out, shown["task_id"]), highlight=False, soft_wrap=True)
    gained = {"recorded": recorded["test"], "greedy": {"before": before, "after": after}}
    return {"shown": shown, "sentences": sentences, "self_play": gained, "out": str(out)}


def _one_problem(
    console: Console, rows: Sequence[ProblemRow], answers: Sequence[Solved], seed: int
) -> dict[str, Any]:
    """Draws the search on the first problem that greedy decoding fails and the search solves.

    Args:
        console: Of standard error.
        rows: All problems.
        answers: Those of greedy decoding to the first of them.
        seed: Of all draws.
    """
    console.rule("1 · One problem that greedy decoding fails")
    failed = [(row, answer) for row, answer in zip(rows, answers, strict=False) if not answer.passes]
    told = f"Greedy decoding fails {len(failed)} of the first {len(answers)} held-out problems."
    console.print(told, highlight=False)
    found: dict[str, Any] = {"task_id": rows[0].problem.task_id, "solved": None}
    for row, greedy in failed[:_TRIED]:
        console.print(_question(row.problem))
        words = verdict_words(greedy.hidden), f". The search has {TREE_TOKENS} tokens:\n"
        console.print(Text.assemble("Greedy decoding: ", *words))
        answer = _search(console, row, seed)
        console.print(_answer(answer))
        tokens = answer.result.usage.tokens
        found = {"task_id": row.problem.task_id, "solved": answer.passes, "tokens": tokens}
        if answer.passes:
            break
        console.print("The search fails it too; here is the next one that greedy decoding fails.\n")
    return found


def _search(console: Console, row: ProblemRow, seed: int) -> Solved:
    """Runs MCTS on one problem while its tree is drawn."""
    search = TreeSearch(row, seed)
    with LiveSearch(console, search.look, TREE_TOKENS) as live:
        return search.run(live)


def _question(problem: Problem) -> Panel:
    """Shows what the model and the search see: the question and its public tests."""
    docstring = problem.prompt.strip().splitlines()[-1].strip(' "')
    shown = [Text(docstring, "bold"), *(Text(f"example: {line}", "dim") for line in test_lines(problem))]
    return Panel(Group(*shown), title=escape(problem.task_id), title_align="left", expand=False)


def verdict_words(verdict: HiddenVerdict | None) -> Text:
    """Says what the hidden tests said, in the colour of it; None is an answer without a program."""
    if verdict is None:
        return Text("no program within the budget", "yellow")
    told = f"{verdict.outcome.replace('_', ' ')}, {verdict.passed} of {verdict.total} hidden tests"
    return Text(told, "green" if verdict.outcome is Outcome.PASS else "red")


def _answer(answer: Solved) -> RenderableType:
    """Shows the program that the search chose, and what the hidden tests say of it."""
    found = answer.result.result
    sure = found is not None and found.value == 1.0
    how = "MCTS chose by the examples alone: " if sure else "No program passes the examples; a guess: "
    line, code = Text.assemble(how, verdict_words(answer.hidden), ".\n"), answer.code
    return line if code is None else Group(Syntax(code, "python", background_color="default"), line)


def _table(rows: Sequence[ResultRow]) -> RenderableType:
    """Returns the result table, the agents by their names alone: all of them are told above."""
    named = [replace(row, agent=NAMES.get(name_of(row.agent), row.agent)) for row in rows]
    kept = [row for row in named if name_of(row.agent) != ORACLE]
    title = f"{len({row.task_id for row in rows})} held-out problems, {TOKENS} tokens a problem"
    return terminal_table(summarize(kept), title)


def _curve(recorded: Mapping[str, Any]) -> RenderableType:
    """Draws the share of held-out samples that pass, stage by stage, and says what the test split gained."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in recorded["validation"]:
        bar = ProgressBar(total=1.0, completed=row["pass_rate"], width=30, complete_style=GOOD)
        stage = (
            "before" if row["stage"] == "start" else f"turn {row['iteration'] + 1}, {_STAGES[row['stage']]}"
        )
        grid.add_row(Text(stage), bar, Text(f"{row['pass_rate']:.0%} of samples pass", "dim"))
    test = recorded["test"]
    gain = test["pass_rate"]
    low, high = gain["interval"]
    told = (
        f"Bars: the validation split. Test split, {test['problems']} problems: {gain['before']:.1%} of "
        f"samples pass before, {gain['after']:.1%} after, {100 * gain['gain']:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}]. Recorded {recorded['date']} by {recorded['command']}, "
        f"seed {recorded['seed']}."
    )
    return Group(grid, Text(told))


def _next(out: Path, task_id: str) -> str:
    agents, page = out / "agents", page_names([task_id])[task_id]
    program, here = "o1coder", Path(sys.prefix, "bin", "o1coder")
    if not shutil.which(program) and here.is_relative_to(Path.cwd()):
        program = str(here.relative_to(Path.cwd()))  # make demo leaves it in .venv/bin
    return (
        f"  the report          {agents / 'report.html'}\n"
        f"  the search trees    {agents / PAGES / page}\n\n"
        f"  {program} solve {task_id} --problems {PROBLEMS} --policy hf:tiny\n"
        f"  {program} demo --model qwen2.5-coder-0.5b  # fetches 400 MB\n"
        f"  {program} list agents  # what o1coder bench can compare"
    )
