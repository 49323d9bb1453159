"""Predictions are answered by a literal, whatever is written around it."""

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.answers.programs import submission
from o1coder_gym.problems.formats.predictions import answer_program, cruxeval, cruxeval_input
from o1coder_gym.problems.formats.row_format import Origin
from o1coder_gym.sandbox import default_judge
from o1coder_gym.types import Outcome

HERE = Origin("set", 0)
ROW = {"code": "def f(a, b):\n    return [a + b]", "input": "1, 2", "output": "[3]", "id": "s0"}


def outcomes(row, *answers):
    asked = [submission(row.problem, answer, row.tests) for answer in answers]
    return [verdict.outcome for verdict in default_judge().evaluate(asked)]


def test_outputs_are_predicted_by_literals():
    row = cruxeval(ROW, HERE)
    right = [
        "[3]",
        "def answer():\n    return [3]\n",
        "answer = [3]",
        "def answer():\n    'hm'\n    return [3]",
    ]
    assert outcomes(row, *right, row.reference) == [Outcome.PASS] * 5
    assert outcomes(row, "[4]", "(3,)") == [Outcome.WRONG_ANSWER] * 2


def test_a_program_that_computes_the_output_is_wrong():
    row = cruxeval(ROW, HERE)
    run_it = ROW["code"] + "\n\ndef answer():\n    return f(1, 2)\n"
    computed = "def answer():\n    return [1 + 2]\n"
    assert set(outcomes(row, run_it, computed, "import os", "def answer(", "")) == {Outcome.RUNTIME_ERROR}


def test_any_input_that_gives_the_output_will_do():
    row = cruxeval_input(ROW, HERE)
    assert row.problem.task_id != cruxeval(ROW, HERE).problem.task_id
    assert outcomes(row, "(1, 2)", "(5, -2)", row.reference) == [Outcome.PASS] * 3
    assert outcomes(row, "(1, 1)") == [Outcome.WRONG_ANSWER]
    assert outcomes(row, "3") == [Outcome.RUNTIME_ERROR]
    assert "return 1" not in answer_program(row.problem, "print(1)")


def test_the_question_does_not_show_the_answer():
    assert "[3]" not in cruxeval(ROW, HERE).problem.prompt
    assert "1, 2" not in cruxeval_input(ROW, HERE).problem.prompt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "def ("}, "field 'code': not Python"),
        ({"input": "1,, 2"}, "field 'input': not Python"),
        ({"output": "f(1)"}, "field 'output': not a literal"),
        ({"output": None}, "field 'output': unexpected NoneType"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(change, message):
    with pytest.raises(ProblemFileError, match=message):
        cruxeval(ROW | change, HERE)
