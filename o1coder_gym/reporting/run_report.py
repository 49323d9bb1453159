"""The content of a run's report: rows by setting, differences, curves, a grid of problems, reliability."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.comparison import Comparison, comparisons
from o1coder_gym.reporting.pages.tree_page import write_pages
from o1coder_gym.reporting.results import (
    ORACLE,
    PROFILE,
    AgentSummary,
    ResultRow,
    Setting,
    budgets_words,
    labels,
    summarize,
)
from o1coder_gym.reporting.run_trees import RunTrees
from o1coder_gym.reporting.search_reliability import ReliabilityBin, scored_steps, search_reliability
from o1coder_gym.runs.budget import UNLIMITED
from o1coder_gym.runs.journal import read_config, read_rows
from o1coder_gym.specs import name_of

BASELINES = ("best_of_n_random", "greedy")
"""Agents that the others are compared with, the first that was run: choosing blindly, or not searching."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Share of problems solved at a budget.

    Attributes:
        tokens: Generated tokens that the budget allowed; those spent where it allowed any number.
        rate: Share solved, in [0, 1].
        interval: Its 95 % interval.
        spent: Mean of the tokens spent; None where the budget allowed any number.
    """

    tokens: float
    rate: float
    interval: tuple[float, float]
    spent: float | None = None

    @property
    def thrifty(self) -> bool:
        """Whether more than a tenth of the budget was left unspent."""
        return self.spent is not None and self.spent < 0.9 * self.tokens

    @property
    def cost(self) -> str:
        """Formats the cost, e.g. "96 of 1,024 tokens"."""
        return (
            f"{self.tokens:,.0f} tokens"
            if self.spent is None
            else f"{self.spent:,.0f} of {self.tokens:,.0f} tokens"
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """Solved against tokens, of one agent; one point where one budget was run.

    Attributes:
        name: The agent, and whatever tells it from the others.
        points: By rising tokens, at least one.
        capped: Whether the agent ended by itself, at a cap of its own, before a budget did.
    """

    name: str
    points: tuple[CurvePoint, ...]
    capped: bool = False


@dataclass(frozen=True, slots=True)
class RunReport:
    """The summary of a run.

    Attributes:
        title: A short name.
        facts: What was run, as (word, value).
        rows: All result rows.
        summaries: Per setting, in order.
        differences: Of each setting's solved share to `baseline` at the same budget, None for itself.
        baseline: The agent that the others are compared with, None if there is no other.
        curves: Per agent; none of an agent whose rows the judge could not decide.
        swept: Whether the curves have several budgets.
        reliability: Bins of the step scorer's scores; empty where no scorer was asked.
        pages: Address of the tree page of each problem, relative to the run folder.
        profile: Where the time of each agent went, in seconds by part, and its number of requests; empty
            where it was not measured.
        command: That began the run, as one would write it; empty where the run does not say.
        kind: What it reports on, a word above the title.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[ResultRow, ...]
    summaries: tuple[AgentSummary, ...]
    differences: tuple[Comparison | None, ...]
    baseline: str | None
    curves: tuple[Curve, ...]
    swept: bool
    reliability: tuple[ReliabilityBin, ...]
    pages: Mapping[str, str]
    profile: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    command: str = ""
    kind: str = "benchmark"


def read_run(folder: Path, rows: Sequence[ResultRow]) -> RunReport:
    """Summarises a run folder of `o1coder bench`, and writes the pages of its trees.

    Args:
        folder: The run, or several in one folder.
        rows: Its rows, at least one.

    Raises:
        JournalError: When a file is damaged.
    """
    facts = _facts(folder, rows)
    try:
        trees = RunTrees(folder)
    except UsageError:  # a run of an older version
        return make_report(rows, facts)
    pages = {task: page.relative_to(folder).as_posix() for task, page in write_pages(trees).items()}
    found = make_report(rows, facts, search_reliability(scored_steps(trees.all())), pages)
    return replace(found, profile=read_profile(folder), command=read_command(folder))


def read_command(folder: Path) -> str:
    """Returns the command that began a run, as typed; empty if the run has not recorded it."""
    for path in sorted(folder.rglob("sessions.jsonl")):
        for row in read_rows(path):
            if words := row.get("command"):
                return command_line(words)
    return ""


def command_line(words: Sequence[str]) -> str:
    """Returns a command as typed, from the words after ``o1coder``."""
    return shlex.join(["o1coder", *map(str, words)])


