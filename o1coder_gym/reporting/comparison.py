"""Paired comparison of settings: the same problems, item by item, with intervals and an exact test.

A difference is shown where the interval leaves out 0 and the permutation test says so too,
corrected for the number of comparisons. A run says what it could have shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics.estimates import ROUGH, Estimate, estimate_difference
from o1coder_gym.metrics.significance import (
    LEVEL,
    POWER,
    detectable_difference,
    fewest_differing,
    holm,
    permutation_test,
)
from o1coder_gym.reporting.results import ORACLE, ResultRow, Setting, group, labels
from o1coder_gym.reporting.results.words import counted
from o1coder_gym.specs import name_of

NOTHING_SHOWN = "no difference shown"
TOO_FEW = f"{NOTHING_SHOWN}, too few to tell"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired comparison of two settings.

    Attributes:
        a: Name of the first setting.
        b: Name of the second.
        solved_a: Share of problems solved, seeds averaged, in [0, 1].
        solved_b: The same of the second.
        difference: a − b, paired by problem.
        tokens_a: Mean generated tokens per problem.
        tokens_b: The same of the second.
        differing: Problems on which they differ.
        p: Two-sided p-value of the exact permutation test.
        p_corrected: `p` with Holm's correction for all comparisons made together.
        detectable: Difference that this number of problems detects with 80 % power, in [0, 1].
        family: Comparisons made together, this one included, which the correction is for.
    """

    a: str
    b: str
    solved_a: float
    solved_b: float
    difference: Estimate
    tokens_a: float
    tokens_b: float
    differing: int
    p: float
    p_corrected: float
    detectable: float
    family: int = 1

    @property
    def shown(self) -> bool:
        """Whether a difference is shown."""
        return self.difference.shown and self.p_corrected < LEVEL

    @property
    def conclusion(self) -> str:
        """Which of the two solves more, that no difference is shown, or that too few problems differ."""
        if self.shown:
            return f"{self.a if self.difference.mean > 0 else self.b} solves more"
        return TOO_FEW if self.differing < fewest_differing() else NOTHING_SHOWN

    @property
    def evidence(self) -> str:
        """One line with the evidence: problems that differ, p-value, and the detectable difference."""
        return (
            f"{self.differing} of {self.difference.count} problems differ; "
            f"{self._chance(3)}; "
            f"this run could show differences of ≥ {100 * self.detectable:.0f} points"
            f"{'; the interval is rough' if self.difference.rough else ''}"
        )

    def sentence(self) -> str:
        """Returns the result as one sentence, with the difference and its 95 % interval."""
        gap = self.difference
        if not self.shown:
            ends = f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]{ROUGH * gap.rough}"
            told = f"{self.conclusion}, {100 * gap.mean:+.1f} points {ends}, {self._chance(2)}"
            return f"{self.a} against {self.b}: {told}."
        more, less = (self.a, self.b) if gap.mean > 0 else (self.b, self.a)
        return f"{more} solves more than {less}: {100 * abs(gap.mean):.1f} points {_of(gap)}."

    def _chance(self, digits: int) -> str:
        """Says p, and what is left of it: the interval is that of one comparison, the verdict that of all."""
        p = f"exact p = {self.p:.{digits}g}"
        if self.family == 1:
            return p
        return f"{p}, {self.p_corrected:.{digits}g} as one of {self.family} comparisons (Holm)"


def power_words(compared: Iterable[Comparison]) -> str:
    """Says which differences so many problems show; "" where too few differ to tell how much results vary."""
    told = [one for one in compared if one.differing >= fewest_differing()]
    if not told:
        return ""
    counts = {one.difference.count for one in told}
    problems = counted(counts.pop(), "problem") if len(counts) == 1 else "so many problems"
    sizes = sorted({round(100 * one.detectable) for one in told})
    points = f"{sizes[0]} points" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} points (by pair)"
    return f"{problems} show a difference of {points} with {100 * POWER:.0f} % power"


def compare_rows(a: Sequence[ResultRow], b: Sequence[ResultRow], names: tuple[str, str]) -> Comparison:
    """Compares two groups of rows on the problems that both have; seeds are averaged within a problem.

    Interval and test take problems as they are, for rows of one problem with several seeds are not
    independent. Tokens are those of the same rows.

    Raises:
        UsageError: When they have no problem in common.
    """
    return _compared(_by_problem(a), _by_problem(b), names)


@dataclass(frozen=True, slots=True)
class Changes:
    """The problems on which two groups of rows differ, by task id.

    Attributes:
        gained: Those that the first solves more often than the second.
        lost: Those that it solves less often.
    """

    gained: tuple[str, ...]
    lost: tuple[str, ...]


def changes(a: Sequence[ResultRow], b: Sequence[ResultRow]) -> Changes:
    """Returns which problems of those that both have one solves more often than the other."""
    first, second = _by_problem(a), _by_problem(b)
    gaps = {
        problem: first[problem].share - second[problem].share for problem in sorted(first.keys() & second)
    }
    return Changes(
        tuple(task for (_, task), gap in gaps.items() if gap > 0),
        tuple(task for (_, task), gap in gaps.items() if gap < 0),
    )


