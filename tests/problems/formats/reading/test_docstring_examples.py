"""Examples in docstrings become call tests, and only where they can be read in one way."""

import ast

import pytest

from o1coder_gym.problems.formats.reading.docstring_examples import docstring_examples
from o1coder_gym.types import CallTest


def examples(body: str, signature: str = "def f(x, y=0):") -> list[tuple[str, str]]:
    found = docstring_examples(f'{signature}\n    """Do it.\n\n{body}\n    """\n', "f")
    return [(test.args, test.expected) for test in found]


@pytest.mark.parametrize(
    "line",
    [
        "f(1, 2) == 3",
        "f(1, 2) => 3",
        "f(1,2) ==> 3",
        "f(1, 2) -> 3",
        "f(1, 2) ➞ 3",
        "f(1, 2) returns 3",
        "f(1, 2) should return 3.",
        "f(1, 2) # => 3",
        "f(1, 2) = 3 (one plus two)",
        "f(1, 2) == 3 # one plus two",
        ">>> f(1, 2)\n    3",
        ">>> f(x=1, y=2)\n    3",
        "Input: x = 1, y = 2\n    Output: 3",
        "For x = 1, y = 2 the output should be 3",
    ],
)
def test_usual_forms_are_read(line):
    assert examples(f"    {line}") == [("[1, 2]", "3")]


@pytest.mark.parametrize(
    "line",
    [
        "f(a) == 3",
        "f(1) -> 4 - 3 = 1",
        "f(1) == g(1)",
        "if f(1) then 3",
        ">>> round(f(1), 2)\n    3",
        "For N = 150, the sum of digits will be 6 the output should be 110 in binary.",
        "other_f(1) == 3",
    ],
)
def test_what_is_not_plain_is_passed_over(line):
    assert examples(f"    {line}") == []


def test_parentheses_and_quotes_in_arguments_do_not_end_the_call():
    assert examples('    f("a)b", (1, (2,))) == ")"') == [(repr(["a)b", (1, (2,))]), "')'")]


def test_output_over_several_lines_is_one_literal():
    assert examples("    >>> f(1)\n    [[1],\n     [2]]\n    >>> f(2)\n    [[3]]") == [
        ("[1]", "[[1], [2]]"),
        ("[2]", "[[3]]"),
    ]


def test_truth_values_in_lower_case_are_python_ones():
    assert examples("    f(1) => true\n    f(2) => false") == [("[1]", "True"), ("[2]", "False")]


def test_the_first_of_two_examples_with_the_same_arguments_counts():
    assert examples("    f(1) == 2\n    f( 1 ) == 3") == [("[1]", "2")]


def test_keywords_are_put_in_the_order_of_the_signature():
    assert examples("    Input: y = 2, x = 1\n    Output: 3") == [("[1, 2]", "3")]
    assert examples("    Input: z = 2, x = 1\n    Output: 3") == []


def test_the_definition_is_no_call():
    assert docstring_examples("def f(x) -> int:\n    return f\n", "f") == ()


def test_strings_stay_what_they_are():
    (test,) = docstring_examples(
        'def f(s):\n    """\n    >>> f("it\'s #1 (ok)")\n    \'a # b (c)\'\n    """', "f"
    )
    assert test == CallTest(repr(["it's #1 (ok)"]), repr("a # b (c)"))
    assert ast.literal_eval(test.expected) == "a # b (c)"