def read_profile(folder: Path) -> dict[str, dict[str, float]]:
    """Returns the seconds of each agent by part, and its requests, summed over seeds, shards and sessions."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(folder.rglob(f"{PROFILE}.jsonl")):
        for row in read_rows(path):
            parts = found.setdefault(row["agent"], {})
            for part, seconds in row["seconds"].items():
                parts[part] = parts.get(part, 0) + seconds  # a count stays an integer
    return found


def make_report(
    rows: Sequence[ResultRow],
    facts: Sequence[tuple[str, str]] = (),
    bins: Sequence[ReliabilityBin] = (),
    pages: Mapping[str, str] | None = None,
) -> RunReport:
    """Summarises rows.

    Args:
        rows: At least one.
        facts: What was run.
        bins: Reliability of the step scorer, if one was asked.
        pages: Tree page by problem.
    """
    summaries = summarize(rows)
    agents = list(dict.fromkeys(row.agent for row in rows))
    controls = [agent for name in BASELINES for agent in agents if name_of(agent) == name]
    baseline = (controls or agents)[0] if len(agents) > 1 else None
    curves, swept = _curves(summaries)
    contestants = [agent for agent in agents if name_of(agent) != ORACLE]
    sets = ", ".join(dict.fromkeys(Path(row.problems).stem or "problems" for row in rows))
    return RunReport(
        title=f"{sets}: {len(contestants)} agent{'s' if len(contestants) > 1 else ''}",
        facts=tuple(facts),
        rows=tuple(rows),
        summaries=tuple(summaries),
        differences=tuple(_differences(rows, summaries, baseline)),
        baseline=baseline,
        curves=curves,
        swept=swept,
        reliability=tuple(bins),
        pages=dict(pages or {}),
    )


def _differences(
    rows: Sequence[ResultRow], summaries: Sequence[AgentSummary], baseline: str | None
) -> list[Comparison | None]:
    """Compares each setting with the baseline of the same problems, policy, format and budget."""
    if baseline is None:
        return [None] * len(summaries)
    compared = comparisons(rows, baseline)
    return [compared.get(summary.setting) for summary in summaries]


def _curves(summaries: Sequence[AgentSummary]) -> tuple[tuple[Curve, ...], bool]:
    """Returns a curve per agent, and whether several token budgets were run."""
    swept = len({summary.setting.budget.tokens for summary in summaries} - {None}) > 1
    names = agent_names(summaries)
    shown: dict[str, dict[int | None, AgentSummary]] = {}
    for summary in sorted(summaries, key=lambda one: one.setting.budget.size):
        limit = summary.setting.budget.tokens
        # No point where the judge decided nothing; and without a limit of tokens it is on another axis:
        # answers within FLOPs that were read off the same run.
        if summary.total and not (swept and limit is None):
            # Of budgets with as many tokens, fewer executions say, the largest is shown, which comes last.
            shown.setdefault(names[summary.setting], {})[limit if swept else None] = summary
    curves = (
        Curve(name, tuple(map(_point, found.values())), any(one.capped for one in found.values()))
        for name in dict.fromkeys(names.values())
        if (found := shown.get(name))
    )
    return tuple(curves), swept


def _point(summary: AgentSummary) -> CurvePoint:
    spent, limit = summary.mean(summary.usage.tokens), summary.setting.budget.tokens
    if limit is None:
        return CurvePoint(spent, summary.rate, summary.interval)
    return CurvePoint(limit, summary.rate, summary.interval, spent)


def agent_names(summaries: Sequence[AgentSummary]) -> dict[Setting, str]:
    """Names each setting by its agent and by all that differs between settings, the budget aside."""
    settings = [summary.setting for summary in summaries]
    whole = labels([replace(setting, budget=UNLIMITED) for setting in settings])
    return {setting: whole[replace(setting, budget=UNLIMITED)] for setting in settings}


def row_facts(rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    """Returns what was run as far as the rows say it, as (word, value)."""
    problems = len({(row.problems, row.task_id) for row in rows})
    sets = dict.fromkeys(row.problems for row in rows)
    seeds = sorted({row.seed for row in rows})
    facts = [
        ("problems", f"{problems} of {_names(Path(name).name for name in sets)}"),
        ("policy", _names(row.policy for row in rows)),
        ("format", _names(row.format for row in rows)),
        ("budget per problem", budgets_words({row.budget for row in rows})),
        ("seeds", ", ".join(map(str, seeds))),
    ]
    return [(word, value) for word, value in facts if value]


def _facts(folder: Path, rows: Sequence[ResultRow]) -> list[tuple[str, str]]:
    facts = row_facts(rows)
    if found := read_config(folder):
        facts += [("configuration", found["hash"][:12])]
        facts += [
            (name, version) for name, version in found.get("versions", {}).items() if isinstance(version, str)
        ]
    return [(word, value) for word, value in facts if value]


def _names(values: Any) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))
