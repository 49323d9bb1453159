"""Exact means exact: what Python's == tells apart is told apart by calls, by asserts and in a tester."""

import pytest

from o1coder_gym.types import AssertTest, CallTest, Outcome, Submission

IMPORTS = "from decimal import Decimal\nfrom fractions import Fraction\nimport itertools\n"


def outcomes(judge, value, *tests):
    (verdict,) = judge.evaluate([Submission(f"{IMPORTS}def f(n=0): return {value}", "f", tests)])
    return [test.outcome for test in verdict.tests]


@pytest.mark.parametrize(
    ("value", "expected", "equal"),
    [
        ("Decimal('0.3')", "0.3", False),
        ("Decimal('0.1') + Decimal('0.2')", "0.30000000000000004", False),
        ("Decimal('0.5')", "0.5", True),
        ("Decimal('7.00')", "7", True),
        ("Fraction(1, 10)", "0.1", False),
        ("[Fraction(2, 3)]", "[0.6666666666666666]", False),
        ("Fraction(3, 8)", "0.375", True),
        ("2 ** 60 + 1", "1152921504606846976.0", False),
        ("-(2 ** 53) - 1", "-9007199254740992.0", False),
        ("2 ** 60", "1152921504606846976.0", True),
        ("{10 ** 17 + 1: 'a'}", "{1e17: 'a'}", False),
        ("(10 ** 23,)", "(1e23,)", False),
        ("(10 ** 22,)", "(1e22,)", True),
        ("{10 ** 18 + 1, 2}", "{1e18, 2}", False),
        ("1e16 + 1", "10000000000000001", False),
        ("0.1 + 0.2", "0.3", False),
    ],
)
def test_numbers_are_equal_as_they_are_in_python(judge, value, expected, equal):
    assert eval(f"({value}) == ({expected})", _names()) is equal
    tests = (
        CallTest("[]", expected, compare="exact"),
        AssertTest(f"assert f() == {expected}"),
        AssertTest(f"x = 0\nassert [f(x)] == [{expected}]"),
    )
    assert outcomes(judge, value, *tests) == [Outcome.PASS if equal else Outcome.WRONG_ANSWER] * 3


def _names():
    names = {}
    exec(IMPORTS, names)
    return names


@pytest.mark.parametrize(
    ("value", "assertion", "holds"),
    [
        ("1", "f() is True", False),
        ("1 == 1", "f() is True", True),
        ("[1]", "f() is True", False),
        ("0", "f() is False", False),
        ("''", "f() is None", False),
        ("None", "f() is None", True),
        ("0", "f() is not None", True),
        ("None", "f() is not None", False),
    ],
)
def test_is_means_identity(judge, value, assertion, holds):
    tests = (AssertTest(f"assert {assertion}"), AssertTest(f"x = [0]\nassert {assertion} and x"))
    assert outcomes(judge, value, *tests) == [Outcome.PASS if holds else Outcome.WRONG_ANSWER] * 2


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        ("{(0.1 + 0.2, 'a'), (1.5, 'b')}", "{(0.3, 'a'), (1.5, 'b')}", True),
        ("{(1 + 1e-9, 'a'), (1.0, 'b')}", "{(1.0, 'a'), (1 + 1e-9, 'b')}", True),
        ("{((1e-9, 2), 'b'), ((0.0, 3), 'a')}", "{((0.0, 2), 'b'), ((1e-9, 3), 'a')}", True),
        ("{(1.0, 'a'), (1 + 1e-9, 'c')}", "{(1.0, 'a'), (1 + 1e-9, 'b')}", False),
        ("{(1.0, 'a'), (1 + 1e-9, 'a')}", "{(1.0, 'a'), (1 + 1e-9, 'b')}", False),
        ("{(1.1, 'a')}", "{(1.0, 'a')}", False),
    ],
)
def test_sets_of_tuples_with_noise_are_matched(judge, value, expected, same):
    wanted = Outcome.PASS if same else Outcome.WRONG_ANSWER
    assert outcomes(judge, value, CallTest("[]", expected)) == [wanted]


@pytest.mark.parametrize("value", ["itertools.repeat(0)", "(n for n in itertools.count())"])
def test_an_iterator_without_an_end_is_no_prefix(judge, value):
    """Each would be equal if it was cut off."""
    tests = (AssertTest("assert set(f()) == {0}"), CallTest("[]", "[0]"))
    assert Outcome.PASS not in outcomes(judge, value, *tests)
