"""Paired comparison of settings: the same problems, item by item, with intervals and an exact test.

A difference is shown where the interval leaves out 0 and the permutation test says so too,
corrected for the number of comparisons. A run says what it could have shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
        p_least: `p_corrected` if all problems that differ did so in one direction; no smaller one could come
            of so many.
        gaps: a − b at each problem, each in [−1, 1].
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
    p_least: float
    gaps: tuple[float, ...] = field(repr=False)
    family: int = 1

    @property
    def shown(self) -> bool:
        """Whether a difference is shown."""
        return self.difference.shown and self.p_corrected < LEVEL

    @property
    def too_few(self) -> bool:
        """Whether so few problems differ that no difference could have been shown beside these others."""
        return self.p_least >= LEVEL

    @property
    def detectable(self) -> float:
        """Difference that so many problems detect with 80 % power as one of the family, in [0, 1]."""
        return detectable_difference(self.gaps, tests=self.family)

    @property
    def joint(self) -> Estimate:
        """The difference with its part of intervals that hold for the family together, 95 % (Bonferroni)."""
        return estimate_difference(self.gaps, confidence=1 - LEVEL / self.family)

    @property
    def conclusion(self) -> str:
        """Which of the two solves more, that no difference is shown, or that too few problems differ."""
        if self.shown:
            return f"{self.a if self.difference.mean > 0 else self.b} solves more"
        return TOO_FEW if self.too_few else NOTHING_SHOWN

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
    """Says which differences so many problems show, corrected as the tests are.

    It is "" where too few differ to tell how much results vary.
    """
    told = [one for one in compared if one.differing >= fewest_differing()]
    # Beside a family, one that stands alone is the oracle's, of which nobody asks whether it is better.
    told = [one for one in told if one.family > 1] or told
    if not told:
        return ""
    counts = {one.difference.count for one in told}
    problems = counted(counts.pop(), "problem") if len(counts) == 1 else "so many problems"
    sizes = sorted({round(100 * one.detectable) for one in told})
    points = f"{sizes[0]} points" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} points (by pair)"
    families = sorted({one.family for one in told})
    many = f"{families[0]}" if len(families) == 1 else f"{families[0]} to {families[-1]}"
    as_one = "" if families == [1] else f" as one of {many} comparisons"
    return f"{problems} show a difference of {points}{as_one} with {100 * POWER:.0f} % power"


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
    """The problems that one of two groups of rows solves and the other does not, by task id.

    Attributes:
        gained: Those that only the first solves.
        lost: Those that only the second solves.
    """

    gained: tuple[str, ...]
    lost: tuple[str, ...]


def changes(a: Sequence[ResultRow], b: Sequence[ResultRow]) -> Changes:
    """Returns which problems of those that both have only one of the two solves.

    Of several seeds: the other solves it with none, and the one does without having more seeds for it; of its
    seeds the first count, as many as the other has.
    """
    first, second = _tries(a), _tries(b)
    shared = sorted(first.keys() & second.keys())
    return Changes(
        tuple(problem[1] for problem in shared if _solves_alone(first[problem], second[problem])),
        tuple(problem[1] for problem in shared if _solves_alone(second[problem], first[problem])),
    )


def _tries(rows: Iterable[ResultRow]) -> dict[tuple[str, str], list[bool]]:
    """Returns by problem whether each seed solved it, in the order of the seeds."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.seed):
        if row.counted:
            found[row.problem].append(row.solved)
    return found


