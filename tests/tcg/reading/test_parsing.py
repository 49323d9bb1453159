"""The parser: hand-written forms, then what models really wrote."""

import json
from ast import literal_eval
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.tcg.reading.parsing import MAX_TEXT, parse_tests
from o1coder_gym.types import AssertTest, CallTest, StdioTest, TestCase
from tests.examples import examples

RECORDED = [
    json.loads(line) for line in (Path(__file__).parent / "recorded_outputs.jsonl").read_text().splitlines()
]


def call(args: str, expected: str, tol: float | None = None) -> CallTest:
    return CallTest(args, expected, tol)


def close(relative: float, absolute: float) -> AssertTest:
    tolerances = f"rel_tol={relative!r}, abs_tol={absolute!r}"
    return AssertTest(f"import math\nassert math.isclose(f(2), 1.5, {tolerances})")


FORMS: list[tuple[str, list[str], list[TestCase]]] = [
    # asserts
    ("assert f(1, 2) == 3", ["a", "b"], [call("[1, 2]", "3")]),
    ("assert 3 == f(1, 2)", ["a", "b"], [call("[1, 2]", "3")]),
    ("assert f(1, b=2) == 3, 'should be 3'", ["a", "b"], [call("[1, 2]", "3")]),
    ("assert f([0] * 3) == set()", ["a"], [call("[[0, 0, 0]]", "set()")]),
    ("assert f(1)", ["a"], [AssertTest("assert f(1)")]),
    ("assert not f(1)", ["a"], [AssertTest("assert not f(1)")]),
    ("assert f(1) is True", ["a"], [call("[1]", "True")]),
    ("assert f(1) is None", ["a"], [call("[1]", "None")]),
    # tolerances are kept as they are
    ("assert abs(f(2) - 1.5) < 1e-3", ["a"], [AssertTest("assert abs(f(2) - 1.5) < 0.001")]),
    ("assert abs(-1.5 - f(2)) <= 1", ["a"], [AssertTest("assert abs(f(2) - (-1.5)) <= 1")]),
    ("assert math.isclose(f(2), 1.5)", ["a"], [close(1e-9, 0.0)]),
    ("assert isclose(1.5, f(2), rel_tol=0.1, abs_tol=1)", ["a"], [close(0.1, 1)]),
    ("assert math.isclose(f(2), 1.5, rel_tol=x)", ["a"], []),
    ("assert f(2) == pytest.approx(1.5)", ["a"], [AssertTest("assert abs(f(2) - 1.5) <= 1.5e-06")]),
    ("assert f(2) == approx(100, rel=0.1, abs=1)", ["a"], [AssertTest("assert abs(f(2) - 100) <= 10.0")]),
    ("assert f(2) == approx([1.5, 2.5])", ["a"], []),
    ("assert f(2) == pytest.approx(100, 0.1)", ["a"], [AssertTest("assert abs(f(2) - 100) <= 10.0")]),
    ("assert approx(1e6, abs=0.5) == f(2)", ["a"], [AssertTest("assert abs(f(2) - 1000000.0) <= 0.5")]),
    ("assert np.allclose(f(2), 0)", ["a"], [AssertTest("assert abs(f(2) - 0) <= 1e-08")]),
    ("assert np.isclose(f(2), 0)", ["a"], [AssertTest("assert abs(f(2) - 0) <= 1e-08")]),
    ("assert np.isclose(f(2), 4, 0.5, 1)", ["a"], [AssertTest("assert abs(f(2) - 4) <= 3.0")]),
    ("assert math.isclose(f(2), 1.5, rel_tol=0)", ["a"], [close(0, 0.0)]),
    ("assert math.isclose(f(2), 1.5, 0.1)", ["a"], []),  # a TypeError
    ("assert np.allclose(1.5, f(2))", ["a"], []),  # relative to the result
    ("self.assertAlmostEqual(f(2), 1.5, delta=0.1)", ["a"], [AssertTest("assert abs(f(2) - 1.5) <= 0.1")]),
    ("self.assertAlmostEqual(f(2), 1.5, 2)", ["a"], [AssertTest("assert round(f(2) - 1.5, 2) == 0")]),
    # what is no equality, is not made one
    ("assert f(1) == 2 or f(1) == 3", ["a"], []),
    ("assert f(1) in (2, 3)", ["a"], []),
    ("assert f(1) == 2 and f(2) == 3", ["a"], [call("[1]", "2"), call("[2]", "3")]),
    ("self.assertCountEqual(f(1), [3, 2])", ["a"], [AssertTest("assert sorted(f(1)) == [2, 3]")]),
    ("self.assertCountEqual(f(1), [3, 'a'])", ["a"], []),
    ("self.assertTrue(f(1) == 2)", ["a"], [call("[1]", "2")]),
    ("self.assertSequenceEqual(f(1), (1, 2))", ["a"], [AssertTest("assert list(f(1)) == [1, 2]")]),
    ("self.assertSequenceEqual([2], list(f(1)))", ["a"], [AssertTest("assert list(f(1)) == [2]")]),
    ("assert ' a'.f(1) == 2\ntext = 'a'\nassert text.f(1) == 2\nassert text.strip().f(1) == 2", ["a"], []),
    ("self.assertFalse(f(1))", ["a"], [AssertTest("assert not f(1)")]),
    ("f(2) -> 4 or 5", ["a"], []),
    ("f(2) -> ~4", ["a"], []),
    ("print(f([2, 1]))  # [1, 2] in some order", ["a"], []),
    ("f([2, 1]) -> [1, 2] (in any order)", ["a"], []),
    # what does not run, or may not
    ("if False:\n    assert f(1) == 2\nelse:\n    assert f(2) == 3", ["a"], [call("[2]", "3")]),
    ("if ready():\n    assert f(1) == 2\nassert f(2) == 3", ["a"], [call("[2]", "3")]),
    ("def test():\n    assert f(1) == 2\n    return\n    assert f(2) == 3", ["a"], [call("[1]", "2")]),
    ("if __name__ == '__main__':\n    assert f(1) == 2", ["a"], [call("[1]", "2")]),
    (
        "for x, y in [(1, 2), (3, 4)]:\n    if x > 1:\n        continue\n    assert f(x) == y",
        ["a"],
        [call("[1]", "2")],
    ),
    ("for x, y in [(1, 2), (3, 4)]:\n    assert f(x) == y\n    break", ["a"], [call("[1]", "2")]),
    ("def test():\n    if hard():\n        return\n    assert f(1) == 2", ["a"], []),
    ("def test():\n    pytest.skip('later')\n    assert f(1) == 2", ["a"], []),
    ("while True:\n    assert f(1) == 2\n    break", ["a"], []),
    ("@pytest.mark.xfail\ndef test():\n    assert f(1) == 2", ["a"], []),
    ("@unittest.skip('x')\ndef test():\n    assert f(1) == 2\nassert f(2) == 3", ["a"], [call("[2]", "3")]),
    ("@unittest.skip('x')\nclass T(TestCase):\n    def test(self):\n        assert f(1) == 2", ["a"], []),
    (
        "@pytest.mark.parametrize('x', [1, 2], indirect=True)\ndef test(x):\n    assert f(x) == 3",
        ["a"],
        [],
    ),
    ("with suppress(AssertionError):\n    assert f(1) == 2", ["a"], []),
    ("try:\n    pass\nfinally:\n    assert f(1) == 2", ["a"], [call("[1]", "2")]),
    ("async def test():\n    assert f(1) == 2", ["a"], [call("[1]", "2")]),
    # what may have changed since
    ("x = 1\nx += 1\nassert f(x) == 4", ["a"], []),
    ("x = 1\nx = random()\nassert f(x) == 4", ["a"], []),
    ("x = 1\nx = y = 2\nassert f(x, y) == 4", ["a", "b"], [call("[2, 2]", "4")]),
    ("x = 1\nif hard():\n    x = 2\nassert f(x) == 4", ["a"], []),
    ("xs = [1]\nxs.append(2)\nassert f(xs) == 3", ["a"], []),
    ("xs = [1]\nys = xs\nys[0] = 5\nassert f(xs) == 5", ["a"], []),
    ("xs = [2, 1]\nrandom.shuffle(xs)\nassert f(xs) == 3", ["a"], []),
    ("xs = [1]\nprint(xs)\nassert f(xs) == 1", ["a"], [call("[[1]]", "1")]),
    ("r = f([2, 1])\nr.sort()\nassert r == [1, 2]", ["a"], []),
    ("xs = [2, 1]\nf(xs)\nassert xs == [1, 2]", ["a"], []),
    ("x = 5\ndef check(x):\n    assert f(x) == 10\ncheck(3)", ["a"], []),
    ("xs = [[1]]\nx = xs[0]\nx.append(2)\nassert f(xs) == 2", ["a"], []),
    ("x = [0]\nxs = [x] * 2\nx[0] = 1\nassert f(xs) == 2", ["a"], []),
    ("xs = [[1], [2]]\nfor x in xs:\n    x.append(3)\nassert f(xs) == 9", ["a"], []),
    ("x = [1]\nxs = (x, 2)\nx += [3]\nassert f(xs) == 2", ["a"], []),
    (
        "xs = [[1], [2]]\nx = xs[0]\nx = xs[1]\nassert f(x) == 2\nassert f(xs) == 3",
        ["a"],
        [call("[[2]]", "2"), call("[[[1], [2]]]", "3")],
    ),
    ("xs = [1]\nfor n, x in enumerate([xs]):\n    x.append(2)\nassert f(xs) == 3", ["a"], []),
    ("xs = [1]\ny = made(xs)\ny.append(2)\nassert f(xs) == 3", ["a"], []),
    ("xs = [1]\nys = []\nys.append(2)\nys.append(3)\nassert f(xs) == 1", ["a"], [call("[[1]]", "1")]),
    ("xs = [1]\nlist(map(xs.append, [2]))\nassert f(xs) == 3", ["a"], []),
    ("xs = [1]\ndef reset():\n    xs.clear()\nreset()\nassert f(xs) == 0", ["a"], []),
    ("def reset():\n    xs.clear()\nxs = [1]\nreset()\nassert f(xs) == 0", ["a"], []),
    ("x = 1\ndef change():\n    global x\n    x = 2\nchange()\nassert f(x) == 4", ["a"], []),
    ("def add(ys):\n    ys.append(1)\nxs = [1]\nn = add(xs)\nassert f(xs) == 2", ["a"], []),
    ("x = 1\nwith made() as x:\n    assert f(x) == 4", ["a"], []),
    ("x = 1\nclass T:\n    x = 2\n    def test(self):\n        assert f(x) == 3", ["a"], []),
    (
        "class T:\n    x = 2\n    def test(self):\n        pass\nx = 1\nassert f(x) == 3",
        ["a"],
        [call("[1]", "3")],
    ),
    ("r = f([2, 1])\ns = r\ns.sort()\nassert r == [1, 2]", ["a"], []),
    (
        "x = 1\ndef test():\n    x = 2\n    assert f(x) == 4\nassert f(x) == 3",
        ["a"],
        [
            call("[2]", "4"),
            call("[1]", "3"),
        ],
    ),
    ("try:\n    assert f(1) == 2\nexcept AssertionError:\n    pass", ["a"], []),
    ("with pytest.raises(AssertionError):\n    assert f(1) == 2", ["a"], []),
    ("assert sorted(f([2, 1])) == [1, 2]", ["a"], [AssertTest("assert sorted(f([2, 1])) == [1, 2]")]),
    ("1. assert f(1) == 2\n2. `assert f(2) == 3`", ["a"], [call("[1]", "2"), call("[2]", "3")]),
    ("assert f([\n    1,\n    2,\n]) == 3", ["a"], [call("[[1, 2]]", "3")]),
    ("Here you are:\n```python\nassert f(1) == 2\n```\nDone.", ["a"], [call("[1]", "2")]),
    ("data = [1, 2]\nresult = f(data)\nwant = 3\nassert result == want", ["a"], [call("[[1, 2]]", "3")]),
    ("assert Solution().f(1) == 2", ["a"], [call("[1]", "2")]),
    ("assert f(1) == 2\nassert f(1) == 3", ["a"], []),
    # test functions
    (
        "def test_it():\n    assert f(1) == 2\n    assert f(2) == 3",
        ["a"],
        [call("[1]", "2"), call("[2]", "3")],
    ),
    ("def test_cut():\n    assert f(1) == 2\n    assert f(", ["a"], [call("[1]", "2")]),
    (
        "class T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n"
        "        self.assertTrue(f(3))\n        self.assertIsNone(f(4))\n"
        "        self.assertAlmostEqual(f(5), 1.5)",
        ["a"],
        [
            call("[1]", "2"),
            AssertTest("assert f(3)"),
            call("[4]", "None"),
            AssertTest("assert round(f(5) - 1.5, 7) == 0"),
        ],
    ),
    (
        "@pytest.mark.parametrize('x, y', [(1, 2), (3, 4)])\ndef test(x, y):\n    assert f(x) == y",
        ["x"],
        [call("[1]", "2"), call("[3]", "4")],
    ),
    (
        "cases = [((1, 2), 3), ((4, 5), 9)]\nfor (a, b), want in cases:\n    assert f(a, b) == want",
        ["a", "b"],
        [call("[1, 2]", "3"), call("[4, 5]", "9")],
    ),
    # calls with a result
    (">>> f(2)\n4\n>>> f('a b')\n'b a'", ["a"], [call("[2]", "4"), call("['a b']", "'b a'")]),
    ("print(f(2))\n# Output: 4\nprint(f(3))\n# => 9", ["a"], [call("[2]", "4"), call("[3]", "9")]),
    ("print(f(2))  # Output: 4\nprint(f(3)) # 9", ["a"], [call("[2]", "4"), call("[3]", "9")]),
    ("- `f(2)` should return `4`.\n- f([1]) -> [2]", ["a"], [call("[2]", "4"), call("[[1]]", "[2]")]),
    # of which the result is another one's
    ("print(f(2), f(3))  # 4 9", ["a"], []),
    ("print(len(f(2)))  # 1", ["a"], []),
    ("print(f(f(2)))  # 16\nprint(1 + f(2))  # 5\nnot f(2) -> True", ["a"], []),
    ("2 * f(2) -> 8\nThe sum of f(2) and f(3) is 13\nf(2), f(3) -> (4, 9)", ["a"], []),
    ("* f(2) -> 4\n- f(3) -> 9 - not 6", ["a"], [call("[2]", "4"), call("[3]", "9")]),
    # a comment on how the result comes about
    ("f(3)  # 1 + 3 + 5 = 9\nf(2)  # 2 -> 4\nf(1)  # 0 < x\nf(0)  # 0 == 0**2", ["a"], []),
    ("f(2)  # 1 + 3\nf(3)  # 9 = 3 * 3", ["a"], [call("[2]", "4"), call("[3]", "9")]),
    ("It is right (f(2) -> 4 here), and, say, f(3) -> 9", ["a"], [call("[2]", "4"), call("[3]", "9")]),
    (">>> f(2) == 5\nFalse", ["a"], []),
    (">>> f(2) == 4\nTrue", ["a"], [call("[2]", "4")]),
    ("f(2) == 5  # False\nf(2) == 4  # True", ["a"], [call("[2]", "4")]),
    ("f(2) -> 1,000\nf(3) -> (1, 0)", ["a"], [call("[3]", "(1, 0)")]),
    ("f(2) returns true, and f(3) => false", ["a"], [call("[2]", "True"), call("[3]", "False")]),
    # labels
    (
        "**Test 1**\n- Input: `nums = [1, 2], k = 3`\n- Expected Output: `[3]`\n\n"
        "**Test 2**\n- Input: `nums = []`, `k = 0`\n- Output: `[]`",
        ["nums", "k"],
        [call("[[1, 2], 3]", "[3]"), call("[[], 0]", "[]")],
    ),
    ("Input: [1, 2]\nOutput: 3", ["a"], [call("[[1, 2]]", "3")]),
    ("Input: [1, 2]\nOutput: 3", ["a", "b"], [call("[1, 2]", "3")]),
    ("Input: f(1, 2)\nExpected: 3", ["a", "b"], [call("[1, 2]", "3")]),
    # data
    ('[{"input": [1, 2], "output": 3}]', ["a", "b"], [call("[1, 2]", "3")]),
    ('[{"input": {"a": 1, "b": 2}, "expected": 3}]', ["a", "b"], [call("[1, 2]", "3")]),
    ('```json\n{"inputs": [[1], [2]], "outputs": [2, 3]}\n```', ["a"], [call("[1]", "2"), call("[2]", "3")]),
    ("tests = [(1, 2), (3, 4)]", ["a"], [call("[1]", "2"), call("[3]", "4")]),
    ("return f([(1, 2), (3, 4)])", ["a"], []),
    ("grid = [[1, 2], [3, 4]]\nshow(grid)", ["a"], []),
    ("grid = make()\nassert f(grid) == [[1, 2], [3, 4]]", ["a"], []),
    ('[{"input": 1, "output": 2}, {"input": 3, "output"', ["a"], [call("[1]", "2")]),
]


