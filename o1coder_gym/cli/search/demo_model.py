"""The demo with a language model: direct answers and steps side by side, then a search of both kinds.

Its problems are chosen, and said to be: a handful cannot show how good a model is, only how it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from o1coder_gym.cli.search.bench import run_shown
from o1coder_gym.cli.search.demo_tiny import verdict_words
from o1coder_gym.cli.search.live_text import SideBySide
from o1coder_gym.experiments.solving import Solver, solve
from o1coder_gym.experiments.tools import Plan
from o1coder_gym.policies import load_policy
from o1coder_gym.policies.engine import Generate
from o1coder_gym.policies.loading import prepare
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.reporting.results import ResultRow, summarize
from o1coder_gym.reporting.tables.terminal_table import terminal_table
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import Usage
from o1coder_gym.types.queries import Advance, Answer, Query

CHOSEN = ("starter/004-longest-winning-streak", "starter/020-split-bill", "starter/043-tally-marks")
"""Chosen by hand: a model of half a billion weights solves them now and then, not always."""

FORMATS = {"vanilla": "direct answer", "pseudocode": "in steps"}
TOKENS = 3072
"""Budget per problem and agent: eight programs in steps, about 20 direct ones."""

MAX_STEPS = 6
_AGENTS = {"vanilla": ("best_of_n:n=64",), "pseudocode": ("best_of_n:n=64", "mcts:simulations=64")}


def model_demo(console: Console, policy: str, out: Path, *, seed: int, resume: bool) -> dict[str, Any]:
    """Runs the demo with any policy; text is streamed where its engine tells of tokens.

    Args:
        console: Of standard error.
        policy: Policy spec.
        out: The run folder; one folder a format below it.
        seed: Of all draws.
        resume: Whether to go on with a comparison that was interrupted.

    Returns:
        A JSON-able account of what was shown.
    """
    chosen = load_rows("starter")
    rows = [chosen.row(task_id) for task_id in CHOSEN]
    with console.status(f"loading {policy}"):
        prepare(load_policy(policy))
    console.rule(escape(f"1 · Three chosen problems, {policy}"))
    console.print(
        "Greedy decoding, once directly and once in reasoning steps. The problems are chosen to show "
        "how it works; how good it is takes a benchmark: docs/benchmark.md.\n",
        highlight=False,
    )
    shown = [_side_by_side(console, row, policy, seed) for row in rows]
    console.rule("2 · The same problems with a search")
    console.print(
        f"{TOKENS:,} tokens a problem for each agent, eight programs or more. The "
        "examples choose the answer, hidden tests judge it.",
        highlight=False,
    )
    results = [
        result
        for format, agents in _AGENTS.items()
        for result in run_shown(
            _plan(policy, format, agents, seed), rows, out / format, resume=resume, quiet=True
        )
    ]
    Console().print(terminal_table(summarize(results), f"{len(rows)} chosen problems · {policy}"))
    return {"shown": shown, "solved": _solved(results), "out": str(out)}


def _side_by_side(console: Console, row: ProblemRow, policy: str, seed: int) -> dict[str, Any]:
    """Shows greedy decoding in both formats; returns the outcome on the hidden tests of each."""
    console.print(Panel(escape(row.problem.prompt.strip()), title=escape(row.problem.task_id)))
    outcomes: dict[str, Any] = {"task_id": row.problem.task_id}
    with SideBySide(console, tuple(FORMATS.values())) as columns:
        for place, format in enumerate(FORMATS):
            solver = Solver("greedy", policy, format=format, max_steps=MAX_STEPS, seed=seed)
            column = _Column(columns, place)
            (answer,) = solve([row], solver, on_query=column, on_text=column.grow)
            if answer.result.error is not None:
                raise answer.result.error
            told = verdict_words(answer.hidden)
            columns.conclude(place, told.append(f" · {answer.result.usage.tokens} tokens", "dim"))
            outcomes[format] = None if answer.hidden is None else answer.hidden.outcome.value
    return outcomes


class _Column:
    """A column of the screen: the steps taken so far, and the one that is being written."""

    def __init__(self, columns: SideBySide, place: int) -> None:
        self._columns = columns
        self._place = place
        self._taken = ""

    def __call__(self, task: object, query: Query, answer: Answer, usage: Usage) -> None:
        """Takes a step in; an observer for the driver."""
        if isinstance(query, Advance):
            self._taken += f"{query.action.strip()}\n\n"
            self._columns.write(self._place, self._taken)

    def grow(self, request: Generate, sample: int, action: str) -> None:
        """Shows a step as far as it is written."""
        self._columns.write(self._place, self._taken + action)


def _plan(policy: str, format: str, agents: Sequence[str], seed: int) -> Plan:
    return Plan(
        problems="starter",
        task_ids=CHOSEN,
        agents=tuple(agents),
        policy=policy,
        format=format,
        budget=Budget(tokens=TOKENS),
        seeds=(seed,),
        max_steps=MAX_STEPS,
    )


def _solved(rows: Sequence[ResultRow]) -> dict[str, int]:
    """Counts the problems solved, by format and agent."""
    found: dict[str, int] = {}
    for row in rows:
        name = f"{row.format} {row.agent}"
        found[name] = found.get(name, 0) + row.solved
    return found
