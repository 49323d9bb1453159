"""The generator without a model: sound in mode A, voted in mode B, never a crash."""

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.tcg.requests import TestRequest
from o1coder_gym.types import AssertTest, CallTest, Outcome, Problem, StdioTest, Submission
from o1coder_gym.types.protocols import TestGenerator
from tests.tcg.conftest import HastyJudge

TOTAL = Problem("total", "Sum a list: total([1, 2]) is 3.", "total", (CallTest("[[1, 2]]", "3"),))
TOTAL_CODE = "def total(values):\n    return sum(values)"


def test_every_test_of_mode_a_passes_on_the_reference(judge: Judge) -> None:
    made = MutationGenerator(judge).generate(TOTAL, 8, TOTAL_CODE)
    assert len(made.tests) == 8
    assert len({test.args for test in made.tests if isinstance(test, CallTest)}) == 8
    (verdict,) = judge.evaluate([Submission(TOTAL_CODE, "total", made.tests)])
    assert verdict.outcome is Outcome.PASS
    assert made.report == {
        "asked": 8, "proposed": 100, "failed": 0, "unstable": 0, "outside": 0, "unconfirmed": 0,
    }  # fmt: skip


def test_equal_seeds_give_equal_tests_and_batches_change_nothing(judge: Judge) -> None:
    generator = MutationGenerator(judge)
    assert isinstance(generator, TestGenerator)
    alone = generator.generate(TOTAL, 5, TOTAL_CODE, seed=3)
    request = TestRequest(TOTAL, 5, TOTAL_CODE, 3)
    assert generator.generate_batch([TestRequest(TOTAL, 5, TOTAL_CODE, 4), request])[1] == alone
    assert generator.generate(TOTAL, 5, TOTAL_CODE, seed=4) != alone


def test_results_are_compared_as_the_public_asserts_compare_them(judge: Judge) -> None:
    public = (AssertTest("assert set(common([1, 2], [2, 3])) == set([2])"),)
    code = "def common(a, b):\n    return list(set(a) & set(b))"
    made = MutationGenerator(judge).generate(Problem("common", "Common items.", "common", public), 3, code)
    texts = [test.code for test in made.tests if isinstance(test, AssertTest)]
    assert texts[0] == "assert set(common([1, 2], [2, 3])) == {2}"
    assert all(text.startswith("assert set(common(") for text in texts)


def test_what_python_takes_for_equal_is_equal_where_the_public_asserts_say_so(judge: Judge) -> None:
    public = (AssertTest("assert is_odd(3) == True"),)
    problem = Problem("odd", "Is it odd?", "is_odd", public)
    made = MutationGenerator(judge).generate(problem, 4, "def is_odd(n):\n    return n % 2")
    (verdict,) = judge.evaluate([Submission("def is_odd(n):\n    return n % 2 == 1", "is_odd", made.tests)])
    assert verdict.outcome is Outcome.PASS


def test_where_truth_is_asked_for_any_true_or_false_result_will_do(judge: Judge) -> None:
    public = (AssertTest("assert not has_ab('ac')"),)
    code = "import re\n\ndef has_ab(text):\n    return re.search('ab', text)"
    problem = Problem("match", "Search for an a followed by a b.", "has_ab", public)
    made = MutationGenerator(judge).generate(problem, 12, code)
    texts = [test.code for test in made.tests if isinstance(test, AssertTest)]
    assert {text.startswith("assert not has_ab(") for text in texts} == {True, False}
    (verdict,) = judge.evaluate(
        [Submission("def has_ab(text):\n    return 'ab' in text", "has_ab", made.tests)]
    )
    assert verdict.outcome is Outcome.PASS


def test_tolerances_of_public_asserts_are_kept(judge: Judge) -> None:
    public = (AssertTest("import math\nassert math.isclose(area(1), 3.14, rel_tol=0.001)"),)
    problem = Problem("area", "Area of a circle.", "area", public)
    made = MutationGenerator(judge).generate(problem, 4, "def area(r):\n    return 3.1415 * r * r")
    assert {test.tol for test in made.tests if isinstance(test, CallTest)} == {0.001}
    code = "import math\ndef area(r):\n    return math.pi * r * r"
    (verdict,) = judge.evaluate([Submission(code, "area", made.tests)])
    assert verdict.outcome is Outcome.PASS


def test_whole_programs_get_standard_inputs(judge: Judge) -> None:
    problem = Problem("sum", "Sum n numbers.", None, (StdioTest("3\n1 2 3\n", "6\n"),))
    code = "n = int(input())\nxs = list(map(int, input().split()))\nassert len(xs) == n\nprint(sum(xs))"
    made = MutationGenerator(judge, pool=20).generate(problem, 4, code)
    assert len(made.tests) == 4
    assert made.report["failed"] == 0
    for test in made.tests:
        assert isinstance(test, StdioTest)
        assert test.stdin.startswith("3\n")
        assert sum(map(int, test.stdin.split()[1:])) == int(test.stdout)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def total(values):\n    raise ValueError", "failed"),
        ("def total(values:", "failed"),
        ("import sys\nsys.exit(0)", "failed"),
        ("import random\ndef total(values):\n    return random.random()", "unstable"),
        ("calls = []\ndef total(values):\n    calls.append(1)\n    return len(calls)", "unstable"),
        ("def total(values):\n    return lambda: values", "failed"),
    ],
)
def test_bad_references_yield_no_tests_and_are_counted(judge: Judge, code: str, count: str) -> None:
    made = MutationGenerator(judge, pool=12).generate(TOTAL, 5, code)
    assert made.tests == ()
    assert made.report[count] > 0


