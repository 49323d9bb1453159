"""Training data of the test case generator: rows for SFT, pairs for DPO (paper, section 3.1).

A row shows one problem and one of its solutions and asks for three cases; its completion holds three
cases that the question does not show, and that the solution passes when they are run as they were written.
A pair adds the same inputs with exchanged outputs, which the solution fails when it is run. All rows of a
problem are in one split.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, compress
from typing import Any

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.likeness.identity import split_of
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.tcg import template
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import Claim, Standing, check_by_reference
from o1coder_gym.tcg.inputs.known import shown_by
from o1coder_gym.tcg.reading.assertions import AssertionReader
from o1coder_gym.tcg.reading.literals import parse_source
from o1coder_gym.tcg.reading.parsing import parse_tests
from o1coder_gym.tcg.training.shuffled_outputs import Case, mismatched
from o1coder_gym.types import (
    AssertTest,
    CallTest,
    CheckTest,
    Outcome,
    Problem,
    StdioTest,
    TestCase,
)

MAX_CHARS = 6000
"""Longest instruction and completion together, in characters."""
_MAX_CASES = 24
"""Cases of a problem that groups are drawn from."""


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """How rows are made.

    Attributes:
        cases: Cases in a row, K, in [2, 6].
        rows_per_problem: Rows of a problem at most; each has another group of cases.
        validation: Share of the problems in the validation split, in [0, 1).
        with_code: Mode A; without it the rows show the question alone (mode B).
        seed: Fixes every draw.
    """

    cases: int = template.CASES
    rows_per_problem: int = 4
    validation: float = 0.1
    with_code: bool = True
    seed: int = 0


@dataclass(slots=True)
class Dataset:
    """Rows for both trainings. Mutable: it grows while it is built.

    Attributes:
        sft: Rows ``task_id, split, prompt, completion``; the last two are lists of messages.
        dpo: Rows ``task_id, split, prompt, chosen, rejected``.
        drops: Why problems, cases and pairs were left out, with counts.
        settings: How the rows were made.
        rejected: Description of a pair's worse side, for the card.
    """

    sft: list[dict[str, Any]] = field(default_factory=list)
    dpo: list[dict[str, Any]] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)
    settings: DatasetSettings = DatasetSettings()
    rejected: str = "the outputs are exchanged so that the solution fails every case"


def build_dataset(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    *,
    solutions: Mapping[str, Sequence[str]] | None = None,
    further_tests: Mapping[str, Sequence[TestCase]] | None = None,
    settings: DatasetSettings = DatasetSettings(),
) -> Dataset:
    """Makes rows and pairs from problems (paper, section 3.1).

    Args:
        judge: Runs solutions on cases, right ones and exchanged ones.
        rows: Problems with tests and references; their hidden tests serve as cases.
        solutions: Further right solutions by task id; one is drawn for each problem.
        further_tests: Further tests by task id, e.g. generated ones.
        settings: See `DatasetSettings`.
    """
    dataset = Dataset(settings=settings)
    claims = list(_claims(rows, solutions or {}, further_tests or {}, dataset))
    checked = check_by_reference(judge, claims, repair=False)
    pairs = []
    for claim, found in zip(claims, checked, strict=True):
        good = [one.test for one in found if one.standing is Standing.CONFIRMED]
        dataset.drops["case: fails on the solution"] += len(found) - len(good)
        pairs += list(_groups(claim, good, dataset))
    _add_rows(judge, pairs, dataset)
    return dataset


def cases_of(tests: Sequence[TestCase], entry_point: str | None) -> list[Case]:
    """Returns the distinct (input, output) cases of tests; asserts and checks are read for them."""
    found: dict[str, Case] = {}
    for test in tests:
        match test:
            case CallTest(args):
                found.setdefault(args, test)
            case StdioTest(stdin):
                found.setdefault(stdin, test)
            case AssertTest(code) | CheckTest(code):
                reader = AssertionReader("candidate" if isinstance(test, CheckTest) else entry_point or "")
                tree = parse_source(code)
                reader.read(tree.body if tree else ())
                for case in reader.cases:
                    if isinstance(case, CallTest):
                        found.setdefault(case.args, case)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Group:
    """K cases of one problem, with their exchanged form if there is one."""

    claim: Claim
    cases: tuple[Case, ...]
    exchanged: tuple[Case, ...] | None


def _claims(
    rows: Sequence[ProblemRow],
    solutions: Mapping[str, Sequence[str]],
    further_tests: Mapping[str, Sequence[TestCase]],
    dataset: Dataset,
) -> Iterator[Claim]:
    """Yields the problems that have a solution and enough cases, with all their cases."""
    for row in rows:
        task_id = row.problem.task_id
        known = [*([row.reference] if row.reference else []), *solutions.get(task_id, ())]
        tests = (*row.tests, *further_tests.get(task_id, ()))
        cases = unseen(row, cases_of(tests, row.problem.entry_point), dataset)
        rng = random.Random(f"{dataset.settings.seed}/{task_id}")
        if not known:
            dataset.drops["problem: no solution"] += 1
        elif len(cases) < dataset.settings.cases:
            dataset.drops["problem: too few cases"] += 1
        else:
            chosen = rng.sample(cases, min(len(cases), _MAX_CASES))
            yield Claim(row.problem, tuple(chosen), (rng.choice(known),))


def unseen(row: ProblemRow, cases: Sequence[Case], dataset: Dataset) -> list[Case]:
    """Returns the cases that can be written whole and whose input the question does not show."""
    is_shown = shown_by(row.problem)
    hidden = [case for case in cases if not is_shown(case)]
    writable = [case for case in hidden if template.is_writable(case)]
    dataset.drops += Counter(
        {
            "case: the question shows it": len(cases) - len(hidden),
            "case: its comparison cannot be written": len(hidden) - len(writable),
        }
    )
    return writable


def _groups(claim: Claim, cases: Sequence[TestCase], dataset: Dataset) -> Iterator[_Group]:
    """Yields groups of cases, first those that can be exchanged; sharing cases as little as possible."""
    settings = dataset.settings
    rng = random.Random(f"{settings.seed}/{claim.problem.task_id}/groups")
    plain = [case for case in cases if isinstance(case, CallTest | StdioTest)]
    if len(plain) < settings.cases:
        dataset.drops["problem: too few cases pass on the solution"] += 1
        return
    groups = [
        _Group(claim, group, mismatched(group, claim.problem.entry_point, rng))
        for group in _draws(plain, settings.cases, 8 * settings.rows_per_problem, rng)
    ]
    # Stable: groups that make a pair come first, each kind in the order of its draw.
    groups.sort(key=lambda group: group.exchanged is None)
    short = [group for group in groups if len(_instruction(group, settings)) <= MAX_CHARS]
    dataset.drops["group: too long"] += len(groups) - len(short)
    yield from short[: settings.rows_per_problem]


def _draws(cases: Sequence[Case], size: int, count: int, rng: random.Random) -> list[tuple[Case, ...]]:
    """Returns up to `count` different groups of `size` cases."""
    if len(cases) <= 8:
        every = list(combinations(cases, size))
        return [tuple(rng.sample(group, size)) for group in rng.sample(every, min(count, len(every)))]
    drawn = {frozenset(rng.sample(range(len(cases)), size)): None for _ in range(count)}
    return [tuple(cases[index] for index in rng.sample(sorted(group), size)) for group in drawn]


def _instruction(group: _Group, settings: DatasetSettings) -> str:
    reference = group.claim.programs[0] if settings.with_code else None
    shown = template.instruction(group.claim.problem, reference, settings.cases)
    return shown + template.write_cases(group.cases, group.claim.problem.entry_point)


def _add_rows(judge: OutputJudge, groups: Sequence[_Group], dataset: Dataset) -> None:
    """Adds the rows of groups that pass as they were written; pairs only where every exchanged case fails."""
    # As text, read back: a case that changes on the way would teach a wrong assert.
    written = [(group.claim, group.cases) for group in groups]
    groups = list(compress(groups, pass_as_written(judge, written, dataset)))
    exchanged = [group for group in groups if group.exchanged is not None]
    verdicts = judge.evaluate(
        [
            submission(group.claim.problem, group.claim.programs[0], group.exchanged or ())
            for group in exchanged
        ]
    )
    wrong = {
        id(group)
        for group, verdict in zip(exchanged, verdicts, strict=True)
        # Every exchanged case must fail, by its answer: y_l is to be wrong in each line (Eq. 1).
        if all(result.outcome is Outcome.WRONG_ANSWER for result in verdict.tests)
    }
    for group in groups:
        problem = group.claim.problem
        row = shown_row(problem, group.claim.programs[0], dataset.settings)
        dataset.sft.append(row | {"completion": answer(group.cases, problem)})
        if group.exchanged is None:
            dataset.drops["pair: no order of the outputs mismatches"] += 1
        elif id(group) not in wrong:
            dataset.drops["pair: an exchanged case does not fail"] += 1
        else:
            pair = {"chosen": answer(group.cases, problem), "rejected": answer(group.exchanged, problem)}
            dataset.dpo.append(row | pair)


def shown_row(problem: Problem, solution: str, settings: DatasetSettings) -> dict[str, Any]:
    """Returns the part of a row that the model is shown: ``task_id, split, prompt``."""
    shown = template.prompt(problem, solution if settings.with_code else None, settings.cases)
    return {
        "task_id": problem.task_id,
        "split": split_of(problem, settings.validation),
        "prompt": [{"role": role, "content": content} for role, content in shown.messages],
    }


def pass_as_written(
    judge: OutputJudge, rows: Sequence[tuple[Claim, Sequence[TestCase]]], dataset: Dataset
) -> list[bool]:
    """Says of each row whether its solution passes what is written in it; counts those that fail."""
    verdicts = judge.evaluate(
        [
            submission(claim.problem, claim.programs[0], as_written(cases, claim.problem))
            for claim, cases in rows
        ]
    )
    passing = [one.outcome is Outcome.PASS for one in verdicts]
    dataset.drops += Counter({"group: fails on the solution as it was written": passing.count(False)})
    return passing


def as_written(cases: Sequence[TestCase], problem: Problem) -> tuple[TestCase, ...]:
    """Returns cases as a reader of the row finds them: its asserts, or what its labels hold."""
    if problem.entry_point is None:
        return parse_tests(template.write_cases(cases, None), None).tests
    return tuple(AssertTest(template.write_cases([case], problem.entry_point)) for case in cases)


def answer(cases: Sequence[TestCase], problem: Problem) -> list[dict[str, str]]:
    """Returns cases as the messages of an answer."""
    return [{"role": "assistant", "content": template.write_cases(cases, problem.entry_point)}]