@pytest.mark.parametrize(("text", "parameters", "expected"), FORMS)
def test_forms_of_function_tests(text: str, parameters: list[str], expected: list[TestCase]) -> None:
    assert list(parse_tests(text, "f", parameters).tests) == expected


def test_a_function_called_like_a_builtin_is_none() -> None:
    parsed = parse_tests("assert sum(10, 15) == 6\nassert sum([1, 2]) == sum([2, 1])", "sum", ["a", "b"])
    assert parsed.tests == (call("[10, 15]", "6"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Input:\n2\n1 2\nOutput:\n3\n\nInput:\n5\nOutput:\n6\n", [("2\n1 2\n", "3\n"), ("5\n", "6\n")]),
        ("```\nInput:\n2\nOutput:\n3\n\nInput:\n5\nOutput:\n6\n```", [("2\n", "3\n"), ("5\n", "6\n")]),
        ("### Input\n```\n2\n1 2\n```\n### Output\n```\n3\n```", [("2\n1 2\n", "3\n")]),
        ('[{"input": "2\\n1 2\\n", "output": "3\\n"}]', [("2\n1 2\n", "3\n")]),
        ("Test case 1:\nInput: 5\nExpected output: 25\n\nTest case 2:\nInput: 6\nExpected output: 36", [
            ("5\n", "25\n"), ("6\n", "36\n"),
        ]),
    ],
)  # fmt: skip
def test_forms_of_program_tests(text: str, expected: list[tuple[str, str]]) -> None:
    assert parse_tests(text, None).tests == tuple(StdioTest(*pair) for pair in expected)