def test_a_reference_that_hangs_on_some_inputs_is_used_on_the_others(hasty: HastyJudge) -> None:
    problem = Problem("count", "count_down(3) is 0.", "count_down")
    code = "def count_down(n):\n    while n > 0:\n        n -= n % 7 > 0\n    return n"
    made = MutationGenerator(hasty, pool=12).generate(problem, 3, code)
    assert len(made.tests) == 3
    assert made.report["failed"] > 0


def test_what_is_always_false_at_first_is_searched_further(judge: Judge) -> None:
    code = "def near(n):\n    return 2 * int(str(n)[::-1]) == n + 1"
    problem = Problem("near", "Is n one less than twice its reverse?", "near", (CallTest("[70]", "False"),))
    made = MutationGenerator(judge).generate(problem, 20, code)
    assert CallTest("[73]", "True") in made.tests
    assert made.report["proposed"] > 100


def test_what_the_known_inputs_share_is_let_go_where_nothing_else_tells_inputs_apart(judge: Judge) -> None:
    public = (AssertTest("assert rising([1, 2, 4, 6, 8, 10]) == True"),)
    code = "def rising(values):\n    return all(a <= b for a, b in zip(values, values[1:]))"
    made = MutationGenerator(judge).generate(Problem("rising", "Is it sorted?", "rising", public), 20, code)
    texts = [test.code for test in made.tests if isinstance(test, AssertTest)]
    assert {text.rpartition(" == ")[2] for text in texts} == {"True", "False"}


def test_characters_that_the_reference_names_come_where_nothing_else_tells_inputs_apart(
    judge: Judge,
) -> None:
    problem = Problem("ab", "One a, then some b?", "is_ab", (CallTest("['ac']", "False"),))
    code = "import re\ndef is_ab(text):\n    return bool(re.fullmatch('ab+', text))"
    made = MutationGenerator(judge).generate(problem, 20, code)
    assert CallTest("['ab']", "True") in made.tests


HALF = """def half(n):
    if n % 2 == 0:
        return n // 2
"""


def test_where_a_reference_falls_off_its_end_there_is_no_test(judge: Judge) -> None:
    problem = Problem("half", "Halve a number.", "half", (CallTest("[4]", "2"),))
    made = MutationGenerator(judge).generate(problem, 8, HALF)
    assert len(made.tests) == 8
    assert made.report["outside"] > 0
    assert all(isinstance(test, CallTest) and test.expected != "None" for test in made.tests)


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("Halve a number, None if it is odd.", HALF),
        ("Halve a number.", f"{HALF}    return None\n"),
        ("Halve a number.", f"{HALF}    return\n"),
    ],
)
def test_none_is_an_output_where_somebody_says_so(judge: Judge, prompt: str, code: str) -> None:
    made = MutationGenerator(judge).generate(Problem("half", prompt, "half"), 8, code)
    assert made.report["outside"] == 0
    assert "None" in {test.expected for test in made.tests if isinstance(test, CallTest)}


def test_none_is_an_output_where_it_alone_tells_outputs_apart(judge: Judge) -> None:
    problem = Problem("meet", "Is one in both?", "meet", (CallTest("[[1, 2], [2, 3]]", "True"),))
    code = "def meet(a, b):\n    for one in a:\n        if one in b:\n            return True"
    made = MutationGenerator(judge).generate(problem, 8, code)
    assert made.report["outside"] == 0
    assert {"True", "None"} == {test.expected for test in made.tests if isinstance(test, CallTest)}


def test_a_function_that_returns_nothing_at_all_keeps_its_tests(judge: Judge) -> None:
    problem = Problem("sort", "Sort in place: order([2, 1]).", "order")
    made = MutationGenerator(judge).generate(problem, 4, "def order(values):\n    values.sort()")
    assert len(made.tests) == 4
    assert made.report["outside"] == 0


def test_types_are_guessed_where_nothing_is_known(judge: Judge) -> None:
    code = "def shout(thing):\n    return thing.upper() + '!'"
    made = MutationGenerator(judge, pool=16).generate(Problem("shout", "Shout.", "shout"), 3, code)
    assert len(made.tests) == 3
    annotated = "def shout(thing: str):\n    return thing * 2"
    made = MutationGenerator(judge, pool=16).generate(Problem("shout", "Shout.", "shout"), 3, annotated)
    assert all(isinstance(test, CallTest) and test.args.startswith("['") for test in made.tests)


def test_without_signature_reference_or_examples_there_are_no_tests(judge: Judge) -> None:
    made = MutationGenerator(judge).generate(Problem("p", "Do it.", "f"), 3)
    assert made.tests == ()
    assert made.report["proposed"] == 0


def test_mode_b_takes_what_solutions_agree_on(judge: Judge) -> None:
    right = "def total(values):\n    t = 0\n    for value in values:\n        t += value\n    return t"
    voters = [TOTAL_CODE, right, "def total(values):\n    return max(values)"]
    made = MutationGenerator(judge, pool=10, solutions=lambda problem: voters).generate(TOTAL, 4)
    assert len(made.tests) == 4
    (verdict,) = judge.evaluate([Submission(TOTAL_CODE, "total", made.tests)])
    assert verdict.outcome is Outcome.PASS
    assert MutationGenerator(judge).generate(TOTAL, 4).tests == ()
