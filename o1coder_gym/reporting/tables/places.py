"""The sides of a comparison: rows of runs, by folder, agent and budget, ``FOLDER#AGENT@1024``."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from o1coder_gym.errors import UsageError
from o1coder_gym.reporting.comparison import (
    Changes,
    Comparison,
    changes,
    compare_rows,
    comparisons,
    corrected_within,
    partner,
)
from o1coder_gym.reporting.results import (
    ORACLE,
    RESULTS,
    ResultRow,
    Setting,
    budget_words,
    budgets_words,
    group,
    labels,
    read_results,
)
from o1coder_gym.reporting.results.rows import file_name
from o1coder_gym.reporting.tables.failures import count_failures
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import FILES, begun_with
from o1coder_gym.specs import name_of

_PLACE = re.compile(r"(?P<folder>[^#]*?)(?:#(?P<agent>.*?))?(?:@(?P<limit>[\d_,]+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Rows of a run.

    Attributes:
        name: As asked for.
        rows: At least one.
        files: Hashes of the files of its problem sets, by file name, as far as its runs have noted them.
    """

    name: str
    rows: Sequence[ResultRow]
    files: Mapping[str, str] = field(default_factory=dict)

    def named(self, agent: str) -> str:
        """Returns the name of one of its agents beside those of other places."""
        return self.name if len(self.agents) == 1 else f"{self.name}#{agent}"

    @property
    def agents(self) -> list[str]:
        """The agents of the rows, each once."""
        return list(dict.fromkeys(row.agent for row in self.rows))

    @property
    def groups(self) -> dict[Setting, list[ResultRow]]:
        """The rows by setting."""
        return group(self.rows)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two groups of rows, compared.

    Attributes:
        setting: Of the first; its agent has the name of its place where places are compared (`Place.named`).
        comparison: Of the first with the second.
        changes: The problems that only one of them solves.
        name: Of the first, as short as the budget beside it allows.
        against: Of the second, likewise.
        budget: The budget of both, in words; empty where the names say it.
        failures: Faults of the first's answers to the problems that it lost, counted
            (`failures.RULES`).
    """

    setting: Setting
    comparison: Comparison
    changes: Changes
    name: str
    against: str
    budget: str = ""
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def of_oracle(self) -> bool:
        """Whether it compares oracles, which look at the hidden tests: no part of the family of tests."""
        return name_of(self.setting.agent.rpartition("#")[2]) == ORACLE


def read_place(name: str) -> Place:
    """Reads the rows of ``FOLDER``, ``FOLDER#AGENT``, ``FOLDER@1024`` or ``FOLDER#AGENT@1024``.

    An agent may be given without its arguments where that says which; a budget by its number.

    Raises:
        UsageError: When there are no such rows; says which there are.
    """
    folder, agent, limit = _parts(name)
    rows = read_results(Path(folder))
    if agent:
        rows = _of_agent(folder, rows, agent)
    if limit:
        rows = _of_budget(folder, rows, int(re.sub(r"\D", "", limit)))
    return Place(name, rows, _files(Path(folder), {file_name(row.problems) for row in rows}))


def _files(folder: Path, sets: Container[str]) -> dict[str, str]:
    """Returns the hashes of the problem files that the runs in a folder began with."""
    configs = (begun_with(path.parent) for path in sorted(folder.rglob(f"{RESULTS}.jsonl")))
    noted = ((file_name(name), digest) for one in configs for name, digest in one.get(FILES, {}).items())
    return {name: digest for name, digest in noted if name in sets}


def other_problems(places: Sequence[Place]) -> list[str]:
    """Says which places were run on another file of the same name than the first, as after an edit."""
    first, *others = places
    return [
        f"{name} was another file in {other.name} than in {first.name}: tests of a problem may differ"
        for other in others
        for name in sorted(first.files.keys() & other.files.keys())
        if first.files[name] != other.files[name]
    ]


def _parts(name: str) -> tuple[str, str | None, str | None]:
    """Splits a place's name into folder, agent and limit."""
    found = None if Path(name).is_dir() else _PLACE.fullmatch(name)
    return (found["folder"], found["agent"], found["limit"]) if found else (name, None, None)


def _of_agent(folder: str, rows: Sequence[ResultRow], agent: str) -> list[ResultRow]:
    agents = list(dict.fromkeys(row.agent for row in rows))
    meant = [one for one in agents if one == agent] or [one for one in agents if name_of(one) == agent]
    if len(meant) != 1:
        why = "several agents" if meant else "no rows of an agent"
        raise UsageError(f"{folder} has {why} {agent!r}; there are: {', '.join(meant or agents)}")
    return [row for row in rows if row.agent == meant[0]]


def _of_budget(folder: str, rows: Sequence[ResultRow], limit: int) -> list[ResultRow]:
    chosen = [row for row in rows if limit in asdict(row.budget).values()]
    if not chosen:
        known = "; ".join(budget_words(budget) for budget in dict.fromkeys(row.budget for row in rows))
        raise UsageError(f"{folder} has no rows with a budget of {limit}; there are: {known}")
    return chosen