def test_what_was_written_and_could_not_be_read_is_counted() -> None:
    text = "assert f(1) == 2\nassert f(random()) == 3\nassert f(4) == x\nassert f(\nassert f(1) == 9"
    parsed = parse_tests(text.replace("f(1) == 9", "f(1) == 2"), "f", ["a"])
    assert parsed.tests == (call("[1]", "2"),)
    assert (parsed.written, parsed.unreadable, parsed.duplicates) == (5, 3, 1)
    parsed = parse_tests(text, "f", ["a"])
    assert (parsed.tests, parsed.contradictory) == ((), (call("[1]", "2"), call("[1]", "9")))
    assert (parsed.written, parsed.unreadable, parsed.duplicates) == (5, 3, 0)


@pytest.mark.parametrize(
    "text",
    [
        "if False:\n    assert f(1) == 2",
        "def test():\n    return\n    self.assertEqual(f(1), 2)",
        "while True:\n    assert f(1) == 2",
        "for x in []:\n    assert f(x) == 2",
        "xs = [2, 1]\nf(xs)\nassert xs == [1, 2]",
        "x = 1\nx += 1\nassert f(x) == 4",
    ],
)
def test_what_is_left_out_is_counted(text: str) -> None:
    parsed = parse_tests(text, "f", ["a"])
    assert (parsed.tests, parsed.written, parsed.unreadable) == ((), 1, 1)


