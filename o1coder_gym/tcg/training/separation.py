"""Training data from rewards: a model's own tests that wrong programs fail, against those that tell nothing.

As in UTRL (Lee et al. 2025, arXiv 2508.21107), a test earns something if the reference passes it, and the
more the more sampled programs fail it. Copies earn nothing: not by a clipped share of valid tests alone, as
there, but because an answer has to have K valid tests, and one whose input the question shows, or a test
before it has, is none. Nor does a program earn a test anything that answers in none: each would reject it.

Rejection sampling: an SFT row answers with the K tests that earn most together, of all that the model wrote
for a problem. A pair has such an answer as ``chosen`` and, as ``rejected``, K tests of the model that earn
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.tcg import template
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import Claim, Standing, check_by_reference
from o1coder_gym.tcg.inputs.known import input_of, shown_by
from o1coder_gym.tcg.training.dataset import Dataset, DatasetSettings, answer, pass_as_written, shown_row
from o1coder_gym.types import CallTest, Outcome, StdioTest, TestCase

_NO_REJECTION = (Outcome.PASS, Outcome.TIMEOUT, Outcome.MEMORY)
"""Limits end a program that may be right, and take the tests after them along."""
_ANSWERS = (Outcome.PASS, Outcome.WRONG_ANSWER)
"""Where a program has come to an answer."""


@dataclass(frozen=True, slots=True)
class RatedTest:
    """A test as a model wrote it.

    Attributes:
        test: The test.
        valid: Whether the reference passes it and the question does not show its input.
        rejected: The sampled programs that fail it, by number; of a valid test only. Programs that give no
            answer in any valid test (they do not compile, or never return) are not among them.
    """

    test: TestCase
    valid: bool
    rejected: frozenset[int] = frozenset()


def best_first(tests: Sequence[RatedTest]) -> list[RatedTest]:
    """Returns valid tests by what they add: each rejects most programs that those before it accept.

    Args:
        tests: Valid ones; ties are in the order in which they were written, those that reject more first.
    """
    left, found, known = list(tests), list[RatedTest](), frozenset[int]()
    while left:
        best = max(left, key=lambda one: (len(one.rejected - known), len(one.rejected)))
        left.remove(best)
        found.append(best)
        known |= best.rejected
    return found


def build_separating(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    written: Mapping[str, Sequence[TestCase]],
    programs: Mapping[str, Sequence[str]],
    settings: DatasetSettings,
) -> Dataset:
    """Makes SFT rows of tests that separate, and pairs of these against tests that do not.

    No hidden test is asked: the reference says which tests are valid, and a program that fails one is wrong.

    Args:
        judge: Runs references and programs.
        rows: Problems with references.
        written: What a model wrote, by task id, neither checked nor repaired.
        programs: Programs that attempt the problems, right or wrong, by task id.
        settings: See `DatasetSettings`; a test is in one row only.
    """
    dataset = Dataset(
        settings=settings,
        rejected="are tests of the same model that the solution fails, or the question shows, or that reject "
        "no sampled program",
    )
    claims = list(_claims(rows, written, programs, dataset))
    rated = rate(judge, claims, programs, dataset)
    groups = [
        (claim, group, worse)
        for claim, tests in zip(claims, rated, strict=True)
        for group, worse in _groups(tests, settings, dataset)
    ]
    passing = pass_as_written(
        judge, [(claim, [one.test for one in group]) for claim, group, _ in groups], dataset
    )
    for claim, group, worse in compress(groups, passing):
        row = shown_row(claim.problem, claim.programs[0], settings)
        good = answer([one.test for one in group], claim.problem)
        dataset.sft.append(row | {"completion": good})
        if worse:
            bad = answer([one.test for one in worse], claim.problem)
            dataset.dpo.append(row | {"chosen": good, "rejected": bad})
        else:
            dataset.drops["pair: too few tests that tell nothing"] += 1
    return dataset


def rate(
    judge: OutputJudge, claims: Sequence[Claim], programs: Mapping[str, Sequence[str]], dataset: Dataset
) -> list[list[RatedTest]]:
    """Rates the tests of each claim, in order; counts those that are not valid, and leaves out copies."""
    checked = check_by_reference(judge, claims, repair=False)
    rated = []
    for claim, found in zip(claims, checked, strict=True):
        is_shown = shown_by(claim.problem)
        shown = [is_shown(test) for test in claim.tests]
        passes = [one.standing is Standing.CONFIRMED for one in found]
        dataset.drops["test: the question shows its input"] += sum(shown)
        dataset.drops["test: the solution does not pass it"] += passes.count(False)
        valid = [one and not other for one, other in zip(passes, shown, strict=True)]
        tests = [RatedTest(test, one) for test, one in zip(claim.tests, valid, strict=True)]
        kept = _without_copies(tests)
        dataset.drops["test: one before it has its input"] += len(tests) - len(kept)
        rated.append(kept)
    return _with_rejections(judge, claims, rated, programs)


def _without_copies(tests: Sequence[RatedTest]) -> list[RatedTest]:
    """Returns the tests without the valid ones that ask what a valid one before them asks."""
    kept, asked = list[RatedTest](), set[str | None]()
    for one in tests:
        # By what is asked, not by text: `f(2) == 4.0` and `f( 2) == 4` are `f(2) == 4`.
        if one.valid:
            given = input_of(one.test)
            if given in asked:
                continue
            asked.add(given)
        kept.append(one)
    return kept


def _with_rejections(
    judge: OutputJudge,
    claims: Sequence[Claim],
    rated: Sequence[Sequence[RatedTest]],
    programs: Mapping[str, Sequence[str]],
) -> list[list[RatedTest]]:
    """Runs all programs on the valid tests, in one batch."""
    valid = [tuple(one.test for one in tests if one.valid) for tests in rated]
    verdicts = iter(
        judge.evaluate(
            [
                submission(claim.problem, code, tests)
                for claim, tests in zip(claims, valid, strict=True)
                for code in programs[claim.problem.task_id]
                if tests
            ]
        )
    )
    found = []
    for claim, tests, some in zip(claims, rated, valid, strict=True):
        # [S][T], S programs and T valid tests
        seen = [next(verdicts).tests for _ in programs[claim.problem.task_id] if some]
        answers = [any(one.outcome in _ANSWERS for one in results) for results in seen]
        by_test = iter(zip(*seen, strict=True))
        rejected = {
            test: frozenset(
                place for place, one in enumerate(results)
                if answers[place] and one.outcome.decided and one.outcome not in _NO_REJECTION
            )
            for test, results in zip(some, by_test, strict=False)
        }  # fmt: skip
        found.append([RatedTest(one.test, one.valid, rejected.get(one.test, frozenset())) for one in tests])
    return found


def _claims(
    rows: Sequence[ProblemRow],
    written: Mapping[str, Sequence[TestCase]],
    programs: Mapping[str, Sequence[str]],
    dataset: Dataset,
) -> Iterator[Claim]:
    """Yields the problems with a reference, programs, and tests that can be written again, each once."""
    for row in rows:
        task_id = row.problem.task_id
        tests = dict.fromkeys(
            test
            for test in written.get(task_id, ())
            if isinstance(test, CallTest | StdioTest) and template.is_writable(test)
        )
        if row.reference is None:
            dataset.drops["problem: no solution"] += 1
        elif not programs.get(task_id):
            dataset.drops["problem: no program to reject"] += 1
        elif not tests:
            dataset.drops["problem: nothing was written that can be read"] += 1
        else:
            yield Claim(row.problem, tuple(tests), (row.reference,))


def _groups(
    tests: Sequence[RatedTest], settings: DatasetSettings, dataset: Dataset
) -> Iterator[tuple[Sequence[RatedTest], Sequence[RatedTest]]]:
    """Yields K tests that separate with K that do not, or with none where there are too few of these."""
    size, good = settings.cases, best_first([one for one in tests if one.valid])
    better = [
        good[start : start + size]
        for start in range(0, len(good) - size + 1, size)
        if any(one.rejected for one in good[start : start + size])
    ][: settings.rows_per_problem]
    if not better:
        dataset.drops["problem: too few tests that separate"] += 1
    used = {one.test for group in better for one in group}
    useless = [one for one in tests if not one.rejected and one.test not in used]
    for place, group in enumerate(better):
        worse = useless[place * size : (place + 1) * size]
        yield group, worse if len(worse) == size else ()
