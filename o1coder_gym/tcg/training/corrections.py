"""Training data from a model's own mistakes: what it wrote against what the reference says.

The pairs of the paper exchange outputs among the inputs of a row. These are on-policy: the inputs are the
model's, ``rejected`` is its answer, ``chosen`` the same answer with the outputs that the reference gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import TypeAlias

from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import CheckedTest, Claim, Standing, check_by_reference
from o1coder_gym.tcg.training.dataset import (
    Dataset,
    DatasetSettings,
    answer,
    cases_of,
    pass_as_written,
    shown_row,
    unseen,
)
from o1coder_gym.types import CallTest, StdioTest, TestCase

_Checked: TypeAlias = tuple[TestCase, CheckedTest]
"""A test as written, and as checked."""


def build_corrections(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    written: Mapping[str, Sequence[TestCase]],
    settings: DatasetSettings,
) -> Dataset:
    """Makes SFT rows of corrected answers, and pairs of those that needed a correction.

    Args:
        judge: Runs references on what was written.
        rows: Problems with references.
        written: What a model wrote, by task id, neither checked nor repaired.
        settings: See `DatasetSettings`; a case is in one row only.
    """
    dataset = Dataset(
        settings=settings, rejected="is what the model wrote, where the solution fails some case"
    )
    claims = list(_claims(rows, written, dataset))
    groups: list[tuple[Claim, Sequence[_Checked]]] = []
    for claim, checked in zip(claims, check_by_reference(judge, claims, repair=True), strict=True):
        good = [(own, one) for own, one in zip(claim.tests, checked, strict=True) if one.good]
        dataset.drops["case: the solution fails on its input"] += len(checked) - len(good)
        groups += ((claim, group) for group in _groups(good, settings))
    written_rows = [(claim, [one.test for _, one in group]) for claim, group in groups]
    for claim, group in compress(groups, pass_as_written(judge, written_rows, dataset)):
        _add(claim, group, dataset)
    return dataset


def _claims(
    rows: Sequence[ProblemRow], written: Mapping[str, Sequence[TestCase]], dataset: Dataset
) -> Iterator[Claim]:
    """Yields the problems with a reference and tests whose input can be read, each input once."""
    for row in rows:
        tests = written.get(row.problem.task_id, ())
        read = [test for test in tests if isinstance(test, CallTest | StdioTest)]
        cases = unseen(row, cases_of(read, row.problem.entry_point), dataset)
        if row.reference is None:
            dataset.drops["problem: no solution"] += 1
        elif not cases:
            dataset.drops["problem: nothing was written that can be read"] += 1
        else:
            yield Claim(row.problem, tuple(cases), (row.reference,))


def _groups(good: Sequence[_Checked], settings: DatasetSettings) -> Iterator[Sequence[_Checked]]:
    """Yields groups of cases in the order in which they were written."""
    count = min(len(good) // settings.cases, settings.rows_per_problem)
    for start in range(0, count * settings.cases, settings.cases):
        yield good[start : start + settings.cases]


def _add(claim: Claim, group: Sequence[_Checked], dataset: Dataset) -> None:
    row = shown_row(claim.problem, claim.programs[0], dataset.settings)
    corrected = answer([one.test for _, one in group], claim.problem)
    dataset.sft.append(row | {"completion": corrected})
    # Equal sides would have no gradient in DPO.
    if any(one.standing is Standing.REPAIRED for _, one in group):
        own = answer([test for test, _ in group], claim.problem)
        dataset.dpo.append(row | {"chosen": corrected, "rejected": own})
    else:
        dataset.drops["pair: all outputs are right"] += 1
