"""Limits: each test has its own, a program as a whole a cap, and what is right passes however long it is."""

import pytest

from o1coder_gym.sandbox.plan import TesterRun, plan
from o1coder_gym.types import AssertTest, CallTest, Limits, Outcome, StdioTest, Submission

BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
BURNING = f"def f(n):\n{''.join('    ' + line + chr(10) for line in BURN.splitlines())}    return n\n"


def verdict_on(judge, code, tests, entry=None, **limits):
    (verdict,) = judge.evaluate([Submission(code, entry, tuple(tests), Limits(**limits))])
    return verdict


def outcomes(verdict):
    return [test.outcome.value for test in verdict.tests]


@pytest.mark.parametrize("tests", [1, 5, 40])
def test_a_verdict_does_not_depend_on_how_many_tests_there_are(judge, tests):
    code = BURN.format(0.02) + "print(5)"
    verdict = verdict_on(judge, code, [StdioTest("", "5")] * tests, cpu_s=0.15)
    assert outcomes(verdict) == ["pass"] * tests
    verdict = verdict_on(judge, BURNING.format(0.02), [CallTest("[1]", "1")] * tests, "f", cpu_s=0.15)
    assert outcomes(verdict) == ["pass"] * tests
    codes = [AssertTest("x = 1\nassert [f(x)] == [1]"), AssertTest("assert f(1) == 1")] * (tests // 2 + 1)
    verdict = verdict_on(judge, BURNING.format(0.02), codes, "f", cpu_s=0.15)
    assert outcomes(verdict) == ["pass"] * len(codes)


def test_the_cap_grows_with_the_number_of_tests(judge):
    """Sixty tests may take together twice what thirty may; what thirty may would end these half-way."""
    limits = {"cpu_s": 0.15, "total_cpu_s": 0.4}
    code = "import threading\n" + BURN.format(0.009) + "print(5)"
    assert outcomes(verdict_on(judge, code, [StdioTest("", "5")] * 60, **limits)) == ["pass"] * 60
    calls = [CallTest("[1]", "1")] * 60
    assert outcomes(verdict_on(judge, BURNING.format(0.009), calls, "f", **limits)) == ["pass"] * 60
    spent = verdict_on(judge, BURNING.format(0.05), calls, "f", **limits)
    assert spent.outcome is Outcome.TIMEOUT
    assert "used more than 0.8 s of CPU time in all tests" in spent.error


@pytest.mark.parametrize(
    ("code", "test", "entry"),
    [
        ("def f(text): return len(text)", CallTest(f"['{'a' * 300_000}']", "300_000"), "f"),
        ("def f(n): return len(bytearray(20 << 20)) and n", CallTest("[1]", "1"), "f"),
        ("x = bytearray(20 << 20)\nprint(5)", StdioTest("", "5"), None),
        ("import threading\nx = bytearray(20 << 20)\nprint(5)", StdioTest("", "5"), None),
    ],
)
@pytest.mark.parametrize("tests", [1, 60])
def test_memory_is_that_of_one_test_however_many_there_are(judge, code, test, entry, tests):
    verdict = verdict_on(judge, code, [test] * tests, entry, memory_bytes=32 << 20)
    assert outcomes(verdict) == ["pass"] * tests


def test_the_calls_of_a_test_stay_in_one_process(judge):
    """They may count on each other, and on those of the tests before them as long as these are short."""
    code = "seen = []\ndef f(text):\n    seen.append(len(text))\n    return len(seen)"
    long = "a" * 3_000_000
    tests = [
        AssertTest(f"assert f('{'a' * 50_000}') == 1\nassert f('') == 2"),
        CallTest(f'["{long}"]', "3"),
        CallTest(f'["{long}"]', "1"),
    ]
    assert outcomes(verdict_on(judge, code, tests, "f")) == ["pass"] * 3


@pytest.mark.parametrize("package", ["numpy", "numpy.linalg"])
def test_importing_a_package_is_not_charged(judge, package):
    pytest.importorskip("numpy")
    code = f"import {package}\nprint(numpy.arange(4).sum())"
    verdict = verdict_on(judge, code, [StdioTest("", "6")] * 30, cpu_s=0.1)
    assert outcomes(verdict) == ["pass"] * 30
    code = f"import {package}\ndef f(n): return n"
    tests = [CallTest("[1]", "1"), AssertTest("x = 1\nassert [f(x)] == [1]")]
    assert verdict_on(judge, code, tests, "f", cpu_s=0.1).outcome is Outcome.PASS


def test_random_numbers_of_a_package_are_the_same_in_every_run(judge):
    pytest.importorskip("numpy")
    code = "import numpy\ndef f(): return float(numpy.random.random())"
    got = {verdict_on(judge, code, [CallTest("[]", "2")], "f").tests[0].got for _ in range(3)}
    assert len(got) == 1


def test_each_call_test_has_a_limit_and_the_others_are_judged(judge):
    code = "import time\ndef f(n):\n    while n == 1: pass\n    return n"
    verdict = verdict_on(judge, code, [CallTest("[0]", "0"), CallTest("[1]", "1")], "f", cpu_s=0.2)
    assert outcomes(verdict) == ["pass", "timeout"]
    assert verdict.tests[1].error == "used more than 0.2 s of CPU time"


def test_all_tests_together_have_a_cap(judge):
    tests = [CallTest("[1]", "1")] * 9
    verdict = verdict_on(judge, BURNING.format(0.1), tests, "f", cpu_s=0.3, total_cpu_s=0.55)
    assert outcomes(verdict)[:4] == ["pass"] * 4
    assert outcomes(verdict)[6:] == ["timeout"] * 3
    assert "used more than 0.55 s of CPU time in all tests" in verdict.error
    whole = BURN.format(0.1) + "print(1)"
    verdict = verdict_on(judge, whole, [StdioTest("", "1")] * 9, cpu_s=0.3, total_cpu_s=0.55)
    assert outcomes(verdict)[:4] == ["pass"] * 4
    assert outcomes(verdict)[6:] == ["timeout"] * 3
    assert verdict.cpu_s < 1.0


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        BURN.format(9),
        "import time\ntime.sleep(60)",
        "import threading\nthreading.Event().wait()",
    ],
)
def test_a_program_that_hangs_does_so_a_few_times_at_most(judge, code):
    verdict = verdict_on(judge, code, [StdioTest("", "5")] * 40, cpu_s=0.2, wall_s=0.5)
    assert outcomes(verdict) == ["timeout"] * 40
    assert [test.error for test in verdict.tests[2:]] == ["not run"] * 38


