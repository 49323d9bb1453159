"""The bundled problems: complete, distinct, and solved by their references."""

import ast
import json
from collections import Counter
from importlib import resources

import pytest

from o1coder_gym.problems.formats.reading.docstring_examples import docstring_examples
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import problem_row_to_json
from o1coder_gym.problems.validation import validate_rows
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Limits, Outcome, StdioTest, Submission


@pytest.fixture(scope="module")
def starter():
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("O1CODER_DATA", raising=False)
        return load_rows("starter")


def test_there_are_enough_problems_of_each_kind(starter):
    assert len(starter) >= 44
    assert Counter(row.problem.meta["difficulty"] for row in starter).keys() == {"easy", "medium"}
    assert all(row.problem.meta["topics"] for row in starter)
    kinds = {type(test) for row in starter for test in row.tests}
    assert kinds == {CallTest, AssertTest, CheckTest, StdioTest}


def test_each_problem_has_two_public_and_six_hidden_tests(starter):
    for row in starter:
        assert len(row.problem.public_tests) == 2, row.problem.task_id
        assert len(row.tests) >= 6, row.problem.task_id


def test_hidden_tests_repeat_neither_each_other_nor_a_public_one(starter):
    for row in starter:
        tests = (*row.problem.public_tests, *row.tests)
        assert len(set(tests)) == len(tests), row.problem.task_id


def test_prompts_are_programs_to_complete_or_prose_about_input(starter):
    for row in starter:
        problem = row.problem
        if problem.entry_point is None:
            assert "input" in problem.prompt.lower()
        else:
            (function,) = ast.parse(f"{problem.prompt}    pass\n").body
            assert isinstance(function, ast.FunctionDef)
            assert function.name == problem.entry_point


def test_prompts_show_the_public_tests_and_no_hidden_one(starter):
    for row in starter:
        problem = row.problem
        if problem.entry_point is not None and isinstance(problem.public_tests[0], CallTest):
            shown = {test.args for test in docstring_examples(problem.prompt, problem.entry_point)}
            shown |= {test.args for test in problem.public_tests if test.expected in ("None",)}
            assert shown == {test.args for test in problem.public_tests if isinstance(test, CallTest)}
            assert not shown & {test.args for test in row.tests if isinstance(test, CallTest)}


def test_the_file_is_in_the_form_that_is_written(starter):
    lines = (resources.files("o1coder_gym.data") / "starter.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [problem_row_to_json(row) for row in starter]


def test_every_reference_passes(starter):
    for result in validate_rows(starter, default_judge(), Limits()):
        assert result.verdict is not None
        assert result.verdict.outcome is Outcome.PASS, (result.row.problem.task_id, result.verdict.error)


def test_a_program_that_knows_only_the_public_tests_fails(starter):
    rows = [row for row in starter if all(isinstance(test, CallTest) for test in row.problem.public_tests)]
    submissions = []
    for row in rows:
        answers = {
            test.args: test.expected for test in row.problem.public_tests if isinstance(test, CallTest)
        }
        code = (
            f"def {row.problem.entry_point}(*args):\n    return {{{body(answers)}}}.get(repr(list(args)))\n"
        )
        submissions += [
            Submission(code, row.problem.entry_point, row.problem.public_tests),
            Submission(code, row.problem.entry_point, row.tests),
        ]
    verdicts = default_judge().evaluate(submissions)
    assert all(verdict.outcome is Outcome.PASS for verdict in verdicts[::2])
    assert all(verdict.outcome is Outcome.WRONG_ANSWER for verdict in verdicts[1::2])


def body(answers):
    return ", ".join(f"{args!r}: {expected}" for args, expected in answers.items())
