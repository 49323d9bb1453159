"""D_process as a value: problems, labelled prefixes, passing paths, pairs, and where they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.problems.answers.programs import judged_by
from o1coder_gym.problems.likeness.identity import question_key, split_of
from o1coder_gym.problems.likeness.trained_on import keys_of
from o1coder_gym.process_data.labels import LabelRule, PairRule, labelled, origin_of, sibling_pairs
from o1coder_gym.process_data.rows import PairRow, PathRow, PrefixRow
from o1coder_gym.process_data.uniting import likeliest, program_of, united
from o1coder_gym.runs.provenance import config_hash
from o1coder_gym.types import Problem, State


def source_id(source: Mapping[str, Any]) -> str:
    """Returns the id by which rows name what made them, see `ProcessData.sources`."""
    return config_hash(source)[:12]


@dataclass(frozen=True, slots=True)
class ProcessData:
    """A data set. Make one with `assembled`, which keeps its parts consistent.

    Attributes:
        format: Step format in which the steps are to be written (`steps.formats.FORMATS`).
        problems: The questions, without hidden tests and references.
        prefixes: Every prefix once, labelled.
        paths: D⁺, every passing path once.
        pairs: Siblings of clearly different value.
        label_rule: Made the hard labels.
        pair_rule: Made the pairs.
        validation: Share of all problems that are held out.
        sources: By id, what made the rows: config, hash and versions of each run.
        drops: Reasons for omitted rows, with counts.
    """

    format: str
    problems: tuple[Problem, ...]
    prefixes: tuple[PrefixRow, ...]
    paths: tuple[PathRow, ...]
    pairs: tuple[PairRow, ...]
    label_rule: LabelRule
    pair_rule: PairRule
    validation: float
    sources: Mapping[str, Any]
    drops: Mapping[str, int]

    def problem(self, task_id: str) -> Problem:
        """Returns the problem called `task_id`.

        Raises:
            UnknownNameError: When the data set has none.
        """
        for problem in self.problems:
            if problem.task_id == task_id:
                return problem
        raise UnknownNameError("task", task_id, [problem.task_id for problem in self.problems[:10]])

    def learned_keys(self) -> set[str]:
        """Returns the keys of the questions that are trained on, see `problems.likeness.trained_on`."""
        return keys_of(self.of_split("train").problems)

    def question_keys(self) -> dict[str, str]:
        """Returns by task id what problems of one question share, whatever they are named: `question_key`."""
        return {problem.task_id: question_key(problem) for problem in self.problems}

    def of_split(self, split: str) -> ProcessData:
        """Returns the part that belongs to one split; rules, sources and drops stay."""
        # a data set of an earlier version has drawn its splits by other means
        drawn = {row.state.problem_id: row.split for row in self.prefixes}
        return replace(
            self,
            problems=tuple(
                problem
                for problem in self.problems
                if (drawn.get(problem.task_id) or split_of(problem, self.validation)) == split
            ),
            prefixes=tuple(row for row in self.prefixes if row.split == split),
            paths=tuple(row for row in self.paths if row.split == split),
            pairs=tuple(row for row in self.pairs if row.split == split),
        )


def assembled(
    format: str,
    problems: Iterable[Problem],
    prefixes: Iterable[PrefixRow],
    paths: Iterable[PathRow],
    *,
    label_rule: LabelRule = LabelRule(),
    pair_rule: PairRule = PairRule(),
    validation: float = 0.1,
    sources: Mapping[str, Any],
    drops: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
) -> ProcessData:
    """Assembles a data set: merges duplicates, labels, splits by problem, and pairs siblings.

    Args:
        format: Step format.
        problems: The questions of all rows.
        prefixes: Prefixes of any number of searches; equal states are merged, W and N added.
        paths: Verified paths; equal ones are merged, and those whose program a search saw fail are omitted.
        label_rule: Hard labels.
        pair_rule: Pairs.
        validation: Share of all problems that are held out, in [0, 1).
        sources: By id, what made the rows.
        drops: Reasons for omitted rows, with counts.
        weights: Of the visits of sources, see `united`; a source of weight 0 is dropped, with its paths.

    Raises:
        UsageError: When two problems have one id.
    """
    given = weights or {}
    dropped = {name for name, weight in given.items() if weight == 0}
    known_problems = each_once(problems)

    @cache
    def split(task_id: str) -> str:
        # of a problem that is not given nothing is known but its name
        return split_of(known_problems.get(task_id) or Problem(task_id, task_id), validation)

    # In this order: equal states are united before they are labelled, for labels depend on W and N of all
    # sources.
    rows = [
        replace(row, split=split(row.state.problem_id))
        for row in labelled(united(prefixes, given), label_rule)
    ]
    # D⁺ has what passed: a program that a search with other tests saw fail is no solution.
    wrong = {program_of(row.state) for row in rows if row.ended and not row.passing}
    whole = _united_paths(paths, dropped)
    passed = [path for path in whole if program_of(path.state) not in wrong]
    left_out = Counter(drops or {})
    left_out["path: a search saw its program fail"] += len(whole) - len(passed)
    origins = {name: origin for name, source in sources.items() if (origin := origin_of(source)) is not None}
    return ProcessData(
        format=format,
        problems=tuple(known_problems.values()),
        prefixes=tuple(rows),
        paths=tuple(replace(path, split=split(path.state.problem_id)) for path in passed),
        pairs=sibling_pairs(rows, pair_rule, origins),
        label_rule=label_rule,
        pair_rule=pair_rule,
        validation=validation,
        sources={name: source for name, source in sources.items() if name not in dropped},
        drops=dict(+left_out),
    )


def _united_paths(paths: Iterable[PathRow], dropped: Collection[str]) -> Collection[PathRow]:
    """Returns each path once; one of several runs stays as long as one of them is not dropped."""
    whole: dict[State, PathRow] = {}
    for path in paths:
        kept = [name for name in path.sources if name not in dropped]
        # Rows of earlier versions name no source; those are kept.
        if path.sources and not kept:
            continue
        known = whole.get(path.state, replace(path, sources=()))
        sources, tests = tuple(sorted({*known.sources, *kept})), max(known.tests, path.tests)
        whole[path.state] = replace(likeliest(known, path), sources=sources, tests=tests)
    return whole.values()


def each_once(problems: Iterable[Problem]) -> dict[str, Problem]:
    """Returns problems by id, the first of equal ones.

    Raises:
        UsageError: When two of one id differ in what a program is asked for or judged by.
    """
    known: dict[str, Problem] = {}
    for problem in problems:
        first = known.setdefault(problem.task_id, problem)
        one, other = _decisive(first), _decisive(problem)
        if differing := [name for name in one if one[name] != other[name]]:
            raise UsageError(
                f"two problems called {problem.task_id} differ in their {differing[0]}, so their values "
                "cannot be merged; rename the problems of one set"
            )
    return known


def _decisive(problem: Problem) -> dict[str, Any]:
    """Returns by what it is called all that a program is asked for or judged by."""
    fields = ("prompt", "entry_point", "public_tests", "prelude")
    asked = {name.replace("_", " "): getattr(problem, name) for name in fields}
    return asked | {"limits or kind of task": judged_by(problem.meta)}


def merged(data: Iterable[ProcessData], *, decay: float = 1.0) -> ProcessData:
    """Returns D ∪ D' ∪ … (Algorithm 1, step 6), with new labels and pairs.

    Values of equal prefixes are averaged by visits, and each row keeps what each source found. An end that
    several runs came to counts once, and passes where none of them saw its program fail: runs differ in
    tests, and what fails any of them has no path in D⁺ and makes no hard label 1.

    Args:
        data: Data sets, the newest first.
        decay: Weight of a source's visits relative to those of the next newer one, in [0, 1]: old values are
            those of old policies. 0 keeps the newest source alone.

    Raises:
        UsageError: When there is nothing to merge; when step formats, label rules or validation shares differ
            (a problem that one set held out would be trained on); when two problems have one id; when a run
            occurs twice (its visits would count twice).
    """
    parts = list(data)
    if not parts:
        raise UsageError("nothing to merge")
    # A step means what its format says: equal texts of two formats are two steps.
    if len(formats := {part.format for part in parts}) > 1:
        raise UsageError(f"data sets of different step formats cannot be merged: {', '.join(formats)}")
    for name in ("label_rule", "validation"):
        if len(rules := dict.fromkeys(getattr(part, name) for part in parts)) > 1:
            told = ", ".join(map(str, rules))
            raise UsageError(f"data sets of different {name.replace('_', ' ')} cannot be merged: {told}")
    if not 0.0 <= decay <= 1.0:
        raise UsageError(f"decay lies in [0, 1], got {decay}")
    sources: dict[str, Any] = {}
    drops: dict[str, int] = {}
    for part in parts:
        if twice := sources.keys() & part.sources.keys():
            raise UsageError(f"the run {min(twice)} is in two of the data sets to be merged")
        sources |= part.sources
        for reason, count in part.drops.items():
            drops[reason] = drops.get(reason, 0) + count
    return assembled(
        parts[0].format,
        (problem for part in parts for problem in part.problems),
        (row for part in parts for row in part.prefixes),
        (row for part in parts for row in part.paths),
        label_rule=parts[0].label_rule,
        pair_rule=parts[0].pair_rule,
        validation=parts[0].validation,
        sources=sources,
        drops=drops,
        # By age in order of the data sets: the newest has weight 1.
        weights={name: decay**age for age, name in enumerate(sources)},
    )
