"""One score under all doors: rewards, masks, and what is no program."""

import asyncio
import math

import pytest

from o1coder_gym.adapters.scoring import GroundTruth, Score, score, score_all, score_all_async
from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.problems.answers.solutions import program_in
from o1coder_gym.steps.answers import find_program
from o1coder_gym.types import AssertTest, CallTest, Outcome, Verdict

RIGHT, WRONG = "def double(x):\n    return 2 * x", "def double(x):\n    return x"
TESTS = (CallTest("[2]", "4"), CallTest("[0]", "0"))


@pytest.mark.parametrize(
    ("code", "reward", "ratio", "outcome"),
    [
        (RIGHT, 1.0, 1.0, "pass"),
        (WRONG, 0.0, 0.5, "wrong_answer"),
        ("def double(x)", 0.0, 0.0, "compile_error"),
        (None, 0.0, 0.0, "no_program"),
    ],
)
def test_a_program_is_worth_what_its_tests_say(code, reward, ratio, outcome):
    found = score(code, TESTS, entry_point="double")
    assert (found.reward, found.pass_ratio, found.outcome, found.masked) == (reward, ratio, outcome, False)
    assert bool(found.error) == (reward == 0.0)
    assert found.demand() == reward


def test_without_tests_there_is_no_reward():
    found = score(RIGHT, (), entry_point="double")
    assert found.masked
    assert math.isnan(found.reward)
    assert math.isnan(found.pass_ratio)
    with pytest.raises(InfrastructureError, match="no_tests"):
        found.demand()


@pytest.mark.parametrize("outcome", [one for one in Outcome if not one.decided])
def test_what_is_not_decided_is_masked(outcome):
    assert Score(Verdict(outcome)).masked


def test_a_batch_keeps_its_order_and_its_gaps():
    truth = GroundTruth(TESTS, "double")
    items = [(RIGHT, truth), (None, truth), (WRONG, truth)]
    assert [found.reward for found in score_all(items)] == [1.0, 0.0, 0.0]
    assert [found.outcome for found in asyncio.run(score_all_async(items))] == [
        "pass",
        "no_program",
        "wrong_answer",
    ]


def test_a_test_that_fits_no_program_is_an_error_of_the_caller():
    with pytest.raises(UsageError, match="entry point"):
        score(RIGHT, TESTS)


def test_asserts_need_no_entry_point():
    assert score(RIGHT, (AssertTest("assert double(2) == 4"),)).reward == 1.0


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        (f"Here:\n```python\n{RIGHT}\n```\nDone.", RIGHT),
        (RIGHT, RIGHT),
        ("I cannot do this.", "I cannot do this."),  # judged, and wrong; a search for a program finds none
        ("  \n", None),
        (f"<think>```python\n{RIGHT}\n```", None),
    ],
)
def test_the_program_of_an_answer(answer, program):
    assert program_in(answer) == program
    assert find_program("I cannot do this.") is None
