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


@pytest.mark.parametrize(
    ("code", "right", "wrong"),
    [
        ("from solution import f\ndef test_it():\n    assert f(1) == 2", lambda x: x + 1, lambda x: x),
        ("from solution import f as g\ndef test_it():\n    assert g(1) == 2", lambda x: x + 1, lambda x: x),
        (
            "def test_it():\n    import pytest\n    from solution import f\n"
            "    assert f(0.1) == pytest.approx(0.3)",
            lambda x: x + 0.2,
            lambda x: x,
        ),
        (
            "from pytest import approx as near, raises\nfrom solution import f\ndef test_it():\n"
            "    assert f(1) == near(2)\n    with raises(TypeError, match='str') as e:\n        f('a')\n"
            "    assert e.type is TypeError and e.match('str')",
            lambda x: x + 1,
            lambda x: int(x) + 1,
        ),
        (
            "import math, pytest as pt\nfrom solution import f\n"
            "@pt.mark.parametrize(argnames=('x', 'y'), argvalues=[pt.param(1, 2, id='a'), (2, 3)])\n"
            "def test_it(x, y):\n    assert math.isclose(f(x), y)",
            lambda x: x + 1,
            lambda x: 2,
        ),
        (
            "import pytest\nfrom solution import f\n"
            "@pytest.mark.parametrize('x', [pytest.param((1,)), (2,)])\n"
            "@pytest.mark.parametrize('y', [0, 1])\n"
            "def test_it(x, y, z=0):\n    assert f(x) == x + (y,) + (z,) or y",
            lambda x: (*x, 0, 0),
            lambda x: x,
        ),
        (
            "import pytest\nfrom solution import f\n"
            "@pytest.mark.timeout(5)\n@pytest.mark.slow\ndef test_it():\n"
            "    try:\n        f(None)\n    except TypeError:\n        return\n    pytest.fail('no error')",
            lambda x: x + 1,
            lambda x: x,
        ),
        (
            "import pytest\nfrom solution import f\n@pytest.mark.asyncio\nasync def test_it():\n"
            "    assert await f(1) == 2",
            None,
            None,
        ),
        (
            "import pytest\nfrom solution import f\n"
            "@pytest.mark.parametrize('x', [1, 2])\n@pytest.mark.asyncio\n"
            "async def test_it(x):\n    assert await f(x) == x + 1",
            None,
            None,
        ),
        (
            "'What it tests.'\nfrom __future__ import annotations\nimport pytest\nfrom solution import f\n"
            "def test_it(x: Unknown = 1):\n    assert f(x) == pytest.approx(2)",
            lambda x: x + 1,
            lambda x: x,
        ),
        (
            "from solution import f\ndef test_it():\n    assert f(1) == 2\n"
            "if __name__ == '__main__':\n    import pytest\n    pytest.main()",
            lambda x: x + 1,
            lambda x: x,
        ),
    ],
)
def test_pytest_is_written_in_many_ways(code, right, wrong):
    async def coroutine(x):
        return x + 1

    async def other(x):
        return 2 * x - 1

    checks, names = pytest_checks(code, "test")
    assert names == ["f"]
    assert [accepts(check, f=right or coroutine) for check in checks] == [True] * len(checks)
    assert [accepts(check, f=wrong or other) for check in checks] == [False] * len(checks)


@pytest.mark.parametrize(
    ("got", "approx", "close"),
    [
        (1e9 + 500, "1e9", True),
        (1e9 + 500, "1e9, abs=1", False),
        (1e9 + 500, "1e9, abs=501", True),
        (1e9 + 500, "1e9, rel=1e-9", False),
        (1e9 + 500, "1e9, rel=1e-9, abs=501", True),
        (1e-13, "0", True),
        (1e-11, "0", False),
        (0.0, "0, abs=0, rel=0", True),
        (1e-300, "0, abs=0, rel=0", False),
        (float("inf"), "float('inf')", True),
        (1.0, "float('inf')", False),
        (float("nan"), "float('nan')", False),
        (float("nan"), "float('nan'), nan_ok=True", True),
        ((0.1 + 0.2, None), "(0.3, None)", True),
        ("a", "'a'", True),
    ],
)
def test_approx_is_that_of_pytest(got, approx, close):
    assert eval(f"got == pytest.approx({approx})") is close  # the one that stands in a check is to agree
    code = f"import pytest\nfrom solution import f\ndef test_it():\n    assert f() == pytest.approx({approx})"
    assert accepts(pytest_checks(code, "test")[0][0], f=lambda: got) is close


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
        (
            "import pytest\n@pytest.mark.parametrize('n', [1])\ndef test_f(n, capsys):\n    pass",
            "test_f wants the fixture 'capsys'",
        ),
        ("import pytest\n@pytest.fixture\ndef n(): return 1\ndef test_f():\n    pass", "uses pytest.fixture"),
        ("from pytest import warns\ndef test_f():\n    pass", "uses pytest.warns"),
        ("import pytest\n@pytest.mark.xfail\ndef test_f():\n    pass", "test_f is marked xfail"),
        ("import pytest\n@pytest.mark.skipif(1)\ndef test_f():\n    pass", "test_f is marked skipif"),
        ("class TestF:\n    def test_f(self): pass\ndef test_g(): pass", "the tests of class TestF"),
        ("def check(x): pass\ndef test_f(): check(1)", "defines 'check'"),
        ("def setup_function(): pass\ndef test_f(): pass", "defines 'setup_function'"),
        ("import solution\ndef test_f():\n    solution.f()", "imports all of solution"),
        ("from solution import *\ndef test_f():\n    f()", "imports all of solution"),
    ],
)
def test_what_cannot_be_a_check_is_named(code, message):
    with pytest.raises(ProblemFileError, match=message):
        pytest_checks(code, "test")


def test_asynchronous_methods_are_tests_too():
    head = "from __future__ import annotations\nclass A(unittest.IsolatedAsyncioTestCase):\n"
    test = "    async def test_it(self):\n        self.assertEqual(f(1), 2)\n"
    (check,) = unittest_checks(head + test, "test")
    assert accepts(check, f=lambda x: x + 1)
    assert not accepts(check, f=lambda x: x)


def test_a_class_without_tests_is_named():
    with pytest.raises(ProblemFileError, match="field 'test': defines no test method"):
        unittest_checks("class A:\n    pass", "test")


def test_a_check_holds_its_own_test_alone():
    code = "def test_a(): assert f(1)\ndef test_b(): assert f(2)\ndef test_c(): test_b()\n"
    checks, _ = pytest_checks(f"from solution import f\n{code}", "test")
    assert [[name in check.code for name in ("test_a", "test_b", "test_c")] for check in checks] == [
        [True, True, False],
        [False, True, False],
        [False, True, True],
    ]
    one, two, three = unittest_checks(CASES, "test")
    assert [check.code.count("def test_") for check in (one, two, three)] == [1, 1, 1]
    assert ["setUp" in two.code, "f(self.m)" in two.code, "f(self.n)" in two.code] == [True, True, False]
