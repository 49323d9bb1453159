"""APPS and TACO: what of a row is public, what is repaired, and what is refused."""

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.formats.apps import apps, taco
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.types import CallTest, StdioTest

HERE = Origin("set", 4)
ROW = {
    "question": "Double the number.\n\nInput\n3\n\nOutput\n6\n",
    "solutions": '["print(2 * int(input()))"]',
    "starter_code": "",
    "input_output": '{"inputs": ["1\\n", "3\\n"], "outputs": ["2\\n", "6\\n"]}',
    "difficulty": "EASY",
}


def stdio(stdin, stdout):
    return StdioTest(stdin, stdout, "apps")


def call(args, expected):
    return CallTest(args, expected, compare="apps")


def test_the_tests_that_the_question_prints_are_public():
    row = apps(ROW, HERE)
    assert row.tests == (stdio("1\n", "2\n"), stdio("3\n", "6\n"))
    assert row.problem.public_tests == (stdio("3\n", "6\n"),)
    assert row.problem.entry_point is None
    assert row.problem.task_id == "set/4"
    assert row.reference == "print(2 * int(input()))"


def test_the_first_test_of_a_question_that_prints_none_is_public():
    assert apps(ROW | {"question": "Double it."}, HERE).problem.public_tests == (stdio("1\n", "2\n"),)


def test_functions_are_called_and_their_answers_unwrapped():
    raw = ROW | {
        "starter_code": "def double(x):\n\t",
        "input_output": {"fn_name": "double", "inputs": [[1], [[2]]], "outputs": [[2], [[2, 2]]]},
    }
    row = taco(raw, Origin("taco/train", 0, "train"))
    assert row.tests == (
        CallTest("[1]", "2", compare="taco"),
        CallTest("[[2]]", "[2, 2]", compare="taco"),
    )
    assert row.problem.entry_point == "double"
    assert "```python\ndef double(x):\n```" in row.problem.prompt
    assert row.problem.meta == {"difficulty": "EASY", "split": "train", "cpu_s": 4.0}


def test_answers_that_are_not_all_wrapped_are_kept():
    raw = ROW | {"input_output": {"fn_name": "f", "inputs": [[1], [2]], "outputs": [[1], [1, 2]]}}
    assert apps(raw, HERE).tests == (call("[1]", "[1]"), call("[2]", "[1, 2]"))


def test_lines_are_joined_and_problems_without_solution_taken():
    raw = ROW | {"input_output": {"inputs": [["1", "2"]], "outputs": [["3"]]}, "solutions": ""}
    row = apps(raw, HERE)
    assert row.tests == (stdio("1\n2", "3"),)
    assert row.reference is None


@pytest.mark.parametrize("name", ["starter_code", "solutions", "difficulty", "time_limit", "url"])
def test_null_is_none(name):
    assert apps(ROW | {name: None}, HERE).tests == apps(ROW, HERE).tests


def test_the_reference_is_the_first_solution_in_python_3():
    assert apps(ROW | {"solutions": ["print 1", "print(1)"]}, HERE).reference == "print(1)"


def test_limits_of_the_row_are_those_of_each_test():
    meta = apps(ROW | {"time_limit": "5.5 seconds", "memory_limit": "256.0 megabytes"}, HERE).problem.meta
    assert (meta["cpu_s"], meta["memory_bytes"]) == (5.5, 256 << 20)


def test_the_official_grader_gives_each_test_four_seconds_at_least():
    assert apps(ROW | {"time_limit": "1 second"}, HERE).problem.meta["cpu_s"] == 4.0


CALLS = {"fn_name": "f", "inputs": [[1]], "outputs": [2]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_output": "{"}, "field 'input_output': not JSON"),
        ({"input_output": "[" * 100_000}, "field 'input_output': not JSON"),
        (
            {"input_output": '{"inputs": ["1"], "outputs": []}'},
            "field 'input_output': 1 inputs and 0 outputs",
        ),
        ({"input_output": {"inputs": []}}, "field 'input_output.outputs': missing"),
        ({"input_output": {"inputs": [], "outputs": []}}, "field 'input_output': has no tests"),
        ({"input_output": CALLS | {"inputs": [7]}}, r"field 'input_output.inputs\[0\]': expected the list"),
        (
            {"input_output": CALLS | {"inputs": ["1\n2"]}},
            r"field 'input_output.inputs\[0\]': expected the list",
        ),
        ({"input_output": CALLS | {"fn_name": ""}}, "field 'input_output.fn_name': '' is not the name"),
        ({"input_output": CALLS | {"fn_name": "no name"}}, "field 'input_output.fn_name': 'no name' is not"),
        (
            {"input_output": {"inputs": [{}], "outputs": ["1"]}},
            r"field 'input_output.inputs\[0\]': expected text",
        ),
        ({"solutions": ["print 1"]}, "field 'solutions': no program in it is Python 3: Missing paren"),
        ({"solutions": [5]}, r"field 'solutions\[0\]': unexpected int"),
        ({"time_limit": "soon"}, "field 'time_limit': not a limit: 'soon'"),
        ({"question": 5}, "field 'question': unexpected int"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(change, message):
    with pytest.raises(ProblemFileError, match=message):
        apps(ROW | change, HERE)


@pytest.mark.parametrize("name", ["solutions", "question", "input_output"])
def test_a_missing_field_is_named(name):
    with pytest.raises(ProblemFileError, match=f"field '{name}': missing"):
        apps({key: value for key, value in ROW.items() if key != name}, HERE)
