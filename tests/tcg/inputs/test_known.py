"""What a problem shows: known calls, signatures, constants; and inputs made of it."""

import ast

import pytest

from o1coder_gym.tcg.inputs.known import (
    Parameter,
    compared_characters,
    constants,
    known_arguments,
    known_stdin,
    named_characters,
    parameters,
    shown_by,
)
from o1coder_gym.tcg.inputs.proposals import propose_inputs
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Problem, StdioTest


def test_calls_are_taken_from_public_tests_and_from_the_prompt_once_each() -> None:
    prompt = 'def f(a, b):\n    """For f(1, 2) it is 3.\n    >>> f([1] * 2, "x")\n    """\n'
    tests = (
        CallTest("[1, 2]", "3"),
        AssertTest("assert set(f((1, 2), {3})) == {1}"),
        CheckTest("def check(candidate):\n    assert candidate(5, 6) == 1"),
    )
    assert known_arguments(Problem("p", prompt, "f", tests)) == [
        (1, 2),
        ((1, 2), {3}),
        (5, 6),
        ([1, 1], "x"),
    ]


def test_calls_with_names_or_code_in_them_are_passed_over() -> None:
    problem = Problem("p", "Try f(x), f(n=2), f(g(1)) and f(3", "f")
    assert known_arguments(problem) == []


def test_a_prompt_may_call_the_function_by_another_name() -> None:
    problem = Problem("p", 'def f(xs):\n    """grade([1, 2]) ==> 3"""\n', "f")
    assert known_arguments(problem) == [([1, 2],)]


def test_a_prompt_may_give_parameters_by_name() -> None:
    prompt = 'def f(N, words):\n    """For N = 150 and words: ["a"] it is 6."""\n'
    assert known_arguments(Problem("p", prompt, "f")) == [(150, ["a"])]


def test_signatures_of_programs_and_of_beginnings_of_programs() -> None:
    found = [Parameter("a", "List[int]"), Parameter("b", "", optional=True)]
    assert parameters("def f(a: List[int], b=3):\n    return a", "f") == found
    assert parameters('def f(a: List[int], b=3):\n    """Doc."""\n', "f") == found
    assert parameters("def g(a): pass", "f") is None
    assert parameters("no code", "f") is None


def test_constants_leave_docstrings_out() -> None:
    source = 'def f(a):\n    """Number 99."""\n    return a + 7 if a > 7 else "none"'
    assert sorted(constants(source), key=str) == [7, "none"]
    assert constants("not python (") == []


def test_characters_are_compared_with_where_a_program_asks_for_them() -> None:
    source = 'def f(s):\n    """Is it "x"?"""\n    return "y" if s[0] == "-" and s[1] in "ab" else s + "word"'
    assert compared_characters(source) == "-ab"
    assert compared_characters('def f(s):\n    return s == "word"') == ""
    assert compared_characters('def f(s):\n    return s not in ["x", "word", "y"]') == "xy"
    assert compared_characters("not python (") == ""


def test_characters_of_results_docstrings_and_operators_are_not_named() -> None:
    source = 'def f(s):\n    """Doc."""\n    if re.match("ab*", s):\n        return "yes"\n    return 1'
    assert named_characters(source) == "ab"
    assert named_characters("not python (") == ""


def test_characters_that_the_reference_compares_with_come_between_others() -> None:
    problem = Problem("p", "?", "f", (AssertTest("assert f('snow white here') == 'snow_white_here'"),))
    code = 'def f(s):\n    return "".join(" " if c == "_" else "_" if c == " " else c for c in s)'
    (inputs,) = propose_inputs(problem, code, 100, 0)
    texts = [ast.literal_eval(text)[0] for text in inputs]
    assert sum("_" in text for text in texts) >= 10
    assert not any(text.startswith("_") or text.endswith("_") or "__" in text for text in texts)


def test_standard_inputs() -> None:
    tests = (StdioTest("1\n", "1\n"), StdioTest("1\n", "1\n"), StdioTest("2\n", "4\n"))
    assert known_stdin(Problem("p", "Square it.", None, tests)) == ["1\n", "2\n"]


def test_arguments_come_as_parts_of_each_other() -> None:
    problem = Problem("p", "?", "f", (AssertTest("assert f([2, 4, 3, 5, 7], [3, 7]) == False"),))
    (inputs,) = propose_inputs(problem, "def f(whole, part): return part in whole", 100, 0)
    calls = [ast.literal_eval(text) for text in inputs]
    related = [
        part for whole, part in calls for at in range(len(whole)) if part == whole[at : at + len(part)] != []
    ]
    assert len(related) >= 5


def test_parts_have_the_type_of_the_argument_they_replace() -> None:
    code = "assert f([[1, 2], [3, 4]], [5, 6], 7, ['a']) == 1"
    (inputs,) = propose_inputs(Problem("p", "?", "f", (AssertTest(code),)), None, 100, 0)
    for rows, row, number, names in map(ast.literal_eval, inputs):
        assert all(type(item) is int for item in [*row, number])
        assert all(type(one) is list and all(type(item) is int for item in one) for one in rows)
        assert all(type(name) is str for name in names)


@pytest.mark.parametrize(
    ("prompt", "tests"),
    [
        ("Sum. f([9], 1) is 9.\nInput: nums = [1, 2], k = 3\nOutput: 4", ()),
        ("Sum.", (AssertTest("nums = [1, 2]\nassert f(nums, 3) == 4"),)),
        ("def f(nums, k):\n    ...", (AssertTest("assert f(nums=[1, 2], k=3) == 4"),)),
        ("Sum.", (AssertTest("assert abs(f([1, 2], 3) - 4) < 0.1"),)),
        ("Sum.\n```\nf([1, 2], 3) -> 4\n```", ()),
    ],
)
def test_a_shown_input_is_known_in_any_form(prompt: str, tests: tuple[AssertTest, ...]) -> None:
    is_shown = shown_by(Problem("p", prompt, "f", tests))
    assert is_shown(CallTest("[[1,2], 3]", "9"))
    assert not is_shown(CallTest("[[1, 2], 4]", "9"))
    # asserts that are no plain equality have inputs too
    assert is_shown(AssertTest("assert abs(f([1,2], 3) - 9) < 0.1"))
    assert not is_shown(AssertTest("assert not f([1, 2], 4)"))
    assert not is_shown(AssertTest("assert f([1, 2], 3) == f([1, 2], 4)"))
    assert not is_shown(AssertTest("assert f(x) == 9"))


def test_a_standard_input_is_shown_as_whole_lines() -> None:
    is_shown = shown_by(Problem("p", "Add.\n\nExample\n2 \n1 2\n\ngives 3."))
    assert is_shown(StdioTest("2\n1 2\n", "3\n"))
    assert not is_shown(StdioTest("1\n", "1\n"))
    assert not is_shown(StdioTest("", "0\n"))
