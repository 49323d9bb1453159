"""What programs return, told apart from whether it is right."""

from o1coder_gym.sandbox import Judge
from o1coder_gym.types import CallTest, Limits, Outcome, StdioTest, Submission, TestCase


def calls(*arguments: str) -> tuple[TestCase, ...]:
    return tuple(CallTest(text, "None") for text in arguments)


def test_outputs_are_whole_and_encoded(judge: Judge) -> None:
    code = "def f(n):\n    return (n, {n}, 'x' * n)"
    (outputs,) = judge.outputs([Submission(code, "f", calls("[1]", "[500]"))])
    assert [one.value for one in outputs] == [
        '{"t":[1,{"s":[1]},"x"]}',
        '{"t":[500,{"s":[500]},"' + 500 * "x" + '"]}',
    ]
    assert {one.outcome for one in outputs} == {Outcome.PASS}


def test_a_call_that_fails_has_no_value_and_the_others_have_theirs(judge: Judge) -> None:
    code = "def f(n):\n    return 6 // n"
    (outputs,) = judge.outputs([Submission(code, "f", calls("[2]", "[0]", "[3]"))])
    assert [one.value for one in outputs] == ["3", None, "2"]
    assert outputs[1].outcome is Outcome.RUNTIME_ERROR
    assert outputs[1].error.startswith("ZeroDivisionError")


def test_what_comes_after_a_hang_is_a_timeout(judge: Judge) -> None:
    code = "def f(n):\n    while n == 2:\n        pass\n    return n"
    limits = Limits(cpu_s=0.2)
    (outputs,) = judge.outputs([Submission(code, "f", calls("[1]", "[2]", "[3]"), limits)])
    assert [one.value for one in outputs] == ["1", None, None]
    assert [one.outcome for one in outputs[1:]] == [Outcome.TIMEOUT, Outcome.TIMEOUT]
    assert [one.reached for one in outputs] == [True, True, False]


def test_programs_tell_what_they_print(judge: Judge) -> None:
    tests = (StdioTest("2\n", ""), StdioTest("x\n", ""))
    (outputs,) = judge.outputs([Submission("print(int(input()) * 2)", None, tests)])
    assert [one.value for one in outputs] == ["4\n", None]


def test_a_program_that_does_not_load_has_no_output(judge: Judge) -> None:
    (outputs,) = judge.outputs([Submission("def f(:", "f", calls("[1]", "[2]"))])
    assert [one.outcome for one in outputs] == [Outcome.COMPILE_ERROR, Outcome.COMPILE_ERROR]
