"""Pairs of input and output in all shapes in which data sets keep them."""

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.reading.fields import memory_bytes, python3, seconds, unfenced
from o1coder_gym.problems.formats.reading.io_tests import function_name, function_of, io_tests, pairs_of
from o1coder_gym.types import CallTest, StdioTest


@pytest.mark.parametrize(
    "cases",
    [
        {"inputs": ["1", "2"], "outputs": ["3", "4"]},
        {"input": ["1", "2"], "output": ["3", "4"]},
        [{"input": "1", "output": "3"}, {"input": "2", "output": "4", "testtype": "stdin"}],
    ],
)
def test_all_shapes_hold_the_same_pairs(cases):
    assert pairs_of(cases, "tests") == [("1", "3"), ("2", "4")]
    assert function_of(cases, "tests") is None


@pytest.mark.parametrize(
    "cases",
    [
        {"fn_name": "f", "inputs": [], "outputs": []},
        [{"type": "function_call", "fn_name": "f"}],
        [{"testtype": "functional", "metadata": {"func_name": "f"}}],
        {"fn_name": "Solution().f"},
    ],
)
def test_the_function_is_where_the_set_says_it(cases):
    assert function_of(cases, "tests") == "f"


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([{"input": 1}], r"field 'tests\[0\]': expected an object with input and output"),
        ([3], r"field 'tests\[0\]': expected an object"),
        ({"inputs": "1", "outputs": []}, "field 'tests.inputs': unexpected str"),
        ({"inputs": [1, 2], "outputs": [1]}, "field 'tests': 2 inputs and 1 outputs"),
    ],
)
def test_what_is_no_pair_is_named(cases, message):
    with pytest.raises(ProblemFileError, match=message):
        pairs_of(cases, "tests")


def test_calls_without_a_function_are_refused():
    with pytest.raises(ProblemFileError, match=r"field 'tests.fn_name': missing, and the tests are calls"):
        function_of([{"testtype": "functional", "metadata": {}}], "tests")
    with pytest.raises(ProblemFileError, match="field 'x': None is not the name"):
        function_name(None, "x")


def test_arguments_are_a_list_or_json_lines():
    tests = io_tests([([1, [2]], {"a": None}), ('1\n[2]\n"x"', "[true]")], "f", "tests")
    assert tests == (CallTest("[1, [2]]", "{'a': None}"), CallTest("[1, [2], 'x']", "[True]"))
    with pytest.raises(ProblemFileError, match=r"field 'tests.inputs\[0\]': not JSON"):
        io_tests([("{", "1")], "f", "tests")
    with pytest.raises(ProblemFileError, match=r"field 'tests.inputs\[0\]': expected the list of a call's"):
        io_tests([(5, "1")], "f", "tests")


def test_programs_read_text_numbers_and_lines():
    assert io_tests([(5, ["1", 2])], None, "tests") == (StdioTest("5", "1\n2"),)
    with pytest.raises(ProblemFileError, match=r"field 'tests.outputs\[0\]': expected text, got NoneType"):
        io_tests([("5", None)], None, "tests")
    with pytest.raises(ProblemFileError, match="field 'tests': has no tests"):
        io_tests([], None, "tests")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, 2.0),
        (1.5, 1.5),
        (2000, 2.0),
        ("2 seconds", 2.0),
        ("0.5 sec", 0.5),
        ({"seconds": 1, "nanos": 500_000_000}, 1.5),
        ({"seconds": None, "nanos": None}, None),
        (None, None),
        (0, None),
        ("", None),
    ],
)
def test_time_limits_are_seconds(value, expected):
    assert seconds(value, "time_limit") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(256, 256 << 20), ("256 megabytes", 256 << 20), (268_435_456, 256 << 20), (None, None)],
)
def test_memory_limits_are_bytes(value, expected):
    assert memory_bytes(value, "memory_limit") == expected


@pytest.mark.parametrize("value", [True, [], "fast", {"a": 1}.keys()])
def test_what_is_no_limit_is_refused(value):
    with pytest.raises(ProblemFileError, match="field 'limit': not a limit"):
        seconds(value, "limit")


def test_fences_are_taken_off():
    assert unfenced("Here:\n```python\r\nx = 1\r\n```\nDone.") == "x = 1\n"
    assert unfenced("x = 1\n") == "x = 1\n"
    assert python3(["", "print 1", "print(1)"], "s") == "print(1)"
    assert python3([], "s") is None
