"""References are judged on all tests; what fails is named with its reason, what holds is written."""

import json

import pytest

from o1coder_gym.problems import load_rows
from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.problems.validation import Validation, keep_valid, report_lines, validate_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import CallTest, CaseResult, CheckTest, Outcome, Problem, StdioTest, Verdict

PUBLIC = CallTest("[1]", "2")


def problem(name, reference, *tests, public=(PUBLIC,)):
    entry_point = None if any(isinstance(test, StdioTest) for test in tests) else "f"
    return ProblemRow(Problem(name, "p", entry_point, public), tests, reference)


ROWS = [
    problem("right", "def f(x):\n    return x + 1", CallTest("[4]", "5")),
    problem("wrong", "def f(x):\n    return 2", CallTest("[4]", "5")),
    problem("raises", "def f(x):\n    return x + {1: 1}[x]", CallTest("[4]", "5")),
    problem("printed", "print(1)", StdioTest("", "2\n"), public=()),
    problem("none", None, CallTest("[4]", "5")),
    problem("untested", "def f(x):\n    return x + 1"),
    problem("checked", "def f(x):\n    return 2", CheckTest("def check(f):\n    assert f(7) == 8, 'no'")),
]


@pytest.fixture(scope="module")
def results():
    return {one.row.problem.task_id: one for one in validate_rows(iter(ROWS), default_judge())}


def test_only_rows_whose_reference_passes_hidden_tests_hold(results):
    assert [name for name, one in results.items() if one.holds] == ["right"]
    assert [name for name, one in results.items() if one.failed] == ["wrong", "raises", "printed", "checked"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("right", ""),
        ("wrong", "test 2 of 2: wrong_answer: got 2, expected 5"),
        ("raises", "test 2 of 2: runtime_error: KeyError: 4 (line 2)"),
        ("printed", "test 1 of 1: wrong_answer: got '1\\n', expected '2\\n'"),
        ("none", "no reference"),
    ],
)
def test_the_reason_is_the_first_test_that_fails(results, name, reason):
    assert results[name].reason == reason
    assert results[name].to_json()["task_id"] == name


def test_a_check_that_fails_is_told_too(results):
    assert results["checked"].reason.startswith("test 2 of 2: wrong_answer")


def test_what_holds_is_written_when_all_are_through(tmp_path, results):
    path = tmp_path / "validated.jsonl"
    path.write_text("what was there")
    stream = keep_valid(results.values(), path)
    next(stream)
    assert path.read_text() == "what was there"
    assert len(list(stream)) == len(ROWS) - 1
    assert [json.loads(line)["task_id"] for line in path.read_text().splitlines()] == ["right"]
    assert load_rows(path).rows == (ROWS[0],)


def test_a_match_counts_as_true_where_a_check_asks_for_truth():
    code = "def check(f):\n    assert bool(f('ab')) and not bool(f('b'))"
    row = problem("match", "import re\n\ndef f(s):\n    return re.match('a', s)", CheckTest(code), public=())
    (result,) = validate_rows([row], default_judge())
    assert result.holds, result.reason


def test_the_report_names_what_fails_and_what_cannot_be_judged(results):
    odd = ROWS[0], Verdict(Outcome.UNSUPPORTED, (CaseResult(Outcome.UNSUPPORTED, error="a date"),))
    *named, summary = report_lines("mine", [*results.values(), Validation(*odd)])
    assert [line.split("\t")[:2] for line in named] == [
        ["wrong", "wrong_answer"],
        ["raises", "runtime_error"],
        ["printed", "wrong_answer"],
        ["checked", "wrong_answer"],
        ["right", "unsupported"],
    ]
    assert named[0].endswith("\t1 of 2 tests\ttest 2 of 2: wrong_answer: got 2, expected 5")
    assert named[-1].endswith("test 1 of 1: unsupported: a date")
    assert summary == (
        "mine: 2 of 7 references pass; 1 have tests that cannot be judged; 1 problems have none"
    )
