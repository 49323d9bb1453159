"""Tests of other frameworks' rows, read: right programs pass, wrong ones fail, bad rows name their field."""

import json

import pytest

from o1coder_gym.adapters.ground_truth import ground_truth_row, read_ground_truth
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.errors import ProblemFileError

ADD = "def add(a, b):\n    return a + b"
SUM = "print(sum(map(int, input().split())))"
SWAP = "def swap(a, b):\n    return (b, a)"
CALLS = {"inputs": [[1, 2], ["a", "b"]], "outputs": [3, "ab"], "fn_name": "add"}
READ = [
    (CALLS, ADD),
    (json.dumps(CALLS), ADD),
    ({"inputs": ["1\n2", '"a"\n"b"'], "outputs": ["3", '"ab"'], "fn_name": "add"}, ADD),
    ({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7"]}, SUM),
    ({"inputs": [["1 2"]], "outputs": [["3"]]}, SUM),
    ({"type": "stdin_stdout", "input": ["1 2"], "output": ["3"], "fn_name": None}, SUM),
    ({"assert_case": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"]}, ADD),
    (["assert add(1, 2) == 3"], ADD),
    ([{"input": "1 2", "output": "3", "testtype": "stdin"}], SUM),
    ([{"input": {"stdin": "1 2"}, "output": {"stdout": "3"}}], SUM),
    ([{"input": "1\n2", "output": "3", "testtype": "functional", "metadata": {"func_name": "add"}}], ADD),
    ({"tests": [{"kind": "call", "args": "[1, 2]", "expected": "3"}], "entry_point": "add"}, ADD),
    ({"inputs": [[1, 2]], "outputs": [[2, 1]], "fn_name": "swap"}, SWAP),  # JSON has no tuples
]


def test_right_programs_pass_and_others_fail():
    truths = [read_ground_truth(raw) for raw, _ in READ]
    right = score_all([(code, truth) for truth, (_, code) in zip(truths, READ, strict=True)])
    wrong = score_all([("def add(a, b):\n    return 0\nswap = add\nprint(0)", truth) for truth in truths])
    assert [one.reward for one in right] == [1.0] * len(READ)
    assert [one.reward for one in wrong] == [0.0] * len(READ)


@pytest.mark.parametrize("raw", [raw for raw, _ in READ])
def test_a_written_row_reads_the_same(raw):
    truth = read_ground_truth(raw)
    assert read_ground_truth(json.loads(json.dumps(ground_truth_row(truth)))) == truth


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("not json", "ground_truth"),
        (None, "ground_truth"),
        ([], "ground_truth"),
        ({}, "ground_truth"),
        (7, "ground_truth"),
        ({"answer": "42"}, "ground_truth"),
        ({"inputs": [1], "outputs": []}, "outputs"),
        ({"inputs": "1"}, "inputs"),
        ({"inputs": ["1"]}, "outputs"),
        ({"assert_case": "assert True"}, "assert_case"),
        ({"assert_case": ["assert ("]}, "assert_case"),
        ([{"input": "1"}], r"ground_truth\[0\]"),
        ({"tests": [{"kind": "call", "args": "[1]"}]}, "expected"),
    ],
)
def test_what_cannot_be_read_names_its_field(raw, field):
    with pytest.raises(ProblemFileError, match=f"field '{field}'"):
        read_ground_truth(raw)
