"""The schema of problem files: rows survive the way to JSON and back; what is wrong is named."""

import ast
import copy
import json
import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.rows import (
    LIMITS,
    ProblemRow,
    case_from_json,
    case_to_json,
    problem_row_from_json,
    problem_row_to_json,
)
from o1coder_gym.sandbox.values.literals import read_json_literal
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Problem, StdioTest
from tests.examples import examples

GOOD = {
    "task_id": "t/1",
    "prompt": "Add one.",
    "entry_point": "f",
    "public_tests": [{"kind": "call", "args": "[1]", "expected": "2"}],
    "tests": [
        {"kind": "call", "args": "[0.5]", "expected": "1.5", "tol": 1e-6},
        {"kind": "assert", "code": "assert f(1) == 2"},
        {"kind": "check", "code": "def check(candidate):\n    assert candidate(1) == 2"},
    ],
    "reference": "def f(x):\n    return x + 1\n",
    "meta": {"difficulty": "easy"},
}

text = st.text(st.characters(codec="utf-8"), max_size=20)
filled = text.filter(str.strip)
literals = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=5,
)
calls = st.builds(
    CallTest,
    args=st.lists(literals, max_size=3).map(repr),
    expected=literals.map(repr),
    tol=st.none() | st.floats(min_value=0, max_value=1),
)
function_tests = st.one_of(
    calls,
    literals.map(lambda value: AssertTest(f"assert f() == {value!r}")),
    literals.map(lambda value: CheckTest(f"def check(candidate):\n    assert candidate() == {value!r}")),
)
stdio_tests = st.builds(StdioTest, stdin=text, stdout=text)
names = text.filter(lambda name: name not in LIMITS)
limits = st.none() | st.integers(min_value=1) | st.floats(0, exclude_min=True, allow_infinity=False)


@st.composite
def rows(draw):
    entry_point = draw(st.sampled_from(["f", None]))
    tests = st.lists(function_tests if entry_point else stdio_tests, max_size=3).map(tuple)
    extras = st.dictionaries(names, text | st.integers() | st.lists(text, max_size=2), max_size=2)
    meta = {**draw(extras), **draw(st.dictionaries(st.sampled_from(LIMITS), limits, max_size=2))}
    problem = Problem(draw(filled), draw(filled), entry_point, draw(tests), meta)
    return ProblemRow(problem, draw(tests), draw(st.none() | filled))


@given(rows())
def test_rows_survive_the_way_to_json_and_back(row):
    restored = problem_row_from_json(json.loads(json.dumps(problem_row_to_json(row))))
    assert restored == row
    assert restored.problem.meta == row.problem.meta


def test_a_row_is_read_field_by_field():
    row = problem_row_from_json(GOOD)
    assert row.problem == Problem("t/1", "Add one.", "f", (CallTest("[1]", "2"),), {"difficulty": "easy"})
    assert row.tests[0] == CallTest("[0.5]", "1.5", 1e-6)
    assert row.reference == GOOD["reference"]


def test_optional_fields_may_be_missing():
    row = problem_row_from_json(
        {"task_id": "t", "prompt": "p", "tests": [{"kind": "stdio", "stdin": "", "stdout": "x"}]}
    )
    assert row.problem == Problem("t", "p")
    assert row.tests == (StdioTest("", "x"),)
    assert row.reference is None