def _solves_alone(one: Sequence[bool], other: Sequence[bool]) -> bool:
    return any(one[: len(other)]) and not any(other)


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
    p, differing = permutation_test(gaps), sum(gap != 0 for gap in gaps)
    return Comparison(
        *names,
        solved_a=float(left.mean()),
        solved_b=float(right.mean()),
        difference=estimate_difference(gaps),
        tokens_a=_mean_tokens(first),
        tokens_b=_mean_tokens(second),
        differing=differing,
        p=p,
        p_corrected=p,
        p_least=_least(differing),
        gaps=tuple(gaps),
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Returns comparisons made together, p-values corrected by Holm's method and power for their number."""
    values = [one.p for one in comparisons]
    found = zip(comparisons, holm(values), strict=True)
    return [
        replace(one, p_corrected=value, p_least=_least_beside(values, place, one), family=len(values))
        for place, (one, value) in enumerate(found)
    ]


def _least(differing: int) -> float:
    """Returns p where so many problems differ in one direction: of all 2^n signs, two are as extreme."""
    return min(1.0, 2.0 ** (1 - differing))


def _least_beside(values: Sequence[float], place: int, one: Comparison) -> float:
    return holm([*values[:place], _least(one.differing), *values[place + 1 :]])[place]


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
    rows: Sequence[ResultRow], baseline: str, format: str | None = None, policy: str | None = None
) -> dict[Setting, Comparison]:
    """Returns what `compare_with` does, by setting; none of a setting that has no problem in common.

    Args:
        rows: Of one run or several.
        baseline: Agent spec.
        format: Compares formats instead: every setting with that of this format (`partner`).
        policy: Compares policies instead, or with the formats: every setting with that of this policy.

    Raises:
        UsageError: When no row is the baseline's, or of the format or the policy; or as by `partner`.
    """
    groups = group(rows)
    names = labels(list(groups))
    _check_known(groups, baseline, format, policy)
    runs = {setting: _by_problem(found) for setting, found in groups.items()}
    found: dict[Setting, Comparison] = {}
    for setting in groups:
        other = partner(setting, groups, baseline, format, policy)
        # Nothing in common, as where the judge could decide no row of one: no reason to lose the others.
        if other != setting and other in groups and runs[setting].keys() & runs[other].keys():
            found[setting] = _compared(runs[setting], runs[other], (names[setting], names[other]))
    # Nobody asks whether the oracle is better, for it looks at the hidden tests: no part of the family.
    families = [None if name_of(setting.agent) == ORACLE else setting.budget for setting in found]
    return dict(zip(found, corrected_within([*found.values()], families), strict=True))


def partner(
    setting: Setting,
    groups: Collection[Setting],
    baseline: str,
    format: str | None = None,
    policy: str | None = None,
) -> Setting:
    """Returns the setting that one is compared with; it may not be there, or be the same.

    It is the same problems, policy, format and budget with the baseline's agent; or, where a format or a
    policy is given, the same agent in that format and of that policy, and where these have no such agent the
    baseline's. A policy that was not run in the format, as one trained for another, is compared with the one
    that was.

    Raises:
        UsageError: When several policies were run in the format, and none of them is the setting's or given.
    """
    if format is None and policy is None:
        return replace(setting, agent=baseline)
    format = format or setting.format
    same = replace(setting, format=format, policy=policy or _policy_in(format, setting, groups))
    return same if same in groups else replace(same, agent=baseline)


def _policy_in(format: str, setting: Setting, groups: Iterable[Setting]) -> str:
    """Returns the policy whose rows in a format a setting is compared with."""
    found = dict.fromkeys(
        one.policy for one in groups if (one.format, one.problems) == (format, setting.problems)
    )
    if setting.policy in found or not found:
        return setting.policy
    if len(found) > 1:
        raise UsageError(
            f"{setting.policy} was not run in {format} on {setting.problems}, and several policies were; "
            f"choose the one to compare with (--baseline-policy): {', '.join(found)}"
        )
    return next(iter(found))


def _check_known(groups: Iterable[Setting], baseline: str, format: str | None, policy: str | None) -> None:
    # Where formats or policies are compared, agents are compared with themselves first.
    asked = {"agent": baseline if format is None and policy is None else None}
    for kind, name in (asked | {"format": format, "policy": policy}).items():
        known = dict.fromkeys(getattr(setting, kind) for setting in groups)
        if name is not None and name not in known:
            raise UsageError(f"no rows of {kind} {name!r}; there are: {', '.join(known)}")


def _of(gap: Estimate) -> str:
    """Returns the interval of a difference's size."""
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"[{100 * low:.1f}, {100 * high:.1f}]{ROUGH * gap.rough}"


def _mean_tokens(runs: Sequence[_Runs]) -> float:
    return sum(one.tokens for one in runs) / sum(one.count for one in runs)
