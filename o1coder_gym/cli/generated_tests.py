"""Tests that a generator makes for the problems of a run, kept in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import default_judge
from o1coder_gym.tcg.loading import load_generator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.tcg.store import TestStore
from o1coder_gym.types import TestCase

FILE = "tests.jsonl"
_BATCH = 16


def generated_tests(
    generator: str, rows: Sequence[ProblemRow], count: int, folder: Path
) -> dict[str, tuple[TestCase, ...]]:
    """Returns tests by task id, mode A where there is a reference; those made before come from the folder.

    Args:
        generator: Spec of the generator.
        rows: The problems.
        count: Tests per problem; 0 makes none.
        folder: Of the run.
    """
    if not count:
        return {}
    store = TestStore(folder / FILE, load_generator(generator, default_judge()), generator)
    made: dict[str, tuple[TestCase, ...]] = {}
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        made |= store.tests([TestRequest(row.problem, count, row.reference) for row in batch])
    return made