@dataclass(slots=True)
class _Runs:
    """The runs of one problem. Mutable: they are counted one by one."""

    count: int = 0
    solved: int = 0
    tokens: int = 0

    @property
    def share(self) -> float:
        """Share of the runs that solved it."""
        return self.solved / self.count


def _by_problem(rows: Sequence[ResultRow]) -> dict[tuple[str, str], _Runs]:
    found: dict[tuple[str, str], _Runs] = defaultdict(_Runs)
    for row in rows:
        if row.counted:
            runs = found[row.problem]
            runs.count += 1
            runs.solved += row.solved
            runs.tokens += row.usage.tokens
    return found


def _compared(
    a: Mapping[tuple[str, str], _Runs], b: Mapping[tuple[str, str], _Runs], names: tuple[str, str]
) -> Comparison:
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise UsageError(f"{names[0]} and {names[1]} have no problem in common")
    first, second = ([found[problem] for problem in shared] for found in (a, b))
    left, right = (np.asarray([one.share for one in runs]) for runs in (first, second))
    gaps = (left - right).tolist()
    p = permutation_test(gaps)
    return Comparison(
        *names,
        solved_a=float(left.mean()),
        solved_b=float(right.mean()),
        difference=estimate_difference(gaps),
        tokens_a=_mean_tokens(first),
        tokens_b=_mean_tokens(second),
        differing=sum(gap != 0 for gap in gaps),
        p=p,
        p_corrected=p,
        detectable=detectable_difference(gaps),
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns comparisons made together with their p-values corrected by Holm's method."""
    values = holm([one.p for one in comparisons])
    return [
        replace(one, p_corrected=value, family=len(values))
        for one, value in zip(comparisons, values, strict=True)
    ]


def corrected_within(
    comparisons: Sequence[Comparison], families: Sequence[Hashable | None]
) -> list[Comparison]:
    """Corrects the tests within each family, as `corrected` does.

    Args:
        comparisons: Of all families.
        families: The family of each; None is none, and leaves the test as it is.
    """
    found = list(comparisons)
    for family in {*families} - {None}:
        members = [place for place, one in enumerate(families) if one == family]
        for place, one in zip(members, corrected([found[place] for place in members]), strict=True):
            found[place] = one
    return found


def compare_with(rows: Sequence[ResultRow], baseline: str) -> list[Comparison]:
    """Compares every setting with the baseline's of the same problems, policy, format and budget.

    The tests are corrected for the number of settings of each budget: budgets of one run are no new evidence.

    Args:
        rows: Of one run or several.
        baseline: Agent spec.

    Raises:
        UsageError: When no row is the baseline's.
    """
    return list(comparisons(rows, baseline).values())


def comparisons(
    rows: Sequence[ResultRow], baseline: str, format: str | None = None
) -> dict[Setting, Comparison]:
    """Returns what `compare_with` does, by setting; none of a setting that has no problem in common.

    Args:
        rows: Of one run or several.
        baseline: Agent spec.
        format: Compares formats instead: every setting with that of this format (`partner`).

    Raises:
        UsageError: When no row is the baseline's, or of the format.
    """
    groups = group(rows)
    names = labels(list(groups))
    _check_known(groups, baseline, format)
    runs = {setting: _by_problem(found) for setting, found in groups.items()}
    found: dict[Setting, Comparison] = {}
    for setting in groups:
        other = partner(setting, groups, baseline, format)
        # Nothing in common, as where the judge could decide no row of one: no reason to lose the others.
        if other != setting and other in groups and runs[setting].keys() & runs[other].keys():
            found[setting] = _compared(runs[setting], runs[other], (names[setting], names[other]))
    # Nobody asks whether the oracle is better, for it looks at the hidden tests: no part of the family.
    families = [None if name_of(setting.agent) == ORACLE else setting.budget for setting in found]
    return dict(zip(found, corrected_within([*found.values()], families), strict=True))


def partner(setting: Setting, groups: Container[Setting], baseline: str, format: str | None) -> Setting:
    """Returns the setting that one is compared with; it may not be there, or be the same.

    It is the same problems, policy, format and budget with the baseline's agent; or, where a format is given,
    the same agent in that format, and where that has no such agent the baseline's.
    """
    if format is None:
        return replace(setting, agent=baseline)
    same = replace(setting, format=format)
    return same if same in groups else replace(same, agent=baseline)


def _check_known(groups: Iterable[Setting], baseline: str, format: str | None) -> None:
    agents = {setting.agent: setting for setting in groups}
    formats = {setting.format: setting for setting in groups}
    if format is None and baseline not in agents:
        raise UsageError(f"no rows of agent {baseline!r}; there are: {', '.join(agents)}")
    if format is not None and format not in formats:
        raise UsageError(f"no rows of format {format!r}; there are: {', '.join(formats)}")


def _of(gap: Estimate) -> str:
    """Returns the interval of a difference's size."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"[{100 * low:.1f}, {100 * high:.1f}]{ROUGH * gap.rough}"


def _mean_tokens(runs: Sequence[_Runs]) -> float:
    return sum(one.tokens for one in runs) / sum(one.count for one in runs)
