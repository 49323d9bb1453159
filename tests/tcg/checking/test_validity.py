"""Which tests are trusted: by the reference, by agreement."""

import functools

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.checking.agreement import majority
from o1coder_gym.tcg.checking.validity import (
    CheckedTest,
    Claim,
    Standing,
    check_by_agreement,
    check_by_reference,
)
from o1coder_gym.types import AssertTest, CallTest, Problem, StdioTest

DIVIDE = Problem("divide", "Divide six.", "divide")
CODE = "def divide(n):\n    return 6 // n"
TESTS = (
    CallTest("[2]", "3"),
    CallTest("[3]", "5"),
    CallTest("[0]", "0"),
    AssertTest("assert str(divide(6)) == '1'"),
    AssertTest("assert str(divide(6)) == '2'"),
    AssertTest("assert str(divide(0)) == '2'"),
)


def standings(checked: list[CheckedTest]) -> list[str]:
    return [one.standing.value for one in checked]


def test_the_reference_confirms_rejects_or_cannot_say(judge: Judge) -> None:
    (checked,) = check_by_reference(judge, [Claim(DIVIDE, TESTS, (CODE,))], repair=False)
    assert standings(checked) == ["confirmed", "wrong", "invalid", "confirmed", "wrong", "invalid"]
    assert [one.good for one in checked] == [True, False, False, True, False, False]
    assert [one.test for one in checked] == list(TESTS)


def test_wrong_outputs_are_repaired_and_marked(judge: Judge) -> None:
    (checked,) = check_by_reference(judge, [Claim(DIVIDE, TESTS[:3], (CODE,))], repair=True)
    assert standings(checked) == ["confirmed", "repaired", "invalid"]
    assert checked[1] == CheckedTest(CallTest("[3]", "2"), Standing.REPAIRED)


def test_a_reference_that_changes_its_mind_confirms_nothing(judge: Judge) -> None:
    code = "calls = []\ndef divide(n):\n    calls.append(n)\n    return len(calls)"
    tests = (CallTest("[2]", "1"), CallTest("[3]", "9"))
    (checked,) = check_by_reference(judge, [Claim(DIVIDE, tests, (code,))], repair=True)
    assert standings(checked) == ["invalid", "invalid"]


def test_a_hang_takes_no_other_test_along(judge: Judge) -> None:
    code = "def divide(n):\n    while n == 0:\n        pass\n    return 6 // n"
    tests = (CallTest("[0]", "1"), CallTest("[1]", "6"))
    (checked,) = check_by_reference(judge, [Claim(DIVIDE, tests, (code,))], repair=False)
    assert standings(checked) == ["invalid", "confirmed"]


def test_claims_are_answered_in_order_empty_ones_too(judge: Judge) -> None:
    program = Problem("double", "Double it.")
    claims = [
        Claim(DIVIDE, (), (CODE,)),
        Claim(program, (StdioTest("2\n", "4"), StdioTest("3\n", "7")), ("print(2 * int(input()))",)),
        Claim(DIVIDE, TESTS[:1], ("def divide(",)),
    ]
    checked = check_by_reference(judge, claims, repair=True)
    assert [standings(one) for one in checked] == [[], ["confirmed", "repaired"], ["invalid"]]
    assert checked[1][1].test == StdioTest("3\n", "6\n")


def test_agreement_decides_where_there_is_no_reference(judge: Judge) -> None:
    voters = (CODE, "def divide(n):\n    return int(6 / n)", "def divide(n):\n    return 1")
    tests = (CallTest("[2]", "3"), CallTest("[3]", "5"), CallTest("[0]", "0"), TESTS[3])
    agreement = functools.partial(majority, threshold=0.5)
    (checked,) = check_by_agreement(judge, [Claim(DIVIDE, tests, voters)], agreement, repair=True)
    assert standings(checked) == ["confirmed", "repaired", "invalid", "invalid"]
    (checked,) = check_by_agreement(judge, [Claim(DIVIDE, tests, voters)], agreement, repair=False)
    assert standings(checked) == ["confirmed", "wrong", "invalid", "invalid"]
