"""pytest modules and unittest classes become checks that mean the same."""

import ast

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.test_programs import pytest_checks, unittest_checks


def accepts(check, **names):
    namespace = dict(names)
    exec(check.code, namespace)
    try:
        namespace["check"](next(iter(names.values())))
    except (AssertionError, ValueError):
        return False
    return True


MODULE = """
import math
import pytest
from solution import root

LIMIT = 1e-9

def near(a, b):
    return abs(a - b) < LIMIT

def test_near():
    assert near(root(4), 2)

def test_approx():
    assert root(2) == pytest.approx(1.41421356)
    assert [root(4), 1] == pytest.approx([2.0000001, 1])
    assert {"a": root(4)} == pytest.approx({"a": 2})

@pytest.mark.parametrize("n, expected", [(9, 3), (16, 4)])
def test_squares(n, expected):
    assert root(n) == expected

@pytest.mark.parametrize("n", [1, 0])
def test_fixed(n):
    assert root(n) == n

def test_raises():
    with pytest.raises(ValueError, match="domain|negative"):
        root(-1)
    with pytest.raises((TypeError, ValueError)) as caught:
        root(-1)
    assert isinstance(caught.value, ValueError)
    pytest.raises(ValueError, root, -1)
"""


def test_each_pytest_function_is_a_check():
    checks, names = pytest_checks(MODULE, "test")
    assert names == ["root"]
    assert len(checks) == 5
    import math

    assert [accepts(check, root=math.sqrt) for check in checks] == [True] * 5
    assert [accepts(check, root=lambda n: 3) for check in checks] == [False] * 5
    assert [accepts(check, root=lambda n: abs(n) ** 0.5) for check in checks] == [True] * 4 + [False]


def test_checks_import_neither_pytest_nor_the_program():
    for check in pytest_checks(MODULE, "test")[0]:
        imported = [node for node in ast.walk(ast.parse(check.code)) if isinstance(node, ast.ImportFrom)]
        assert imported == []
        assert "import pytest" not in check.code
    plain, _ = pytest_checks("from solution import f\ndef test_f():\n    assert f(1) == 1\n", "test")
    assert "class pytest" not in plain[0].code


CASES = """
import unittest

class A(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.n = 2

    def setUp(self):
        self.m = 3

    def test_one(self):
        self.assertEqual(f(self.n), 4)

    def test_two(self):
        self.assertEqual(f(self.m), 6)

class B(unittest.TestCase):
    def test_one(self):
        with self.assertRaises(ValueError):
            f("x")
"""


def test_unittest_methods_are_run_with_their_set_up():
    checks = unittest_checks(CASES, "test")
    assert len(checks) == 3
    assert [accepts(check, f=lambda x: int(x) * 2) for check in checks] == [True] * 3
    assert [accepts(check, f=lambda x: 6) for check in checks] == [False, True, False]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def (", "field 'test': not Python"),
        ("x = 1", "field 'test': defines no test function"),
        ("def test_f(tmp_path):\n    pass", "field 'test': test_f wants the fixture 'tmp_path'"),
    ],
)
def test_what_cannot_be_a_check_is_named(code, message):
    with pytest.raises(ProblemFileError, match=message):
        pytest_checks(code, "test")


def test_a_class_without_tests_is_named():
    with pytest.raises(ProblemFileError, match="field 'test': defines no test method"):
        unittest_checks("class A:\n    pass", "test")