def with_field(path, value):
    row = copy.deepcopy(GOOD)
    target = row
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return row


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("task_id",), 7, "field 'task_id': expected a string, got a number"),
        (("task_id",), " ", "field 'task_id': is empty"),
        (("prompt",), None, "field 'prompt': expected a string, got null"),
        (("prompt",), "\ud800", "field 'prompt': "),
        (("entry_point",), "not a name", "field 'entry_point': 'not a name' is not a Python name"),
        (("entry_point",), "class", "field 'entry_point': 'class' is not a Python name"),
        (("entry_point",), None, "field 'public_tests[0].kind': stdio tests go with entry_point null"),
        (("meta",), [], "field 'meta': expected an object, got a list"),
        *(
            (("meta",), {name: limit}, f"field 'meta': {name}: expected a number > 0, got")
            for name in LIMITS
            for limit in ["", "5", [1], True, 0, -1, math.inf, math.nan]
        ),
        (("tests",), {}, "field 'tests': expected a list, got an object"),
        (("tests", 1), "assert", "field 'tests[1].code': not Python"),
        (("tests", 1), 7, "field 'tests[1]': expected an object or an assertion, got a number"),
        (("tests", 0, "kind"), "exec", "field 'tests[0].kind': unknown kind 'exec'"),
        (("tests", 0, "args"), "(1,)", "field 'tests[0].args': not the Python literal of a list"),
        (("tests", 0, "args"), "[open('x')]", "field 'tests[0].args': not a Python literal"),
        (("tests", 0, "expected"), "f(1)", "field 'tests[0].expected': not a Python literal"),
        (("tests", 0, "expected"), 3, "field 'tests[0].expected': expected a string, got a number"),
        (("tests", 0, "tol"), -1, "field 'tests[0].tol': expected a number ≥ 0"),
        (("tests", 0, "tol"), True, "field 'tests[0].tol': expected a number ≥ 0"),
        (("tests", 0, "more"), 1, "field 'tests[0].more': unknown"),
        (("tests", 1, "code"), "assert f(", "field 'tests[1].code': not Python"),
        (("tests", 1, "code"), "", "field 'tests[1].code': is empty"),
        (("tests", 1, "code"), "# nothing", "field 'tests[1].code': does nothing"),
        (("tests", 2, "code"), "assert f(1)", "field 'tests[2].code': does not define check(candidate)"),
        (("public_tests", 0), {"kind": "call", "args": "[]"}, "field 'public_tests[0].expected': missing"),
        (("extra",), 1, "field 'extra': unknown"),
    ],
)
def test_what_is_wrong_is_named(path, value, message):
    with pytest.raises(ProblemFileError) as error:
        problem_row_from_json(with_field(path, value))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("missing", ["task_id", "prompt", "tests"])
def test_required_fields_must_be_there(missing):
    row = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(ProblemFileError, match=f"field '{missing}': missing"):
        problem_row_from_json(row)


@pytest.mark.parametrize("raw", [None, 3, "row", [GOOD]])
def test_a_row_is_an_object(raw):
    with pytest.raises(ProblemFileError, match="expected an object"):
        problem_row_from_json(raw)


def test_a_literal_is_not_evaluated(tmp_path):
    trap = tmp_path / "trap"
    raw = {"kind": "call", "args": f"[open({str(trap)!r}, 'w')]", "expected": "0"}
    with pytest.raises(ProblemFileError):
        case_from_json(raw)
    assert not trap.exists()


def test_tolerance_is_written_only_where_there_is_one():
    assert "tol" not in case_to_json(CallTest("[1]", "2"))
    assert case_to_json(CallTest("[1]", "2", 0.5))["tol"] == 0.5


@pytest.mark.parametrize(
    ("args", "expected"),
    [("[inf, -inf]", "nan"), ("[Fraction(1, 3)]", "Decimal('0.5')"), ("[2 ** 70, {1}]", "set()")],
)
def test_what_the_judge_reads_as_a_literal_is_one(args, expected):
    test = CallTest(args, expected)
    assert case_from_json(case_to_json(test)) == test


@given(literals.map(json.dumps) | st.text(alphabet='[]0123456789 \n,.eE+-"a'))
@settings(max_examples=examples(300))
def test_what_json_reads_python_reads_alike(text):
    with suppress(ValueError):
        assert repr(read_json_literal(text)) == repr(ast.literal_eval(text.strip()))


def test_literals_nested_deeper_than_python_reads_are_not_read_as_json():
    assert read_json_literal("[" * 60 + "]" * 60)
    for text in ("[" * 250 + "]" * 250, "[true]", "[null]", "NaN", "'a'", "(1,)", "[1,]", ""):
        with pytest.raises(ValueError, match=r"literal of JSON|Expecting value|Illegal trailing comma"):
            read_json_literal(text)


def test_plain_literals_need_no_parser_of_python(monkeypatch):
    monkeypatch.setattr("ast.literal_eval", lambda text: pytest.fail(f"read {text!r}"))
    assert case_from_json({"kind": "call", "args": '[[1, -2], "ab"]', "expected": "0.5"})


@pytest.mark.parametrize("args", ["inf", "[f(1)]", "[infinity]", "[1,"])
def test_what_it_does_not_read_is_named(args):
    with pytest.raises(ProblemFileError, match="'args': not "):
        case_from_json({"kind": "call", "args": args, "expected": "1"})
