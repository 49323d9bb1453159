"""Formats are told by their fields or named; what is in none is refused with the nearest."""

import pytest

from o1coder_gym.errors import ProblemFileError, UnknownNameError
from o1coder_gym.problems.benchmarks import humaneval, humaneval_plus, mbpp, mbpp_plus
from o1coder_gym.problems.formats.apps import apps, taco
from o1coder_gym.problems.formats.telling import converter_for, converter_named, native


@pytest.mark.parametrize(
    ("fields", "converter"),
    [
        (("task_id",), native),
        (("task_id", "prompt", "tests", "entry_point"), native),
        (("left_out", "prompt"), native),
        (("task_id", "prompt", "canonical_solution", "test", "entry_point"), humaneval),
        (("plus_input", "base_input", "canonical_solution", "test", "entry_point"), humaneval_plus),
        (("plus_input", "base_input", "canonical_solution", "contract", "entry_point"), humaneval_plus),
        (("plus_input", "canonical_solution", "assertion", "entry_point"), mbpp_plus),
        (("code", "test_list", "text"), mbpp),
        (("plus_input", "assertion"), mbpp_plus),
        (("question", "input_output"), apps),
        (("question", "input_output", "skill_types"), taco),
    ],
)
def test_the_format_of_a_row_is_told_by_its_fields(fields, converter):
    assert converter_for(dict.fromkeys(fields)) is converter


@pytest.mark.parametrize("value", [[], 3, None, "x"])
def test_what_is_no_object_is_left_to_the_own_format(value):
    assert converter_for(value) is native


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("question",), r"unknown format; the nearest is \w+, but it needs 'input_output' too"),
        (("canonical_solution", "test"), "the nearest is humaneval, but it needs 'entry_point' too"),
        (("data_source", "prompt"), "the nearest is verl, but it needs 'reward_model' too"),
        (
            ("instruction", "output_text"),
            "no known format has the fields 'instruction', 'output_text'; known",
        ),
    ],
)
def test_an_unknown_format_is_refused_with_the_nearest(fields, message):
    with pytest.raises(ProblemFileError, match=message):
        converter_for(dict.fromkeys(fields))


def test_formats_have_names():
    assert converter_named("apps") is apps
    with pytest.raises(UnknownNameError, match="unknown problem format 'app'"):
        converter_named("app")
