"""Labels: from the value of a prefix to its hard label, from the values of siblings to pairs. Pure functions.

The paper leaves the hard rule, the margin and the least number of visits open; each is a number here, and
each data set says which ones made it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.process_data.rows import Found, PairRow, PrefixRow
from o1coder_gym.types import State, Step

ANY_OF = 8
"""Ends of which one has to pass, for a hard label of 1 by ``"any"``.

"Any of K completions" is a rule for a fixed K. A search comes to the more ends the longer it runs, and at
last to a lucky one below every step; as a share the rule says the same for any budget, only surer.
"""

_MODELS = ("policy", "scorer", "generator")
_SETTINGS = ("agent", "format", "max_steps", "tests", "rollouts")
"""What decides, in the configuration of a source, what becomes of a step."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How a prefix gets its hard label (v of Eq. 3); its soft label is the value itself.

    Attributes:
        hard: ``"any"``: 1 iff some end at or below it passes all tests (Math-Shepherd's hard estimation,
            arXiv 2312.08935, section 3.3), and at least one in `ANY_OF` does; ``"value"``: 1 iff v ≥
            `threshold`, as is every prefix that a step scorer valued before the search came to an end below.
        threshold: In [0, 1].
        credit_kept: Whether a step that a passing program kept is not blamed where another program failed,
            see `credited`.
    """

    hard: str = "any"
    threshold: float = 0.5
    credit_kept: bool = False

    def __post_init__(self) -> None:
        """Raises `UsageError` for a rule that is none."""
        if self.hard not in ("any", "value") or not 0.0 <= self.threshold <= 1.0:
            raise UsageError(f"a hard label is 'any', or 'value' with a threshold in [0, 1]; got {self}")

    def label(self, value: float, passing: int, ends: int) -> int:
        """Returns the hard label, 0 or 1."""
        # No end below: nothing has failed there either, and v is all that is known.
        if self.hard == "value" or not ends:
            return int(value >= self.threshold)
        # passing / ends ≥ 1 / ANY_OF, in whole numbers.
        return int(passing > 0 and passing * ANY_OF >= ends)


@dataclass(frozen=True, slots=True)
class PairRule:
    """Which siblings make a pair.

    Attributes:
        margin: Least difference of their values, in (0, 1].
        visits: Least visits of each, ≥ 1.
    """

    margin: float = 0.2
    visits: int = 1

    def __post_init__(self) -> None:
        """Raises `UsageError` when a number is out of range."""
        if not 0.0 < self.margin <= 1.0 or self.visits < 1:
            raise UsageError(f"pairs need a margin in (0, 1] and at least 1 visit, got {self}")


def labelled(rows: Iterable[PrefixRow], rule: LabelRule) -> tuple[PrefixRow, ...]:
    """Returns the rows with soft label v and the hard label of `rule`; with `credited` ones if it says so."""
    # Soft: v = W / N. Hard: Math-Shepherd's "any", or a threshold on v.
    found = tuple(
        replace(row, soft=row.value, hard=rule.label(row.value, row.passing, row.ends)) for row in rows
    )
    return credited(found) if rule.credit_kept else found


def credited(rows: Sequence[PrefixRow]) -> tuple[PrefixRow, ...]:
    """Corrects labels by tests: a step that a later repair keeps is not blamed.

    Beside a wrong step, right ones fail with it: of three functions one is wrong, and a repair that replaces
    it alone keeps the others word for word. Such a step, with no passing end below it here, gets the highest
    labels that it has above a passing end of the same problem. So its labels tell of the step, and no longer
    of what can still become of the prefix.

    Args:
        rows: Labelled prefixes, each state once.
    """
    kept: dict[tuple[str, Step], PrefixRow] = {}
    for row in rows:
        if row.passing:
            # The step itself, wherever it stands: a repair keeps it word for word behind another prefix.
            key = row.state.problem_id, row.state.steps[-1]
            if key not in kept or (row.hard, row.soft) > (kept[key].hard, kept[key].soft):
                kept[key] = row
    return tuple(_credited(row, kept.get((row.state.problem_id, row.state.steps[-1]))) for row in rows)


def _credited(row: PrefixRow, kept: PrefixRow | None) -> PrefixRow:
    if row.passing or kept is None:
        return row
    return replace(row, soft=max(row.soft, kept.soft), hard=max(row.hard, kept.hard))


@dataclass(frozen=True, slots=True)
class _Sibling:
    """A step as it is compared: visits and value of what each origin of values found of it."""

    row: PrefixRow
    found: Mapping[str, tuple[int, float]]


def sibling_pairs(
    rows: Sequence[PrefixRow], rule: PairRule, origins: Mapping[str, str] | None = None
) -> tuple[PairRow, ...]:
    """Returns all pairs of siblings (Eq. 4) whose values differ by the margin, in the order of the rows.

    Siblings are compared by what the same policy found of both, where several contributed: v is what becomes
    of a step under a policy, so that of two steps which two policies came to the better policy's would win.

    Args:
        rows: Labelled prefixes, each state once.
        rule: See `PairRule`; values are soft labels, which are v unless a label was corrected.
        origins: By source, what its values were estimated with, see `origin_of`; a source that is not in it
            is an origin of its own.
    """
    # By parent: only steps taken in the same state compete with each other.
    families: dict[State, list[_Sibling]] = {}
    for row in rows:
        if row.visits >= rule.visits:
            parent = State(row.state.problem_id, row.state.steps[:-1])
            families.setdefault(parent, []).append(_Sibling(row, _by_origin(row, origins or {})))
    pairs = (
        _pair(parent, one, other, rule)
        for parent, siblings in families.items()
        for one, other in combinations(siblings, 2)
    )
    return tuple(pair for pair in pairs if pair is not None)


def origin_of(source: Mapping[str, Any]) -> str | None:
    """Returns what names the policy, the search and the tests that a source's values were estimated with.

    Two runs of one origin differ in problems, seeds and budgets alone. None where the source does not say.

    Args:
        source: As `experiments.sources.search_source` makes it: ``config`` and ``contents``.
    """
    config, contents = source.get("config"), source.get("contents") or {}
    if not isinstance(config, Mapping) or "policy" not in config:
        return None
    # Models by what they hold: a folder keeps its name when another model is saved there.
    named = {name: contents.get(config.get(name), config.get(name)) for name in _MODELS}
    return json.dumps(named | {name: config.get(name) for name in _SETTINGS}, sort_keys=True)


def _by_origin(row: PrefixRow, origins: Mapping[str, str]) -> dict[str, tuple[int, float]]:
    parts = row.found or (Found("+".join(row.sources), row.visits, row.soft, row.ends, row.passing),)
    found: dict[str, tuple[int, float]] = {}
    for part in parts:
        names = part.source.split("+")  # rows of earlier versions may name several at once
        origin = "+".join(dict.fromkeys(origins.get(name, name) for name in names))
        visits, value = found.get(origin, (0, 0.0))
        total = visits + part.visits
        found[origin] = total, (visits * value + part.visits * part.value) / total
    # All of one origin: the label itself, whatever corrected or weighed it.
    return dict.fromkeys(found, (row.visits, row.soft)) if len(found) == 1 else found


def _pair(parent: State, one: _Sibling, other: _Sibling, rule: PairRule) -> PairRow | None:
    """Returns the pair that two siblings make; None where they are not told apart."""
    shared = one.found.keys() & other.found.keys()
    # Each origin weighs for both what the less visited step has of it: with weights of their own the mix of
    # policies would decide (Simpson's paradox).
    weights = {name: min(one.found[name][0], other.found[name][0]) for name in shared}
    visits = sum(weights.values())
    if visits < rule.visits:
        return None
    valued = ((_value(sibling, weights), sibling) for sibling in (one, other))
    (value, win), (least, lose) = sorted(valued, key=lambda pair: -pair[0])
    # 1e-9: a margin of 0.2 includes 0.7 − 0.5, whatever the last binary digit says
    if value - least < rule.margin - 1e-9:
        return None
    return PairRow(
        state=parent,
        chosen=win.row.state.steps[-1],
        rejected=lose.row.state.steps[-1],
        chosen_value=value,
        rejected_value=least,
        visits=visits,
        split=win.row.split,
        sources=tuple(sorted({*win.row.sources, *lose.row.sources})),
    )


def _value(sibling: _Sibling, weights: Mapping[str, int]) -> float:
    """Returns the value of a step over shared origins."""
    if len(sibling.found) == 1:
        return next(iter(sibling.found.values()))[1]
    found = sum(weight * sibling.found[name][1] for name, weight in weights.items()) / sum(weights.values())
    # a label that tests corrected upwards stays so
    return max(found, sibling.row.soft) if sibling.row.soft > sibling.row.value else found
