"""Cases that checks are written as: equalities, what is less than one, and None for what cannot be read."""

import ast

import pytest

from o1coder_gym.tcg.reading.checks import Checks, is_check
from o1coder_gym.tcg.reading.knowledge import Knowledge
from o1coder_gym.types import AssertTest, CallTest

CHECKS = Checks(Knowledge("f"))


def expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize(
    ("condition", "cases"),
    [
        ("f(1) == 2", [CallTest("[1]", "2")]),
        ("2 == f(1) and not f(3)", [CallTest("[1]", "2"), AssertTest("assert not f(3)")]),
        ("sorted(f([2])) == [2]", [AssertTest("assert sorted(f([2])) == [2]")]),
        ("abs(f(1) - -2) < 0.5", [AssertTest("assert abs(f(1) - (-2)) < 0.5")]),
        ("f(unknown) == 2", [None]),
        ("f(1) > 2", [None]),
        ("1 == 1", []),  # it says nothing of f
    ],
)
def test_conditions(condition, cases) -> None:
    assert CHECKS.of_condition(expression(condition)) == cases


@pytest.mark.parametrize(
    ("call", "cases"),
    [
        ("self.assertEqual(f(1), 2)", [CallTest("[1]", "2")]),
        ("self.assertFalse(f(1))", [AssertTest("assert not f(1)")]),
        ("self.assertCountEqual(f(1), [3, 2])", [AssertTest("assert sorted(f(1)) == [2, 3]")]),
        ("self.assertAlmostEqual(f(1), 2.5, 3)", [AssertTest("assert round(f(1) - 2.5, 3) == 0")]),
        ("self.assertRaises(ValueError, f, 1)", [None]),
        ("math.isclose(f(1), 2.0)", [None]),  # its answer is thrown away
        ("print(f(1))", None),
    ],
)
def test_methods(call, cases) -> None:
    node = expression(call)
    assert isinstance(node, ast.Call)
    assert CHECKS.of_method(node) == cases


def test_what_is_a_check() -> None:
    tree = ast.parse("assert x\nself.assertTrue(x)\nprint(x)\nassertion(x)")
    assert [is_check(getattr(node, "value", node)) for node in tree.body] == [True, True, False, True]
