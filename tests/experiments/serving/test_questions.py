import pytest

from o1coder_gym.experiments.serving.questions import called_by, question
from o1coder_gym.types import AssertTest, CallTest

HUMAN_EVAL = '''Complete this function:
def helper(x):
    return x

def double(x):
    """Return twice x.
    >>> double(2)
    4
    """
'''
MBPP = """Write a python function to double a number.
Your code should pass these tests:
assert double(1) == 2
assert sorted(double([1])) == [2]"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (HUMAN_EVAL, "double"),
        (MBPP, "double"),
        ("Write a function `double(x)` that doubles.", "double"),
        ("Write a function named double, please.", "double"),
        ("Please define the function double(x).", "double"),
        ("Read two numbers and print their sum.", None),
        ("assert this is no Python\nassert set([1])", None),
    ],
)
def test_the_function_asked_for(text, name):
    assert question([("user", text)], None, []).entry_point == name


def test_examples_become_public_tests():
    assert question([("user", HUMAN_EVAL)], None, []).public_tests == (CallTest("[2]", "4"),)
    asserts = (AssertTest("assert double(1) == 2"), AssertTest("assert sorted(double([1])) == [2]"))
    assert question([("user", MBPP)], None, []).public_tests == asserts
    brought = question([("user", MBPP)], None, ["assert double(1) == 2", "assert double(4) == 8"])
    assert brought.public_tests == (*asserts, AssertTest("assert double(4) == 8"))


def test_a_conversation_is_one_question():
    turns = [
        ("system", "Be brief."),
        ("user", MBPP),
        ("assistant", "def double(x): ..."),
        ("user", "Now triple(x)"),
    ]
    problem = question(turns, "triple", [])
    assert problem.prompt.startswith("system: Be brief.\n\nuser: Write")
    assert problem.prompt.endswith("user: Now triple(x)")
    assert (problem.entry_point, problem.public_tests) == ("triple", ())


def test_equal_questions_have_equal_names():
    one, two = question([("user", MBPP)], None, []), question([("user", MBPP)], None, [])
    assert one == two
    assert question([("user", MBPP)], "other", []).task_id != one.task_id


@pytest.mark.parametrize(
    "code", ["assert f(1)", "assert f(g(1)) == 2, 'why'", "assert all(f(x) for x in [1])"]
)
def test_asserts_that_call(code):
    assert "f" in called_by(code)


@pytest.mark.parametrize(
    "code",
    ["", "f(1)", "assert 1", "assert len([])", "assert f(", "assert f(1)\nimport os", "assert" + "(" * 5000],
)
def test_what_is_no_assert_of_a_function(code):
    assert called_by(code) == []
