"""Paired comparison of settings: the same problems, item by item, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import Estimate, paired_difference
from o1coder_gym.reporting.results import ResultRow, Setting, labels

NOTHING_SHOWN = "no difference shown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One setting beside another.

    Attributes:
        a: Name of the first setting.
        b: Name of the second.
        solved_a: Share of problems solved, seeds averaged, in [0, 1].
        solved_b: The same of the second.
        difference: a − b, paired by problem.
        tokens_a: Mean generated tokens per problem.
        tokens_b: The same of the second.
    """

    a: str
    b: str
    solved_a: float
    solved_b: float
    difference: Estimate
    tokens_a: float
    tokens_b: float

    @property
    def conclusion(self) -> str:
        """Which of the two solves more, or that no difference is shown."""
        if not self.difference.shown:
            return NOTHING_SHOWN
        return f"{self.a if self.difference.mean > 0 else self.b} solves more"

    def sentence(self) -> str:
        """Says what the comparison shows, whatever came out, with the difference and its 95 % interval."""
        gap = self.difference
        if not gap.shown:
            ends = f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
            return f"{self.a} against {self.b}: {NOTHING_SHOWN}, {100 * gap.mean:+.1f} points {ends}."
        more, less = (self.a, self.b) if gap.mean > 0 else (self.b, self.a)
        return f"{more} solves more than {less}: {100 * abs(gap.mean):.1f} points {_of(gap)}."


def solved_by_problem(rows: Iterable[ResultRow]) -> dict[str, float]:
    """Returns the share of seeds with which each problem was solved; rows without an answer are left out."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        if not row.error:
            found.setdefault(f"{Path(row.problems).name} {row.task_id}", []).append(row.solved)
    return {problem: sum(solved) / len(solved) for problem, solved in found.items()}


def compare_rows(a: Sequence[ResultRow], b: Sequence[ResultRow], names: tuple[str, str]) -> Comparison:
    """Compares two groups of rows on the problems that both have; seeds are averaged within a problem.

    The bootstrap resamples problems: rows of one problem with several seeds are not independent.

    Raises:
        UsageError: When they have no problem in common.
    """
    first, second = solved_by_problem(a), solved_by_problem(b)
    shared = first.keys() & second.keys()
    if not shared:
        raise UsageError(f"{names[0]} and {names[1]} have no problem in common")
    left = {problem: first[problem] for problem in shared}
    right = {problem: second[problem] for problem in shared}
    return Comparison(
        *names,
        solved_a=sum(left.values()) / len(left),
        solved_b=sum(right.values()) / len(right),
        difference=paired_difference(left, right),
        tokens_a=_mean_tokens(a),
        tokens_b=_mean_tokens(b),
    )


def compare_with(rows: Sequence[ResultRow], baseline: str) -> list[Comparison]:
    """Compares every setting with the baseline's of the same problems, policy, format and budget.

    Args:
        rows: Of one run or several.
        baseline: Agent spec.

    Raises:
        UsageError: When no row is the baseline's.
    """
    groups = group(rows)
    names = labels(list(groups))
    if not any(setting.agent == baseline for setting in groups):
        known = ", ".join(dict.fromkeys(setting.agent for setting in groups))
        raise UsageError(f"no rows of agent {baseline!r}; there are: {known}")
    found: list[Comparison] = []
    for setting, group_rows in groups.items():
        other = Setting(setting.problems, setting.policy, setting.format, baseline, setting.budget)
        if setting.agent != baseline and other in groups:
            found.append(compare_rows(group_rows, groups[other], (names[setting], names[other])))
    return found


def group(rows: Iterable[ResultRow]) -> dict[Setting, list[ResultRow]]:
    """Groups rows by setting, in order of first appearance."""
    groups: dict[Setting, list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(row.setting, []).append(row)
    return groups


def _of(gap: Estimate) -> str:
    """Returns the interval of a difference's size."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _mean_tokens(rows: Sequence[ResultRow]) -> float:
    return sum(row.usage.tokens for row in rows) / max(len(rows), 1)
