"""Quality of generated tests: soundness, validity, diversity, and the power to reject wrong programs.

The paper measures the first one only. Tests that fail on the reference would reject everything, so kill
rates count the tests that pass on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from o1coder_gym.metrics.estimates import Estimate, estimate_difference, estimate_mean, estimate_share
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.tcg.checking.execution import OutputJudge
from o1coder_gym.tcg.checking.validity import Claim, Standing, check_by_reference
from o1coder_gym.tcg.inputs.known import shown_by
from o1coder_gym.tcg.quality.mutants import Mutant, mutants
from o1coder_gym.types import (
    GeneratedTests,
    Outcome,
    TestCase,
    Tests,
)

MUTANTS = 40
"""Mutants per problem at most."""


@dataclass(frozen=True, slots=True)
class ProblemQuality:
    """Counts for one problem.

    Attributes:
        task_id: The problem.
        asked: Tests asked for.
        parsed: Tests that could be read, duplicates removed, at most as many as asked.
        written: Cases that the generator wrote, readable or not; `parsed` for those that write no text.
        duplicates: Readable cases whose input came before.
        passed: Parsed tests that pass on the reference.
        valid: Parsed tests whose input the reference takes without failing.
        shown: Parsed tests whose input the question shows.
        mutants: AST mutants of the reference that were run.
        killed: Of these, the ones that some passed test rejects by what they answer.
        timeouts: Of these, the ones that only run out of time.
        equivalent: Of these, the ones that no test at all rejects, the hidden ones neither: an estimate of
            those that behave as the reference, from above.
        right: Sampled programs that pass the hidden tests.
        right_accepted: Of these, the ones that all generated tests accept.
        wrong: Sampled programs that fail hidden tests.
        wrong_rejected: Of these, the ones that some generated test rejects.
        tokens: Tokens that the generator spent.
        measured: Whether there is a reference; without one nothing is known of `passed`, `valid` and mutants.
        new: Passed tests whose input the question does not show; None in rows of earlier versions.
        wrong_killed: Of the wrong programs, the ones that some of these rejects by what it answers; None
            likewise.
    """

    task_id: str
    asked: int
    parsed: int
    written: int
    duplicates: int
    passed: int
    valid: int
    shown: int
    mutants: int = 0
    killed: int = 0
    right: int = 0
    right_accepted: int = 0
    wrong: int = 0
    wrong_rejected: int = 0
    tokens: int = 0
    timeouts: int = 0
    equivalent: int = 0
    measured: bool = True
    new: int | None = None
    wrong_killed: int | None = None

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; `ProblemQuality(**row)` reads it."""
        return asdict(self)


def measure(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    generated: Sequence[GeneratedTests],
    *,
    samples: Mapping[str, Sequence[str]] | None = None,
    mutants_per_problem: int = MUTANTS,
    seed: int = 0,
) -> list[ProblemQuality]:
    """Measures the tests of some problems, in a few judge batches.

    Args:
        judge: Runs everything.
        rows: Problems; those without a reference are measured on samples only.
        generated: Tests for each of them, as the generator gave them.
        samples: Programs by task id that attempt the problems, right or wrong.
        mutants_per_problem: Upper bound; a seeded draw where there are more.
        seed: Fixes that draw.

    Returns:
        Counts for each problem, in order.
    """
    standings = _standings(judge, rows, generated)
    good = [
        tuple(test for test, standing in zip(one.tests, found, strict=True) if standing is Standing.CONFIRMED)
        for one, found in zip(generated, standings, strict=True)
    ]
    kills = _kills(judge, rows, good, mutants_per_problem, seed)
    new = [_new(row, tests) for row, tests in zip(rows, good, strict=True)]
    votes = _sample_counts(judge, rows, generated, new, samples or {})
    return [
        ProblemQuality(
            task_id=row.problem.task_id,
            asked=one.report.get("asked", len(one.tests)),
            parsed=len(one.tests),
            written=one.report.get("written", len(one.tests)),
            duplicates=one.report.get("duplicate", 0),
            passed=len(tests),
            valid=sum(standing is not Standing.INVALID for standing in found),
            shown=_shown(row, one.tests),
            tokens=one.report.get("tokens", 0),
            measured=row.reference is not None,
            new=len(fresh),
            **killed,
            **voted,
        )
        for row, one, found, tests, fresh, killed, voted in zip(
            rows, generated, standings, good, new, kills, votes, strict=True
        )
    ]


