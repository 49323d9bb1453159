"""Rows of verl come back as they were written; hidden tests travel only when that is asked for."""

import json
from pathlib import Path

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems import load_rows
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.problems.formats.training import nemo_gym, to_verl, verl
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, CheckTest, Problem, StdioTest

HERE = Origin("set", 0)
STDIO = ProblemRow(
    Problem("t/1", "Double.", None, (StdioTest("1", "2"),), {"split": "train"}),
    (StdioTest("1", "2"), StdioTest("secret", "4")),
    "print('reference')",
)


def truth(raw):
    return json.loads(raw["reward_model"]["ground_truth"])


def test_programs_are_written_as_inputs_and_outputs():
    raw = to_verl(STDIO, 3, hidden=True)
    assert truth(raw) == {"inputs": ["1", "secret"], "outputs": ["2", "4"]}
    assert raw["prompt"] == [{"role": "user", "content": "Double."}]
    assert (raw["extra_info"]["index"], raw["extra_info"]["split"]) == (3, "train")
    assert verl(json.loads(json.dumps(raw)), HERE) == STDIO


def test_hidden_tests_are_written_only_when_asked_for():
    raw = to_verl(STDIO, 0)
    assert "secret" not in json.dumps(raw)
    assert str(STDIO.reference) not in json.dumps(raw)
    assert verl(raw, HERE).tests == STDIO.problem.public_tests


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (CallTest("[1, 'a']", "[2]"), {"fn_name": "f", "inputs": ['1\n"a"'], "outputs": ["[2]"]}),
        (CallTest("[(1,)]", "2"), {"fn_name": "f", "assert_case": ["assert f(*[(1,)]) == 2"]}),
        (CallTest("[{1: 2}]", "2"), {"fn_name": "f", "assert_case": ["assert f(*[{1: 2}]) == 2"]}),
        (
            CallTest("[inf]", "-inf"),
            {"fn_name": "f", "assert_case": ["from math import inf, nan\nassert f(*[inf]) == -inf"]},
        ),
        (AssertTest("assert f(1)"), {"fn_name": "f", "assert_case": ["assert f(1)"]}),
        (
            CheckTest("def check(c):\n    assert c(1)"),
            {"fn_name": "f", "assert_case": ["def check(c):\n    assert c(1)\n\ncheck(f)\n"]},
        ),
    ],
)
def test_functions_are_written_as_json_where_json_holds_them(test, expected):
    row = ProblemRow(Problem("t", "p", "f", (test,)), (test,))
    raw = to_verl(row, 0)
    assert truth(raw) == expected
    del raw["extra_info"]["o1coder"]
    assert len(verl(raw, HERE).tests) == 1


def test_checkers_have_no_place_in_verl():
    test = CheckerTest("1", "print(1)")
    with pytest.raises(ProblemFileError, match="field 'tests': verl's rows have no place for checkers"):
        to_verl(ProblemRow(Problem("t", "p", None, (test,)), (test,)), 0)


def test_every_fixture_that_verl_can_hold_survives():
    for path in (Path(__file__).parent / "rows").glob("*.jsonl"):
        for index, row in enumerate(load_rows(path)):
            if not any(isinstance(test, CheckerTest) for test in row.tests):
                assert verl(json.loads(json.dumps(to_verl(row, index, hidden=True))), HERE) == row


VERL = {
    "data_source": "x",
    "prompt": "p",
    "reward_model": {"ground_truth": {"inputs": ["1"], "outputs": ["2"]}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward_model": {}}, "field 'reward_model.ground_truth': unexpected NoneType"),
        ({"reward_model": {"ground_truth": "{"}}, "field 'reward_model.ground_truth': not JSON"),
        (
            {"reward_model": {"ground_truth": {"assert_case": ["assert f()"]}}},
            r"ground_truth\.fn_name': missing",
        ),
        ({"prompt": [{"role": "system", "content": "x"}]}, "field 'prompt': the user says nothing"),
        ({"prompt": [5]}, r"field 'prompt\[0\]': expected a message"),
        ({"prompt": [{"role": "user", "content": 5}]}, r"field 'prompt\[0\].content': unexpected int"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(change, message):
    with pytest.raises(ProblemFileError, match=message):
        verl(VERL | change, HERE)
    assert verl(VERL, HERE).tests


def test_broken_packs_of_nemo_gym_are_named():
    raw = {"responses_create_params": {"input": "p"}, "verifier_metadata": {"unit_tests": {"packed": "x"}}}
    with pytest.raises(ProblemFileError, match=r"field 'verifier_metadata.unit_tests': cannot be unpacked"):
        nemo_gym(raw, HERE)
