"""Values that judge themselves: what a verdict without tests is."""

import math

import pytest

from o1coder_gym.types import CaseResult, Outcome, Verdict


def test_a_pass_of_no_tests_is_none() -> None:
    assert Verdict(Outcome.PASS) == Verdict(Outcome.NO_TESTS)
    assert Verdict(Outcome.PASS, (CaseResult(Outcome.PASS),)).outcome is Outcome.PASS
    assert [outcome.after(0) for outcome in Outcome if outcome is not Outcome.PASS] == [
        outcome for outcome in Outcome if outcome is not Outcome.PASS
    ]


def test_what_does_not_decide_is_masked() -> None:
    assert [outcome for outcome in Outcome if not outcome.decided] == [
        Outcome.NO_TESTS,
        Outcome.INFRASTRUCTURE,
    ]


@pytest.mark.parametrize("outcome", [Outcome.COMPILE_ERROR, Outcome.RUNTIME_ERROR, Outcome.TIMEOUT])
def test_a_program_that_does_not_load_passes_nothing(outcome: Outcome) -> None:
    assert Verdict(outcome).pass_ratio == 0.0


def test_the_share_of_no_tests_is_not_a_number() -> None:
    verdict = Verdict(Outcome.NO_TESTS)
    assert math.isnan(verdict.pass_ratio)
    assert (verdict.passed, verdict.total, verdict.compiles) == (0, 0, True)