def summarize(qualities: Sequence[ProblemQuality]) -> dict[str, Estimate]:
    """Returns the rates that are reported, each a mean over the problems for which it is defined.

    ``parse_rate`` and ``pass_rate_of_asked`` have all tests asked for as denominator; what could not be read
    counts as failed there. ``pass_rate_of_parsed``, ``input_validity`` and ``shown_rate`` are shares of the
    parsed tests, ``duplicate_rate`` is one of the cases written. ``discrimination`` is the share of right
    programs accepted plus the share of wrong programs rejected, less 1 (Youden's J). ``kill_rate`` and
    ``timeout_rate`` are shares of the mutants that are not held to be equivalent. ``new_rate`` is the share
    of the tests asked for that pass and whose input the question does not show, ``wrong_kill_rate`` that of
    the wrong programs that such tests reject. What a reference has to tell is not measured, and no 0 %, where
    there is none.
    """
    return {
        **{name: estimate_share([share for _, share in found]) for name, found in _shares(qualities).items()},
        "discrimination": estimate_difference(_known([_youden(one) for one in qualities])),
        "tests_per_problem": estimate_mean([float(one.parsed) for one in qualities]),
        "tokens_per_problem": estimate_mean([float(one.tokens) for one in qualities]),
    }


def shares_by_problem(qualities: Sequence[ProblemQuality]) -> dict[str, dict[str, float]]:
    """Returns the shares that the rates of `summarize` are means of, by task id, where they are defined."""
    return {name: dict(found) for name, found in _shares(qualities).items()}


def _shares(qualities: Sequence[ProblemQuality]) -> dict[str, list[tuple[str, float]]]:
    measured = [one for one in qualities if one.measured]
    shares = {
        "parse_rate": [(one.task_id, _ratio(one.parsed, one.asked)) for one in qualities],
        "pass_rate_of_asked": [(one.task_id, _ratio(one.passed, one.asked)) for one in measured],
        "pass_rate_of_parsed": [(one.task_id, _ratio(one.passed, one.parsed)) for one in measured],
        "new_rate": [(one.task_id, _ratio(one.new, one.asked)) for one in measured],
        "input_validity": [(one.task_id, _ratio(one.valid, one.parsed)) for one in measured],
        "duplicate_rate": [(one.task_id, _ratio(one.duplicates, one.written)) for one in qualities],
        "shown_rate": [(one.task_id, _ratio(one.shown, one.parsed)) for one in qualities],
        "kill_rate": [(one.task_id, _ratio(one.killed, one.mutants - one.equivalent)) for one in measured],
        "timeout_rate": [
            (one.task_id, _ratio(one.timeouts, one.mutants - one.equivalent)) for one in measured
        ],
        "equivalent_rate": [(one.task_id, _ratio(one.equivalent, one.mutants)) for one in measured],
        "right_accepted": [(one.task_id, _ratio(one.right_accepted, one.right)) for one in qualities],
        "wrong_rejected": [(one.task_id, _ratio(one.wrong_rejected, one.wrong)) for one in qualities],
        "wrong_kill_rate": [(one.task_id, _ratio(one.wrong_killed, one.wrong)) for one in measured],
    }
    return {
        name: [(task_id, share) for task_id, share in found if not math.isnan(share)]
        for name, found in shares.items()
    }


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


@dataclass(frozen=True, slots=True)
class RewardAgreement:
    """How often a reward from generated tests agrees with the hidden tests, over sampled programs.

    Attributes:
        programs: Programs compared.
        agreement: Share on which both say the same.
        false_positive: Share of the wrong programs that the generated tests accept.
        false_negative: Share of the right programs that the generated tests reject.
        tpr: True positive rate: share of the right programs that the generated tests accept.
        tnr: True negative rate: share of the wrong programs that the generated tests reject.
    """

    programs: int
    agreement: float
    false_positive: float
    false_negative: float
    tpr: float
    tnr: float

    def __str__(self) -> str:
        """Returns one line for people, in the terms of CodeContests+ (Wang et al. 2025)."""
        if not self.programs:
            return "no program to compare on"
        tpr, tnr = ("–" if math.isnan(rate) else f"{rate:.1%}" for rate in (self.tpr, self.tnr))
        return (
            f"agrees with the hidden tests on {self.agreement:.1%} of {self.programs} programs; "
            f"TPR {tpr} (right programs accepted), TNR {tnr} (wrong programs rejected)"
        )


def reward_agreement(qualities: Sequence[ProblemQuality]) -> RewardAgreement:
    """Compares the outcome reward of generated tests with that of hidden tests; all programs alike."""
    right, wrong = sum(one.right for one in qualities), sum(one.wrong for one in qualities)
    accepted = sum(one.right_accepted for one in qualities)
    rejected = sum(one.wrong_rejected for one in qualities)
    tpr, tnr = _ratio(accepted, right), _ratio(rejected, wrong)
    return RewardAgreement(
        programs=right + wrong,
        agreement=_ratio(accepted + rejected, right + wrong),
        false_positive=1 - tnr,
        false_negative=1 - tpr,
        tpr=tpr,
        tnr=tnr,
    )