def compare_places(
    places: Sequence[Place], baseline: str, format: str | None = None, policy: str | None = None
) -> list[Pair]:
    """Compares one place's agents with a baseline among them, or several places with the first.

    Where two places have several settings, those of the same problems, agent and budget are compared, of the
    same policy and format if there are such; where each has one agent, those of the same budget. The tests
    are corrected for all comparisons of a budget (Holm).

    Args:
        places: At least one.
        baseline: Agent spec, or its name; of one place alone.
        format: Compares the formats of one place instead, each with this one.
        policy: Compares the policies of one place instead, each with this one; or both at once.

    Raises:
        UsageError: When it is not plain what to compare, or there is nothing in common.
    """
    if len(places) == 1:
        return _within(places[0], baseline, format, policy)
    first, *others = places
    pairs = [pair for other in others for pair in _across(other, first)]
    families = [None if pair.of_oracle else pair.budget for pair in pairs]
    values = corrected_within([pair.comparison for pair in pairs], families)
    return [replace(pair, comparison=one) for pair, one in zip(pairs, values, strict=True)]


def _within(place: Place, baseline: str, format: str | None, policy: str | None) -> list[Pair]:
    groups = place.groups
    agents = list(dict.fromkeys(setting.agent for setting in groups))
    meant = [one for one in agents if one == baseline] or [one for one in agents if name_of(one) == baseline]
    agent = meant[0] if len(meant) == 1 else baseline
    found = comparisons(place.rows, agent, format, policy)
    names = labels([replace(setting, budget=UNLIMITED) for setting in groups])
    pairs: list[Pair] = []
    for setting, one in found.items():
        other = partner(setting, groups, agent, format, policy)
        name, against = (names[replace(side, budget=UNLIMITED)] for side in (setting, other))
        budget = budget_words(setting.budget)
        pairs.append(_pair(setting, one, groups[setting], groups[other], name, against, budget))
    return pairs


def _pair(
    setting: Setting,
    one: Comparison,
    a: Sequence[ResultRow],
    b: Sequence[ResultRow],
    name: str,
    against: str,
    budget: str = "",
) -> Pair:
    found = changes(a, b)
    return Pair(setting, one, found, name, against, budget, count_failures(a, found.lost))


def _across(a: Place, b: Place) -> list[Pair]:
    """Compares two places budget by budget: their one agent each, or the agents that they share."""
    groups_a, groups_b = a.groups, b.groups
    if len(groups_a) == len(groups_b) == 1:
        found = compare_rows(a.rows, b.rows, (a.name, b.name))
        return [_pair(_renamed(a, *groups_a), found, a.rows, b.rows, a.name, b.name)]
    if not _share_problems(a.rows, b.rows):
        raise UsageError(f"{a.name} and {b.name} have no problem in common")
    alone = len(a.agents) == len(b.agents) == 1
    same = [
        (one, other)
        for one in groups_a
        for other in _counterparts(one, groups_b, any_agent=alone)
        if _share_problems(groups_a[one], groups_b[other])
    ]
    details_a, details_b = _details(groups_a), _details(groups_b)
    if not same:
        raise UsageError(_nothing_in_common(b, a))
    return [
        _pair(
            _renamed(a, x),
            compare_rows(groups_a[x], groups_b[y], (_title(a, x, details_a[x]), _title(b, y, details_b[y]))),
            groups_a[x],
            groups_b[y],
            a.named(x.agent) + details_a[x],
            b.name + details_b[y],
            budget_words(x.budget),
        )
        for x, y in same
    ]


def _counterparts(setting: Setting, others: Iterable[Setting], *, any_agent: bool) -> list[Setting]:
    """Returns the settings of the same problems, budget and agent; the same policy and format come first."""
    found = [
        other
        for other in others
        if (other.budget, file_name(other.problems)) == (setting.budget, file_name(setting.problems))
        and (any_agent or other.agent == setting.agent)
    ]
    for name in ("policy", "format"):
        # Like with like; where there is none, two policies or formats are what is compared.
        found = [one for one in found if getattr(one, name) == getattr(setting, name)] or found
    return found


def _share_problems(a: Iterable[ResultRow], b: Iterable[ResultRow]) -> bool:
    """Whether there is a problem of both that the judge could decide."""
    return not {row.problem for row in a if row.counted}.isdisjoint(row.problem for row in b if row.counted)


def _title(place: Place, setting: Setting, details: str) -> str:
    name = place.name if _parts(place.name)[1] else f"{place.name}#{setting.agent}"
    return f"{name}{details} @ {budget_words(setting.budget)}"


def _details(settings: Iterable[Setting]) -> dict[Setting, str]:
    """Says of settings of one place what tells them from those of other problems, policies and formats."""
    without = {one: replace(one, budget=UNLIMITED) for one in settings}
    names = labels(list(without.values()))
    return {setting: names[one].removeprefix(setting.agent) for setting, one in without.items()}


def _nothing_in_common(*places: Place) -> str:
    common = set.intersection(*({setting.budget for setting in place.groups} for place in places))
    known = "; ".join(f"{place.name} has {_agents_words(place)}" for place in places)
    return f"{known}; name one of each: {' '.join(_example(place, common) for place in places)}"


def _agents_words(place: Place) -> str:
    """Says which agents there are, e.g. "mcts at 64 · 128 tokens, greedy at 64 tokens"."""
    return ", ".join(
        f"{agent} at {budgets_words({setting.budget for setting in place.groups if setting.agent == agent})}"
        for agent in place.agents
    )


def _example(place: Place, preferred: Container[Budget]) -> str:
    """Names one agent at one budget of a place, at a preferred one if it can."""
    folder, agent, _ = _parts(place.name)
    one = min(place.groups, key=lambda one: (one.budget not in preferred, one.budget.size))
    limits = (f"@{limit:.0f}" for limit in asdict(one.budget).values() if limit is not None)
    return f"{folder}#{agent or one.agent}{next(limits, '')}"


def _renamed(place: Place, setting: Setting) -> Setting:
    return replace(setting, agent=place.named(setting.agent))
