"""Values that judge themselves: what a verdict without tests is."""

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
        Outcome.UNSUPPORTED,
        Outcome.INFRASTRUCTURE,
    ]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_without_tests_nothing_is_passed(outcome: Outcome) -> None:
    verdict = Verdict(outcome)
    assert (verdict.passed, verdict.total, verdict.pass_ratio) == (0, 0, 0.0)
    assert verdict.compiles is (outcome is not Outcome.COMPILE_ERROR)