def _standings(
    judge: OutputJudge, rows: Sequence[ProblemRow], generated: Sequence[GeneratedTests]
) -> list[list[Standing]]:
    """Returns the standing of each test on the reference; without one no test is confirmed."""
    claims = [
        Claim(row.problem, one.tests if row.reference is not None else (), (row.reference or "",))
        for row, one in zip(rows, generated, strict=True)
    ]
    checked = check_by_reference(judge, claims, repair=False)
    return [
        [one.standing for one in found] or [Standing.INVALID] * len(tests.tests)
        for found, tests in zip(checked, generated, strict=True)
    ]


def _kills(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    good: Sequence[tuple[TestCase, ...]],
    limit: int,
    seed: int,
) -> list[dict[str, int]]:
    """Runs mutants of the references on good tests; stops at the first that rejects one."""
    groups = [
        mutants(row.reference or "", entry_point=row.problem.entry_point, limit=limit, seed=seed)
        for row in rows
    ]
    outcomes = _outcomes_of(judge, rows, good, groups)
    survivors = [
        [one for one, outcome in zip(group, found, strict=True) if outcome is Outcome.PASS]
        for group, found in zip(groups, outcomes, strict=True)
    ]
    # Only survivors: what the generated tests killed differs from the reference for certain.
    by_hidden = _outcomes_of(judge, rows, [row.tests for row in rows], survivors)
    return [
        {
            "mutants": sum(outcome.decided for outcome in found),
            "killed": sum(outcome.decided and outcome not in _NO_KILLS for outcome in found),
            "timeouts": found.count(Outcome.TIMEOUT),
            "equivalent": hidden.count(Outcome.PASS),
        }
        for found, hidden in zip(outcomes, by_hidden, strict=True)
    ]


_NO_KILLS = (Outcome.PASS, Outcome.TIMEOUT)


def _outcomes_of(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    tests: Sequence[Sequence[TestCase]],
    groups: Sequence[Sequence[Mutant]],
) -> list[list[Outcome]]:
    """Runs mutants by problem, within the problem's limits; where there is no test, all of them pass."""
    submissions = [
        submission(row.problem, mutant.code, some)
        for row, some, group in zip(rows, tests, groups, strict=True)
        for mutant in group
        if some
    ]
    # One failing test kills a mutant; the others need not run.
    verdicts = iter(judge.evaluate(submissions, stop_at_failure=True))
    return [
        [next(verdicts).outcome if some else Outcome.PASS for _ in group]
        for some, group in zip(tests, groups, strict=True)
    ]


def _sample_counts(
    judge: OutputJudge,
    rows: Sequence[ProblemRow],
    generated: Sequence[GeneratedTests],
    new: Sequence[Tests],
    samples: Mapping[str, Sequence[str]],
) -> list[dict[str, int]]:
    """Judges sampled programs by the hidden tests, the generated ones, and those of these that are new."""
    every = zip(rows, generated, new, strict=True)
    programs = [(row, one, fresh, code) for row, one, fresh in every for code in _of(samples, row)]
    # All batches are in order of (problem, program), so the verdicts pair up below.
    batches = [
        judge.evaluate([submission(row.problem, code, row.tests) for row, _, _, code in programs]),
        judge.evaluate([submission(row.problem, code, one.tests) for row, one, _, code in programs]),
        judge.evaluate([submission(row.problem, code, fresh) for row, _, fresh, code in programs]),
    ]
    verdicts = iter(zip(*batches, strict=True))
    counts = []
    for row in rows:
        found = [
            (
                truth.outcome is Outcome.PASS,
                said.outcome in (Outcome.PASS, Outcome.NO_TESTS),  # none rejects
                by_new.outcome.decided and by_new.outcome not in _NO_KILLS,
            )
            for truth, said, by_new in (next(verdicts) for _ in _of(samples, row))
            if truth.outcome.decided and (said.outcome.decided or said.outcome is Outcome.NO_TESTS)
        ]
        counts.append(
            {
                "right": sum(truth for truth, _, _ in found),
                "right_accepted": sum(truth and accepted for truth, accepted, _ in found),
                "wrong": sum(not truth for truth, _, _ in found),
                "wrong_rejected": sum(not truth and not accepted for truth, accepted, _ in found),
                "wrong_killed": sum(not truth and killed for truth, _, killed in found),
            }
        )
    return counts


def _of(samples: Mapping[str, Sequence[str]], row: ProblemRow) -> Sequence[str]:
    return samples.get(row.problem.task_id, ())


def _new(row: ProblemRow, tests: Sequence[TestCase]) -> tuple[TestCase, ...]:
    """Returns the tests whose input the question does not show."""
    is_shown = shown_by(row.problem)
    return tuple(test for test in tests if not is_shown(test))


def _shown(row: ProblemRow, tests: Sequence[TestCase]) -> int:
    """Returns how many tests use an input that the question shows."""
    return sum(map(shown_by(row.problem), tests))


def _ratio(part: int | None, whole: int) -> float:
    return part / whole if whole and part is not None else math.nan


def _youden(one: ProblemQuality) -> float:
    return _ratio(one.right_accepted, one.right) + _ratio(one.wrong_rejected, one.wrong) - 1