def test_contradictions_are_found_between_checks_of_one_kind_alone() -> None:
    fitting = "assert f(1)\nassert sorted(f(1)) == [1, 2]\nassert f(1) == [2, 1]\nassert f(2) == 1"
    assert len(parse_tests(fitting, "f", ["a"]).tests) == 4
    odd = parse_tests(
        "assert f(1)\nassert not f(1)\nassert sorted(f(2)) == [1]\nassert f(3) == 1", "f", ["a"]
    )
    assert (len(odd.tests), len(odd.contradictory)) == (2, 2)
    near = "assert abs(f(1) - 1.0) < 0.5\nassert abs(f(1) - 1.2) < 0.5"
    assert len(parse_tests(near, "f", ["a"]).tests) == 2


@pytest.mark.parametrize(
    "text", ["", "I cannot help with that.", "assert", "f(", "Input:", "[" * 3000, "```python"]
)
def test_garbage_holds_no_tests(text: str) -> None:
    assert parse_tests(text, "f", ["a"]).tests == ()
    assert parse_tests(text, None).tests == ()


pieces = st.sampled_from(
    [
        "assert f(",
        "1, [2]",
        ") == ",
        "3\n",
        "Input: ",
        "Output: ",
        ">>> ",
        "```\n",
        '{"input": ',
        "}",
        "for x in ",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces | st.text(max_size=4), max_size=12))