def test_a_program_that_sleeps_within_its_limit_does_so_a_few_times_at_most(judge):
    verdict = verdict_on(
        judge, "import time\ntime.sleep(1.1)\nprint(5)", [StdioTest("", "5")] * 9, wall_s=1.5
    )
    assert outcomes(verdict) == ["pass"] * 2 + ["timeout"] * 7


@pytest.mark.parametrize(
    ("code", "tests", "entry"),
    [
        ("print('x' * 10_000_000)", [StdioTest("", "x" * 10_000_000)], None),
        ("print('7\\n' * 3_000_000)", [StdioTest("", "7\n" * 3_000_000)], None),
        ("def f(n): return 'y' * 1500", [CallTest(f"[{n}]", repr("y" * 1500)) for n in range(1000)], "f"),
        ("def f(n): return list(range(n))", [CallTest("[200_000]", repr([*range(200_000)]))], "f"),
        ("def f(n): return [n] * 150_000", [AssertTest("assert f(1) == [1] * 150_000")], "f"),
    ],
)
def test_right_answers_pass_however_long(judge, code, tests, entry):
    verdict = verdict_on(judge, code, tests, entry)
    assert verdict.outcome is Outcome.PASS, verdict.error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('\\n' * 4_000_000)", "5"),
        ("print('\\n' * 3_900_000 + '5')", "5\n6"),
        ("print(' ' * 4_000_000, 5)", "6"),
        ("print('1 ' * 2_000_000)", "1 2"),
        ("print('9' * 4_000_000)", "9.5"),
        ("print('a\\n' * 1_900_000)", "a\nb"),
    ],
)
@pytest.mark.parametrize("compare", [None, "apps", "tokens", "livecodebench", "unordered", "numbers"])
def test_long_outputs_are_only_wrong(judge, code, expected, compare):
    tests = [StdioTest("", expected, compare)]
    assert verdict_on(judge, code, tests).outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    "code", ["a;" * 500_000, "(" * 100_000, "x=[" + "1," * 400_000 + "]", "if 1:\n" + " a\n" * 200_000]
)
def test_a_long_test_is_read_where_it_does_no_harm(judge, code):
    verdict = verdict_on(judge, "def f(n): return n", [AssertTest(code), CallTest("[1]", "1")], "f")
    assert outcomes(verdict)[1] == "pass"
    assert isinstance(plan((AssertTest(code),), "f")[0], TesterRun)


@pytest.mark.parametrize("digits", [4_400, 5_000, 20_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_of_thousands_of_digits(judge, digits, sign):
    number = sign + "7" * digits
    code = "def f(text): return int(text)"
    tests = [
        CallTest(f"['{number}']", number),
        CallTest(f"('{number}',) and ['{number}']", f"({number})"),
        AssertTest(f"assert f('{number}') == {number}"),
        AssertTest(f"x = '{number}'\nassert [f(x)] == [{number}] and str({number}) == x"),
    ]
    assert outcomes(verdict_on(judge, code, tests, "f")) == ["pass"] * 4
    wrong = number[:-1] + "8"
    assert verdict_on(judge, code, [CallTest(f"['{number}']", wrong)], "f").outcome is Outcome.WRONG_ANSWER
    whole = verdict_on(judge, "print(int(input()))", [StdioTest(number, number)])
    assert whole.outcome is Outcome.PASS
