"""Summaries of result rows by setting, and the numbers that tables are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from typing import Any

from o1coder_gym.metrics.estimates import Estimate, estimate_share
from o1coder_gym.reporting.results.rows import ResultRow, Setting, file_name, setting_key
from o1coder_gym.reporting.results.words import budget_words
from o1coder_gym.runs.budget import UNITS
from o1coder_gym.types import Outcome, Usage

_costs = attrgetter(*(field.name for field in fields(Usage)))


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """All rows of one setting.

    Attributes:
        agent: Its agent with parameters, and whatever else tells it from the other settings.
        setting: The setting that the rows share.
        solved: Rows with every hidden test passed.
        total: Rows that count, see `ResultRow.counted`.
        share: Share of the problems solved, seeds averaged within a problem.
        committed: Rows with code.
        usage: Sums over the rows; `seconds` is the sum of the per-problem latencies.
        tests_passed: Mean share of hidden tests passed, in [0, 1], of rows that have some; NaN if none has.
        timed: Whether the seconds are what the agent took.
        untested: Rows without hidden tests; they stay in `total`, and none of them is solved.
        missing: Rows that do not count; nothing else here is made of them.
        capped: Rows in which the agent ended by itself with some of its budget left.
        failed: Rows that ended in an error; they stay in `total`, and none of them is solved.
    """

    agent: str
    setting: Setting
    solved: int
    total: int
    share: Estimate
    committed: int
    usage: Usage
    tests_passed: float
    timed: bool
    untested: int = 0
    missing: int = 0
    capped: int = 0
    failed: int = 0

    @property
    def rate(self) -> float:
        """Share of the problems solved, in [0, 1]."""
        return self.share.value

    @property
    def interval(self) -> tuple[float, float]:
        """The share's 95 % interval over problems."""
        return self.share.low, self.share.high

    @property
    def spent(self) -> float | None:
        """Share of the budget that was spent, in [0, 1], of the limit that came closest; None without one."""
        limits, costs = asdict(self.setting.budget), asdict(self.usage)
        counted = [(costs[unit], limits[unit]) for unit in UNITS if limits[unit]]
        return max((cost / (max(self.total, 1) * limit) for cost, limit in counted), default=None)

    def mean(self, cost: float) -> float:
        """Returns the mean over the rows of a cost that is their sum."""
        return cost / max(self.total, 1)


def summarize(rows: Iterable[ResultRow]) -> list[AgentSummary]:
    """Groups rows by setting, in order of first appearance."""
    groups = group(rows)
    names = labels(list(groups))
    return [_summary(names[setting], found) for setting, found in groups.items()]


def group(rows: Iterable[ResultRow]) -> dict[Setting, list[ResultRow]]:
    """Groups rows by setting, in order of first appearance."""
    found: dict[tuple[Any, ...], list[ResultRow]] = {}
    for row in rows:
        found.setdefault(setting_key(row), []).append(row)
    return {rows[0].setting: rows for rows in found.values()}


def labels(settings: Sequence[Setting]) -> dict[Setting, str]:
    """Names each setting by its agent and by all that differs between settings."""
    vary = [
        name
        for name in ("problems", "policy", "format", "budget")
        if len({getattr(setting, name) for setting in settings}) > 1
    ]
    return {setting: " ".join([setting.agent, *_details(setting, vary)]) for setting in settings}


def _details(setting: Setting, names: Sequence[str]) -> list[str]:
    return [
        f"@ {budget_words(setting.budget)}" if name == "budget" else getattr(setting, name) for name in names
    ]


def _summary(name: str, group: Sequence[ResultRow]) -> AgentSummary:
    rows = [row for row in group if row.counted]
    return AgentSummary(
        agent=name,
        setting=group[0].setting,
        solved=sum(row.solved for row in rows),
        total=len(rows),
        share=solved_share(rows),
        committed=sum(row.code is not None for row in rows),
        usage=Usage(*map(sum, zip(*(_costs(row.usage) for row in rows), strict=True))),
        tests_passed=share_of_tests(rows),
        timed=all(row.timed for row in rows),
        untested=sum(row.untested for row in rows),
        missing=len(group) - len(rows),
        capped=sum(row.capped for row in rows),
        failed=sum(bool(row.error) for row in rows),
    )


def seeds_by_problem(rows: Iterable[ResultRow]) -> dict[tuple[str, str], list[bool]]:
    """Returns by problem whether each seed solved it; rows that do not count are left out.

    Tables, curves, areas, pass@k, comparisons and figures are all made of this.
    """
    found: dict[tuple[str, str], list[bool]] = {}
    for row in rows:
        if row.counted:
            found.setdefault((file_name(row.problems), row.task_id), []).append(row.outcome is Outcome.PASS)
    return found


def solved_share(rows: Iterable[ResultRow]) -> Estimate:
    """Estimates the share of problems solved, seeds averaged within a problem."""
    return estimate_share([sum(solved) / len(solved) for solved in seeds_by_problem(rows).values()])


def share_of_tests(rows: Iterable[ResultRow]) -> float:
    """Returns the mean share of hidden tests passed, in [0, 1], of the rows that have some; else NaN."""
    shares = [row.passed / row.total for row in rows if row.counted and not row.untested]
    return sum(shares) / len(shares) if shares else math.nan