def test_nothing_makes_the_parser_fail(parts: list[str]) -> None:
    text = "".join(parts)
    for parsed in (parse_tests(text, "f", ["a", "b"]), parse_tests(text, None)):
        assert parsed.written >= parsed.unreadable >= 0
        assert parsed.duplicates >= 0


LINES = r"""
a = [[1], [2]]|b = [3, 4]|b = a|b = a[0]|b = [a, a]|b = (a, 5)|b = [a] * 2|a, b = b, a|a = a[:]|a = list(b)
a.append(6)|b += [7]|a[0] = 8|del a[-1:]|a[0].append(9)|print(a)|list.append(a, 1)|_ = [*map(b.append, [2])]
for b in [a, [3]]:\n    b.append(4)|for n, b in enumerate([a]):\n    b.append(5)|for a in [[1]]:\n    pass
if len(a) > 2:\n    b.append(6)|if True:\n    a = b\nelse:\n    a.append(7)
try:\n    a = b\nfinally:\n    b.append(8)|with nullcontext(a) as b:\n    b.append(4)
def change():\n    b.append(9)|def change():\n    global a\n    a = [1, 2]|change()|grow(a)|n = grow(b)
def grow(c):\n    c.append(3)|def grow(c):\n    change()
class T:\n    a = [5]\n    def grow(self, c):\n        c.append(6)|T().grow(a)
def test_it():\n    d = [1]\n    d.append(2)\n    a.append(7)\ntest_it()
def test_it():\n    a = [8]\n    a.append(9)\ntest_it()
"""
"""Statements, parted by bars and line ends, whose own line ends are escaped."""
SHOWN = ("a", "b", "[a, b]", "a[:]", "b[-1:]", "sorted(b, key=str)", "{'k': a}")
BEGIN = "a, b = [1, 2], [3]\ndef change():\n    pass\ndef grow(c):\n    pass\n"
BEGIN += "class T:\n    def grow(self, c):\n        pass\n"
statements = st.sampled_from(
    [one.replace("\\n", "\n") for one in LINES.strip().replace("\n", "|").split("|")]
)
asserts = st.sampled_from([f"assert f({one}) == …" for one in SHOWN])


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(statements | asserts, max_size=9))
def test_what_is_read_is_what_runs(lines: list[str]) -> None:
    lines = [*lines, "assert f(a) == …"]
    told: list[str] = []
    names = {"tell": lambda value: told.append(repr(value)), "nullcontext": nullcontext}
    run = [line.replace("assert f", "tell").removesuffix(" == …") for line in lines]
    try:
        with redirect_stdout(StringIO()):
            exec(BEGIN + "\n".join(run), names)
    except (TypeError, AttributeError, IndexError, RecursionError):
        return  # no program
    results = iter(told)
    text = "\n".join(line.replace("…", repr(next(results))) if "…" in line else line for line in lines)
    for test in parse_tests(BEGIN + text, "f", ["x"]).tests:
        assert isinstance(test, CallTest)
        assert repr(literal_eval(test.args)[0]) == literal_eval(test.expected)


