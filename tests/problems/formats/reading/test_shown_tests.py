"""Public tests are what a question's examples print, line for line, and nothing else."""

import pytest

from o1coder_gym.problems.formats.reading.shown_tests import shown_tests
from o1coder_gym.types import CallTest, StdioTest


def stdio(*pairs):
    return tuple(StdioTest(stdin, stdout) for stdin, stdout in pairs)


def test_a_test_that_occurs_within_other_numbers_is_not_shown():
    question = "There are up to 100 stones, 10 each.\n\nExample Input\n100\n\nExample Output\n10\n"
    tests = stdio(("0\n", "1\n"), ("10\n", "0\n"), ("100\n", "10\n"))
    assert shown_tests(question, tests, None) == tests[2:]


@pytest.mark.parametrize(
    "question",
    [
        "Add.\n\nInput\n1 2\n\nOutput\n3\n",
        "Add.\n\n-----Sample Input-----\n1 2\n\n-----Sample Output-----\n3\n",
        "----- Sample Input 1 ------\n1 2\n----- Sample Output 1 ------\n3\n----- explanation 1 ------\n1",
        "Add.\n\nSAMPLE INPUT\n1  2 \n\nSAMPLE OUTPUT\n3",
        "Add.\n\nSample Input 1\n\n```\n1 2\n```\n\nSample Output 1\n\n```\n3\n```\n",
        "Add.\n\n**Example**\n\nInput: 1 2\nOutput: 3\nExplanation: the sum.",
        "Input :::\nTwo.\n\nOutput :::\nA sum.\n\nSample Input\n1 2\nSample Output\n3\nFor 1 + 2 is 3.",
        "Add.\n\n### Examples\n\nInput\n5 5\n\nOutput\n10\n\nInput\n1 2\n\nOutput\n3\n\nNote\nsee above",
    ],
)
def test_examples_are_found_in_the_usual_forms(question):
    shown, hidden = stdio(("1 2\n", "3\n"), ("2 1\n", "3\n"))
    assert shown_tests(question, (shown, hidden), None) == (shown,)


@pytest.mark.parametrize(
    "question",
    [
        "Add 1 2 to get 3.",
        "Input\n1\n2\n\nOutput\n3\n",
        "Input\n1 2\n4 5\n\nOutput\n3\n",
        "Input\n1 2\n\nOutput\n33\n",
        "Input\n11 2\n\nOutput\n3\n",
        "Output\n3\n\nInput\n1 2\n",
    ],
)
def test_nothing_else_counts_as_shown(question):
    assert shown_tests(question, stdio(("1 2\n", "3\n")), None) == ()


def test_several_lines_have_to_be_those_of_the_example():
    question = "Input\n2\nx..\nxx.\n\nOutput\n2\n1\n"
    tests = stdio(("2\nx..\nxx.\n", "2\n1\n"), ("2\nx..\n", "2\n"), ("2\nx..\nxx.\n", "1\n"))
    assert shown_tests(question, tests, None) == tests[:1]


@pytest.mark.parametrize(
    "question",
    [
        "widest([4, 1, 9]) returns 5",
        "Then `widest([4, 1, 9])` should return `5`.",
        "widest([4,1,9]) == 5",
        "def widest(numbers):\n\nExample:\nInput: numbers = [4, 1, 9]\nOutput: 5\n",
        "class Solution:\n    def widest(self, numbers):\n\nInput: numbers = [4,1,9]\nOutput: 5",
    ],
)
def test_calls_are_shown_with_their_answer(question):
    tests = (CallTest("[[4, 1, 9]]", "5"), CallTest("[[4, 1]]", "3"), CallTest("[[4, 1, 9]]", "6"))
    assert shown_tests(question, tests, "widest") == tests[:1]


def test_a_call_in_a_sentence_is_no_example():
    tests = (CallTest("[[1]]", "1"),)
    assert shown_tests("Of [1] and 1 the second is smaller than widest([1])", tests, "widest") == ()


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "[" * 150 + "]" * 150])
def test_values_that_are_no_literals_of_python_are_not_shown(value):
    shown, other = CallTest("[2]", "3"), CallTest("[1]", value)
    assert shown_tests("def f(x):\n    >>> f(2)\n    3\n", (other, shown), "f") == (shown,)
    assert shown_tests("Nothing.", (other, shown), "f") == ()
