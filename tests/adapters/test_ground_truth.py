"""Tests of other frameworks' rows, read: right programs pass, wrong ones fail, bad rows name their field."""

import json

import pytest

from o1coder_gym.adapters.ground_truth import ground_truth_of, ground_truth_row, read_ground_truth
from o1coder_gym.adapters.scoring import score_all
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.formats.predictions import INPUT, OUTPUT, TASK
from o1coder_gym.types import CallTest, Problem

ADD = "def add(a, b):\n    return a + b"
SUM = "print(sum(map(int, input().split())))"
SWAP = "def swap(a, b):\n    return (b, a)"
CALLS = {"inputs": [[1, 2], ["a", "b"]], "outputs": [3, "ab"], "fn_name": "add"}
NESTED: list = []
for _ in range(3000):
    NESTED = [NESTED]
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
    ([{"input": "1\n2", "output": "3", "testtype": "functional", "metadata": '{"func_name": "add"}'}], ADD),
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


ANSWER = "def answer():\n    return 3"


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"split": "test", "difficulty": "easy"},
        {"cpu_s": 9, "memory_bytes": 1 << 31, "result_bytes": 5 << 20, "split": "test"},
        {TASK: OUTPUT},
        {TASK: INPUT, "code": "def f(x):\n    return x", "cpu_s": 4},
        {TASK: "sums", "code": "a solution"},
    ],
)
def test_a_row_is_judged_as_an_environment_judges_its_problem(meta):
    problem = Problem("p", "?", "answer", (CallTest("[]", "3"),), meta, "import math")
    row = json.loads(json.dumps(ground_truth_row(ground_truth_of(problem))))
    here = submission(problem, ANSWER, problem.public_tests)
    assert read_ground_truth(row).submission(ANSWER) == here
    # A data set of columns gives each row the keys of all.
    filled = {
        "meta": dict.fromkeys(("cpu_s", "memory_bytes", "result_bytes", TASK, "code")) | row.get("meta", {})
    }
    assert read_ground_truth(row | filled).submission(ANSWER) == here
    played = read_ground_truth(row).problem("p", "?")
    assert submission(played, ANSWER, played.public_tests) == here
    assert "split" not in row.get("meta", {})
    assert ("code" in row.get("meta", {})) == (meta.get(TASK) == INPUT)


def test_a_program_may_use_what_its_problem_grants():
    large = Problem("p", "?", "f", (CallTest("[]", "3"),), {"memory_bytes": 1 << 30})
    usual = Problem("p", "?", "f", (CallTest("[]", "3"),))
    program = "def f():\n    return len(bytes(700 << 20)) * 0 + 3"
    truths = [read_ground_truth(json.dumps(ground_truth_row(ground_truth_of(one)))) for one in (large, usual)]
    assert [found.outcome for found in score_all([(program, one) for one in truths])] == ["pass", "memory"]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("not json", "ground_truth"),
        ("[" * 100_000, "ground_truth"),
        (None, "ground_truth"),
        ([], "ground_truth"),
        ({}, "ground_truth"),
        (7, "ground_truth"),
        ({"answer": "42"}, "ground_truth"),
        ({"inputs": [1], "outputs": []}, "ground_truth"),
        ({"inputs": "1", "outputs": []}, "ground_truth.inputs"),
        ({"inputs": ["1"]}, "ground_truth.outputs"),
        ({"inputs": ["1"], "outputs": [None]}, r"ground_truth.outputs\[0\]"),
        ({**CALLS, "inputs": [[1, 2], 5]}, r"ground_truth.inputs\[1\]"),
        ({**CALLS, "fn_name": "a b"}, "ground_truth.fn_name"),
        ({**CALLS, "fn_name": ["add"]}, "ground_truth.fn_name"),
        ({"assert_case": "assert True"}, "assert_case"),
        ({"assert_case": ["assert ("]}, r"assert_case\[0\]"),
        ({"assert_case": ["assert add(1, 1) == 2", ""]}, r"assert_case\[1\]"),
        ({"assert_case": [3]}, r"assert_case\[0\]"),
        ([{"input": "1"}], r"ground_truth\[0\]"),
        ([{"input": "1", "output": "1", "metadata": [1]}], "metadata"),
        ([{"input": "1", "output": "1", "testtype": "functional"}], "ground_truth.fn_name"),
        ({"tests": [{"kind": "call", "args": "[1]"}]}, r"tests\[0\].expected"),
        ({"tests": [7]}, r"tests\[0\]"),
        ({"tests": 7}, "tests"),
        ({"tests": [], "entry_point": 7}, "entry_point"),
        ({"tests": [], "prelude": 7}, "prelude"),
        ({"tests": [], "meta": 7}, "meta"),
        ({"tests": [], "meta": {"cpu_s": -1}}, "meta"),
        ({"tests": [], "meta": {"memory_bytes": "1 GiB"}}, "meta"),
        ({"tests": [], "meta": {TASK: INPUT}}, "meta"),
        ({"tests": [], "prelude": "def ("}, "prelude"),
        ({**CALLS, "fn_name": "class"}, "ground_truth.fn_name"),
        ({**CALLS, "inputs": [[1, 2], [10**5000, 1]]}, r"ground_truth.inputs\[1\]"),
        ({**CALLS, "outputs": [3, 10**5000]}, r"ground_truth.outputs\[1\]"),
        ({**CALLS, "outputs": [NESTED, "ab"]}, r"ground_truth.outputs\[0\]"),
        ({"inputs": [10**5000], "outputs": ["1"]}, r"ground_truth.inputs\[0\]"),
        ({"assert_case": ["assert " + "-" * 20_000 + "1"]}, r"assert_case\[0\]"),
        ({"assert_case": ["assert f('\ud800')"]}, r"assert_case\[0\]"),
        ({"assert_case": ["assert a" + ".b" * 20_000]}, r"assert_case\[0\]"),
        ({"assert_case": ["1 == 1"]}, r"assert_case\[0\]"),
        ({"tests": [{"kind": "assert", "code": "1 == 1"}]}, r"tests\[0\].code"),
        ({"tests": ["assert " + "-" * 20_000 + "1"]}, r"tests\[0\].code"),
        ([json.dumps(CALLS)] * 2, r"ground_truth\[0\]"),  # a list of truths is no list of asserts
    ],
)
def test_what_cannot_be_read_names_its_field(raw, field):
    with pytest.raises(ProblemFileError, match=f"field '{field}'"):
        read_ground_truth(raw)