def test_half_a_surrogate_pair_is_in_no_test() -> None:
    assert parse_tests("Input:\n\ud83d 1\nOutput:\n2", None).tests == (StdioTest("? 1\n", "2\n"),)


def test_code_in_a_text_is_never_run() -> None:
    text = "assert f(open('/tmp/x', 'w')) == __import__('os').getpid()\nassert f(9**9**9) == 1"
    assert parse_tests(text, "f", ["a"]).tests == ()


def test_only_the_beginning_of_a_flood_is_read() -> None:
    flood = "assert f(1) == 2\n" * (MAX_TEXT // 10)
    assert parse_tests(flood, "f", ["a"]).written <= 200


@pytest.mark.parametrize(
    "row", RECORDED, ids=lambda row: f"{row['model']}-{row['task_id']}-{row['style'][:12]}"
)
def test_recorded_outputs_are_read_as_people_read_them(row: dict) -> None:
    parsed = parse_tests(row["text"], row["entry_point"], row["parameters"])
    found = [
        [test.args, test.expected] if isinstance(test, CallTest)
        else [test.stdin, test.stdout] if isinstance(test, StdioTest)
        else [test.code]
        for test in parsed.tests
        if isinstance(test, CallTest | StdioTest | AssertTest)
    ]  # fmt: skip
    assert found == row["cases"]


def test_recorded_outputs_hold_cases_and_garbage() -> None:
    assert len(RECORDED) >= 60
    assert any(row["cases"] for row in RECORDED)
    assert not all(row["cases"] for row in RECORDED)
