"""Validity of generated tests: confirmed by the reference (mode A) or by agreement (mode B)."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.tcg.checking.agreement import Agreed, Agreement
from o1coder_gym.tcg.checking.execution import (
    Observation,
    OutputJudge,
    Program,
    observe_twice,
    test_of,
)
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.types import CallTest, Outcome, Problem, StdioTest, TestCase


class Standing(enum.StrEnum):
    """The verdict on a generated test."""

    CONFIRMED = "confirmed"
    """Its output is that of the reference, or the one agreed on."""
    REPAIRED = "repaired"
    """Its input is good; its output was wrong and has been replaced."""
    WRONG = "wrong"
    """Its input is good; its output is wrong, and repair was not asked for or not possible."""
    INVALID = "invalid"
    """The reference fails on its input, or is not deterministic there; or no output is agreed on."""


@dataclass(frozen=True, slots=True)
class CheckedTest:
    """A test with its standing; a repaired one is the test after the repair.

    Attributes:
        test: The test.
        standing: The verdict on it.
        support: Share of the voters behind its output, in (0, 1]; 1 in mode A, whose reference decides alone.
    """

    test: TestCase
    standing: Standing
    support: float = 1.0

    @property
    def good(self) -> bool:
        """Whether the test may be used."""
        return self.standing in (Standing.CONFIRMED, Standing.REPAIRED)


@dataclass(frozen=True, slots=True)
class Claim:
    """Tests of one problem, and the programs that decide about them.

    Attributes:
        problem: The question.
        tests: The generated tests.
        programs: The reference alone in mode A; solutions in mode B.
    """

    problem: Problem
    tests: tuple[TestCase, ...]
    programs: tuple[str, ...]


def check_by_reference(
    judge: OutputJudge, claims: Sequence[Claim], *, repair: bool
) -> list[list[CheckedTest]]:
    """Decides about tests by running the reference, the first program of each claim (mode A).

    Args:
        judge: Runs it.
        claims: Tests with their references.
        repair: Whether wrong outputs are replaced by those of the reference.

    Returns:
        For each claim one answer per test, in order.
    """
    observed = observe_twice(judge, [_program(claim, claim.programs[0]) for claim in claims])
    drafts = [_Draft(claim, _by_test(claim, seen)) for claim, seen in zip(claims, observed, strict=True)]
    submissions = [
        submission(draft.claim.problem, draft.claim.programs[0], (test,))
        for draft in drafts
        for test in draft.runnable
    ]
    # Each test alone: in one process a program that remembers calls could pass by the tests before it.
    verdicts = iter(judge.evaluate(submissions))
    return [draft.decide([next(verdicts).outcome for _ in draft.runnable], repair) for draft in drafts]


def check_by_agreement(
    judge: OutputJudge, claims: Sequence[Claim], agreement: Agreement, *, repair: bool
) -> list[list[CheckedTest]]:
    """Decides about tests by what solutions agree on (mode B); arguments as for `check_by_reference`.

    Tests whose input cannot be taken out of them (asserts with a view of the result) are invalid.
    """
    programs = [_program(claim, code) for claim in claims for code in claim.programs]
    observed = iter(observe_twice(judge, programs))
    checked = []
    for claim in claims:
        rows = [next(observed) for _ in claim.programs]
        agreed = agreement(stable_outputs(rows), same=same_of(claim.problem))
        votes = iter(agreed)
        checked.append([_agreed_test(claim, test, votes, repair) for test in claim.tests])
    return checked


def stable_outputs(observed: Sequence[Sequence[Observation | None]]) -> list[list[str | None]]:
    """Returns the votes among observations of `observe_twice`; programs that failed or wavered have none."""
    return [[None if one is None else one.output for one in row] for row in observed]


def _agreed_test(claim: Claim, test: TestCase, votes: Iterator[Agreed | None], repair: bool) -> CheckedTest:
    """Decides about one test; takes its agreed output from `votes`."""
    agreed = next(votes, None) if isinstance(test, CallTest | StdioTest) else None
    if agreed is None or not isinstance(test, CallTest | StdioTest):
        return CheckedTest(test, Standing.INVALID)
    written = test.expected if isinstance(test, CallTest) else test.stdout
    if same_of(claim.problem)(agreed.output, written):
        return CheckedTest(test, Standing.CONFIRMED, agreed.support)
    if not repair:
        return CheckedTest(test, Standing.WRONG, agreed.support)
    repaired = test_of(claim.problem.entry_point, _input(test), agreed.output)
    return CheckedTest(repaired, Standing.REPAIRED, agreed.support)


def _input(test: CallTest | StdioTest) -> str:
    return test.args if isinstance(test, CallTest) else test.stdin


def _program(claim: Claim, code: str) -> Program:
    inputs = tuple(_input(test) for test in claim.tests if isinstance(test, CallTest | StdioTest))
    return Program(claim.problem, code, inputs)


_STANDINGS = {Outcome.PASS: Standing.CONFIRMED, Outcome.WRONG_ANSWER: Standing.WRONG}


def _by_test(claim: Claim, observed: Sequence[Observation | None]) -> list[Observation | None]:
    """Returns the reference's output on each test's input; none for asserts, which have no input."""
    seen = iter(observed)
    unknown = Observation(None, Outcome.PASS)
    return [next(seen) if isinstance(test, CallTest | StdioTest) else unknown for test in claim.tests]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A claim with its reference's outputs; None where the reference contradicts itself."""

    claim: Claim
    observed: list[Observation | None]

    @property
    def runnable(self) -> list[TestCase]:
        """The tests on whose input the reference does not fail; each is judged on its own."""
        pairs = zip(self.claim.tests, self.observed, strict=True)
        return [test for test, seen in pairs if _is_good(seen)]

    def decide(self, outcomes: Sequence[Outcome], repair: bool) -> list[CheckedTest]:
        """Returns the standing of every test, given the verdicts on the runnable ones."""
        judged = iter(outcomes)
        return [
            self._decide(test, seen, next(judged), repair)
            if seen is not None and _is_good(seen)
            else CheckedTest(test, Standing.INVALID)
            for test, seen in zip(self.claim.tests, self.observed, strict=True)
        ]

    def _decide(self, test: TestCase, seen: Observation, outcome: Outcome, repair: bool) -> CheckedTest:
        standing = _STANDINGS.get(outcome, Standing.INVALID)
        if not (repair and standing is Standing.WRONG and seen.output is not None):
            return CheckedTest(test, standing)
        assert isinstance(test, CallTest | StdioTest)
        repaired = test_of(self.claim.problem.entry_point, _input(test), seen.output)
        return CheckedTest(repaired, Standing.REPAIRED)


def _is_good(seen: Observation | None) -> bool:
    return seen is not None and seen.outcome is Outcome.PASS
