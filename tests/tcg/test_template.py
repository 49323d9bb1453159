"""The template, byte by byte."""

import pytest

from o1coder_gym.tcg.reading.parsing import parse_tests
from o1coder_gym.tcg.template import end_of_cases, instruction, prompt, write_cases
from o1coder_gym.types import CallTest, Problem, StdioTest

PROBLEM = Problem("p", "Add two numbers.", "add", (CallTest("[1, 2]", "3"),))
MODE_A = """\
### Instruction
Please complete the code in the code part, and generate test cases in the test part that can check the \
quality of the generated code.
### Problem
Add two numbers.
### Code Part
def add(a, b):
    return a + b
### Test Part
Please generate 3 test cases. Write each one on a line of its own: \
assert add(<arguments>) == <expected output>"""
MODE_B = """\
### Instruction
Please generate test cases in the test part that can check the quality of code that solves the problem.
### Problem
Add two numbers.
The program must define `add`.
Examples:
assert add(1, 2) == 3
### Test Part
Please generate 2 test cases. Write each one on a line of its own: \
assert add(<arguments>) == <expected output>"""
PROGRAM = """\
### Instruction
Please complete the code in the code part, and generate test cases in the test part that can check the \
quality of the generated code.
### Problem
Double it.
### Code Part
print(2 * int(input()))
### Test Part
Please generate 3 test cases. Write each one as a line Input: \
with the input below it, then a line Output: likewise."""


def test_mode_a_shows_question_and_code() -> None:
    assert instruction(PROBLEM, "\ndef add(a, b):\n    return a + b\n") == MODE_A


def test_mode_b_shows_the_question_as_it_is_asked() -> None:
    assert instruction(PROBLEM, None, 2) == MODE_B


def test_whole_programs_have_labelled_cases() -> None:
    assert instruction(Problem("p", "Double it."), "print(2 * int(input()))") == PROGRAM


def test_the_prompt_is_one_user_turn() -> None:
    shown = prompt(PROBLEM, None, 2)
    assert shown.messages == (("user", MODE_B),)
    assert (shown.prefill, shown.opening) == ("", "")


def test_cases_are_read_back_as_they_were_written() -> None:
    calls = (CallTest("[1, [2, 'x']]", "{'a': (1,)}"), CallTest("[]", "None"))
    text = write_cases(calls, "f")
    assert text == "assert f(1, [2, 'x']) == {'a': (1,)}\nassert f() == None\n"
    assert parse_tests(text, "f").tests == calls
    programs = (StdioTest("2\n1 2\n", "3\n"), StdioTest("1\n5\n", "5\n"))
    assert write_cases(programs, None) == "Input:\n2\n1 2\nOutput:\n3\nInput:\n1\n5\nOutput:\n5\n"
    assert parse_tests(write_cases(programs, None), None).tests == programs


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("assert f(1) == 2\nassert f(2)", None),
        ("assert f(1) == 2\nassert f(2) == 3\n", 34),
        ("assert f(1) == 2\nassert f(2) == 3\nassert f(3) == 4\n", 34),
        ("Sure!\n### Problem\nmore", 6),
        ("```python\nassert f(1) == 2\n```\n", 27),
        ("Input:\n1\nOutput:\n1\nInput:\n2\nOutput:\n2\nInput:\n", 38),
        ("", None),
    ],
)
def test_a_completion_ends_after_the_cases_asked_for(text: str, end: int | None) -> None:
    assert end_of_cases(text, 2) == end
