"""The demo with the tiny model: one search as a live tree, agents at equal budgets, self-play's curve.

The problems are the test split of the micro-problems, which the model's training held out by text and by
behaviour. Which of them is shown is decided here and now, not beforehand: the first that greedy decoding
fails and the search solves.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from o1coder_gym.agents.mcts import mcts
from o1coder_gym.agents.search.tree import Tree
from o1coder_gym.cli.search.bench import run_shown
from o1coder_gym.cli.search.live_search import LiveSearch
from o1coder_gym.experiments.solving import Solved, Solver, solve
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.models.lookup import BUNDLED_MODELS
from o1coder_gym.problems.hidden_tests import HiddenVerdict
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.colours import GOOD
from o1coder_gym.reporting.comparison import compare_rows, corrected, group
from o1coder_gym.reporting.pages.tree_page import PAGES, page_names, test_lines
from o1coder_gym.reporting.results import ORACLE, ResultRow, summarize
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.runs.budget import Budget
from o1coder_gym.specs import name_of
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import Outcome, Problem, Sampling, State

PROBLEMS, SPLIT, SELF_PLAY = "micro", "test", "selfplay.json"
POLICY = "hf:tiny?dtype=float32"
"""In float32 draws are exact: the same problem, tree and table for the same seed on the same machine."""

LEARNED = "hf:tiny-selfplay?dtype=float32"
"""The same model after two turns of self-play."""

TOKENS, TREE_TOKENS = 256, 512
"""Budget per problem: of each agent, three or four programs; of the search that is drawn."""

MAX_STEPS, SIMULATIONS = 5, 1000
"""Steps of an episode; simulations of a search, more than any budget here pays for."""

SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=96)
_DRAWN = "temperature=1.0,top_p=1.0,top_k=0,max_tokens=96"
AGENTS = (
    "greedy:max_tokens=96",
    f"best_of_n_random:n=100,{_DRAWN}",
    f"best_of_n:n=100,{_DRAWN}",
    f"mcts:simulations={SIMULATIONS},width=4,{_DRAWN}",
    f"puct:simulations={SIMULATIONS},width=8,{_DRAWN}",
)
"""Greedy has one program to spend on; the others draw until the budget ends, none has another limit."""

_NAMES = {"best_of_n_random": "blind choice", "best_of_n": "best of n", "mcts": "MCTS", "puct": "PUCT"}
_COMPARED = (
    ("best_of_n", "greedy"),
    ("best_of_n", "best_of_n_random"),
    ("mcts", "best_of_n"),
    ("puct", "best_of_n"),
)
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
        rows = load_rows(PROBLEMS, split=SPLIT)[:limit]
        answers = _greedy(rows[:_LOOKED_AT], POLICY, seed)
    shown = _one_problem(console, rows, answers, seed)
    console.rule("2 · All of them: five agents, the same budget")
    results = run_shown(_plan(rows, seed), rows, out / "agents", resume=resume, quiet=True)
    Console().print(_table(results))
    sentences = agent_sentences(results)
    for sentence in sentences:
        console.print(f"· {sentence}", highlight=False, markup=False)
    console.rule("3 · Learning from its own searches")
    recorded = json.loads((BUNDLED_MODELS["tiny"].folder / SELF_PLAY).read_text())
    console.print(_curve(recorded))
    learned = _greedy(rows, LEARNED, seed)
    before, after = _solved_by("greedy", results), sum(answer.passes for answer in learned)
    told = f"Measured now: greedy decoding solves {before} before self-play, {after} after, of {len(rows)}."
    console.print(told, highlight=False)
    console.rule("What next")
    console.print(_next(out, shown["task_id"]), highlight=False, soft_wrap=True)
    gained = {"recorded": recorded["test"], "greedy": {"before": before, "after": after}}
    return {"shown": shown, "sentences": sentences, "self_play": gained, "out": str(out)}


def _greedy(rows: Sequence[ProblemRow], policy: str, seed: int) -> list[Solved]:
    """Returns what greedy decoding answers to each problem."""
    return solve(rows, Solver(AGENTS[0], policy, max_steps=MAX_STEPS, seed=seed))


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
    tree = Tree(State(row.problem.task_id))
    solver = Solver(
        "mcts",
        POLICY,
        search=partial(mcts, simulations=SIMULATIONS, sampling=SAMPLING, tree=tree),
        budget=Budget(tokens=TREE_TOKENS),
        max_steps=MAX_STEPS,
        seed=seed,
    )
    with LiveSearch(console, row.problem, tree, TREE_TOKENS) as live:
        (answer,) = solve([row], solver, on_query=live)
    if answer.result.error is not None:
        raise answer.result.error
    return answer


def _plan(rows: Sequence[ProblemRow], seed: int) -> Plan:
    return Plan(
        problems=PROBLEMS,
        split=SPLIT,
        task_ids=tuple(row.problem.task_id for row in rows),
        agents=AGENTS,
        policy=POLICY,
        format=PSEUDOCODE.name,
        budget=Budget(tokens=TOKENS),
        seeds=(seed,),
        max_steps=MAX_STEPS,
        share_samples=True,  # the blind choice draws what best of n draws: the same programs, drawn once
    )


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
    named = [replace(row, agent=_NAMES.get(name_of(row.agent), name_of(row.agent))) for row in rows]
    kept = [row for row in named if name_of(row.agent) != ORACLE]
    title = f"{len({row.task_id for row in rows})} held-out problems, {TOKENS} tokens a problem"
    return terminal_table(summarize(kept), title)


def _solved_by(name: str, rows: Sequence[ResultRow]) -> int:
    return sum(row.solved for row in rows if name_of(row.agent) == name)


def agent_sentences(rows: Sequence[ResultRow]) -> list[str]:
    """Says what the comparison shows, whatever came out."""
    groups = {name_of(setting.agent): found for setting, found in group(rows).items()}
    compared = [
        compare_rows(groups[a], groups[b], (_NAMES.get(a, a), _NAMES.get(b, b)))
        for a, b in _COMPARED
        if a in groups and b in groups
    ]
    return [one.sentence() for one in corrected(compared)]


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
