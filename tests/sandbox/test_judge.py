"""What the judge says of programs, one rule a test; cheating is the matter of test_adversarial.py."""

import multiprocessing
import os
import threading

import pytest

from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.sandbox import Judge
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Limits, Outcome, StdioTest, Submission

ADD = "def add(a, b):\n    return a + b\n"
CALLS = (CallTest("[1, 2]", "3"), CallTest("[2, 2]", "4"), CallTest("['a', 'b']", "'ab'"))
# `[result] == [value]` is an assert that is not translated into calls, so a tester process runs it
TESTER = (AssertTest("assert [add(1, 2)] == [3]"), AssertTest("assert [add(2, 2)] == [4]"))


@pytest.fixture(scope="module")
def judge(judge_of_two):
    return judge_of_two


def verdict_on(judge, code, tests, entry_point: str | None = "add", **limits):
    (verdict,) = judge.evaluate([Submission(code, entry_point, tests, Limits(**limits))])
    return verdict


def outcomes(verdict):
    return [test.outcome.value for test in verdict.tests]


def test_verdicts_come_in_the_order_of_the_submissions(judge):
    programs = [f"def add(a, b):\n    return {number}\n" for number in range(40)]
    verdicts = judge.evaluate([Submission(code, "add", (CallTest("[0, 0]", "7"),)) for code in programs])
    assert [verdict.tests[0].got for verdict in verdicts] == [str(number) for number in range(40)]
    assert [verdict.outcome for verdict in verdicts].index(Outcome.PASS) == 7


@pytest.mark.parametrize("tests", [CALLS[:2], TESTER], ids=["calls", "tester"])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ADD, Outcome.PASS),
        ("def add(a, b): return a - b", Outcome.WRONG_ANSWER),
        ("def add(a, b): return a / 0", Outcome.RUNTIME_ERROR),
        ("def add(a, b) return a", Outcome.COMPILE_ERROR),
        ("import nothing_of_that_name", Outcome.RUNTIME_ERROR),
        ("def sub(a, b): return a - b", Outcome.RUNTIME_ERROR),
        ("add = 3", Outcome.RUNTIME_ERROR),
        ("def add(a, b):\n    while True: pass", Outcome.TIMEOUT),
        ("def add(a, b):\n    import time; time.sleep(60)", Outcome.TIMEOUT),
        ("def add(a, b): return bytearray(1 << 30)", Outcome.MEMORY),
        ("import os; os.abort()", Outcome.RUNTIME_ERROR),
    ],
)
def test_each_outcome(judge, tests, code, outcome):
    verdict = verdict_on(judge, code, tests, cpu_s=0.2, wall_s=0.5)
    assert verdict.outcome is outcome, verdict
    assert {test.outcome for test in verdict.tests} == {outcome}
    assert bool(verdict.error) is (outcome is not Outcome.PASS)


def test_every_test_is_reported(judge):
    code = "def add(a, b):\n    return a + b if a == 1 else [][a] if a == 2 else None\n"
    verdict = verdict_on(judge, code, CALLS)
    assert outcomes(verdict) == ["pass", "runtime_error", "wrong_answer"]
    assert [test.got for test in verdict.tests] == ["3", None, "None"]
    assert verdict.tests[1].error == "IndexError: list index out of range (line 2)"
    assert verdict.outcome is Outcome.RUNTIME_ERROR
    assert (verdict.passed, verdict.total) == (1, 3)


def test_a_program_that_dies_early_has_no_result_for_the_rest(judge):
    code = "import os\ndef add(a, b):\n    return a + b if a == 1 else os._exit(0)\n"
    verdict = verdict_on(judge, code, CALLS)
    assert outcomes(verdict) == ["pass", "runtime_error", "runtime_error"]


def test_without_tests_a_program_is_only_loaded(judge):
    codes = (ADD, "def sub(): pass", "1 +", "raise ValueError")
    verdicts = [verdict_on(judge, code, ()) for code in codes]
    assert [verdict.outcome.value for verdict in verdicts] == [
        *("no_tests", "runtime_error", "compile_error", "runtime_error")
    ]
    assert [verdict.pass_ratio for verdict in verdicts] == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("tests", [CALLS[:2], TESTER], ids=["calls", "tester"])
@pytest.mark.parametrize(
    "code",
    [
        "class Solution:\n    def add(self, a, b): return a + b",
        "class Solution:\n    def add(self, a, b): return a + b\nadd = Solution().add",
        "from operator import add",
        "add = lambda a, b: a + b",
        "from __future__ import annotations\n" + ADD,
        ADD + "\nif __name__ == '__main__':\n    print(add(*map(int, input().split())))",
    ],
)
def test_entry_points_in_many_forms(judge, code, tests):
    assert verdict_on(judge, code, tests).outcome is Outcome.PASS


def test_tests_of_all_kinds_in_one_submission(judge):
    program = f"{ADD}\nif __name__ == '__main__':\n    print(add(*map(int, input().split())))"
    tests = (TESTER[0], CALLS[0], StdioTest("1 2\n", "3\n"), AssertTest("assert add(1, 2) == 3"), CALLS[2])
    assert outcomes(verdict_on(judge, program, tests)) == ["pass"] * 5
    tests = (TESTER[0], CALLS[0], StdioTest("1 2\n", "4\n"), AssertTest("assert add(1, 2) == 4"), CALLS[2])
    wrong = "wrong_answer"
    assert outcomes(verdict_on(judge, program, tests)) == ["pass", "pass", wrong, wrong, "pass"]


@pytest.mark.parametrize(
    ("code", "stdout", "outcome"),
    [
        ("print(5)", "5\n", "pass"),
        ("print('5 ')", "5", "pass"),
        ("print(5, 5, 5)", "5", "wrong_answer"),
        ("print(5)", "5 5 5", "wrong_answer"),
        ("print('1\\n2')", "2\n1", "wrong_answer"),
        ("print('1 2')", "1\n2", "wrong_answer"),
        ("print(input()); import sys; sys.exit()", "7\n", "pass"),
        ("print(input()); exit(0)", "7\n", "pass"),
        ("import sys; print(sys.stdin.readline()); sys.exit(3)", "7\n", "runtime_error"),
        ("print(open(0).read())", "7\n", "pass"),
        ("import os; os.write(1, os.read(0, 9))", "7\n", "pass"),
        ("import atexit; atexit.register(print, 7)", "7\n", "pass"),
        ("import threading; threading.Thread(target=print, args=(7,)).start()", "7\n", "pass"),
        ("import os; print(7, flush=True); os._exit(0)", "7\n", "pass"),
        ("out = open(1, 'w', closefd=False); out.write('7')", "7\n", "pass"),
        ("print(7); 1 / 0", "7\n", "runtime_error"),
        ("print(7", "7\n", "compile_error"),
        ("input(); input()", "7\n", "runtime_error"),
        ("import sys; print(7, file=sys.stderr)", "7\n", "wrong_answer"),
        ("if __name__ == '__main__':\n    print(7)", "7\n", "pass"),
    ],
)
def test_whole_programs(judge, code, stdout, outcome):
    verdict = verdict_on(judge, code, (StdioTest("7\n", stdout),), entry_point=None)
    assert verdict.outcome.value == outcome, verdict


def test_the_tolerance_of_standard_output_is_an_option():
    tests = (StdioTest("", "0.3333333 done\n"),)
    for tolerance, outcome in ((None, Outcome.WRONG_ANSWER), (1e-4, Outcome.PASS)):
        with Judge(1, layers=(), stdout_tolerance=tolerance) as judge:
            assert verdict_on(judge, "print(1 / 3, 'done')", tests, None).outcome is outcome


@pytest.mark.parametrize(
    ("code", "test", "outcome"),
    [
        ("def add(a, b): a.append(b)", "x = [1]; add(x, 2); assert x == [1, 2]", "pass"),
        ("def add(a, b): a[b] = 1", "x = {}; assert add(x, 2) is None; assert x == {2: 1}", "pass"),
        ("def add(a, b): a.clear(); return []", "x = [2, 1]; assert add(x, 0) == sorted(x)", "wrong_answer"),
        (
            "def add(a, b): raise KeyError(a)",
            "try:\n    add(1, 2)\n    assert 0\nexcept KeyError: pass",
            "pass",
        ),
        (
            "class Odd(ValueError): pass\ndef add(a, b): raise Odd('no')",
            "try:\n    add(1, 2)\n    assert 0\nexcept ValueError as error:\n    assert str(error) == 'no'",
            "pass",
        ),
        (
            "def add(a, b): return b'\\xff'.decode()",
            "try:\n    add(1, 2)\n    assert 0\nexcept UnicodeDecodeError: pass",
            "pass",
        ),
        ("def add(a, b): raise KeyError(a)", "x = 1\nassert [add(x, x)]", "runtime_error"),
        ("def add(a, b): assert False", "x = 1\nassert [add(x, x)]", "runtime_error"),
        ("def add(a, b): return None", "x = 1\nassert abs(add(x, x)) < 3", "wrong_answer"),
        ("def add(a, b=0, *, c=0): return a + b + c", "x = 1\nassert add(x, c=2) == 3", "pass"),
        (
            "class P:\n    pass\ndef add(a, b): return a if b else P()",
            "x = add(0, 0); assert add(x, 1) == x",
            "pass",
        ),
        ("class P:\n    pass\ndef add(a, b): return P()", "x = 1; assert add(x, 0) != add(x, 0)", "pass"),
        (
            "class P:\n    def __init__(self, v): self.v = v\ndef add(a, b): return a.v",
            "assert add(P(4), 0) == 4",
            "pass",
        ),
        ("import os\ndef add(a, b): os._exit(0)", "try:\n    add(1, 2)\nexcept: pass", "runtime_error"),
        (
            "import os\ndef add(a, b): os.write(4, b'nonsense' * 9)",
            "x = 1; assert add(x, x)",
            "runtime_error",
        ),
        ("def add(a, b): return 3", "assert add(1, 2) == 3 and undefined_helper(1)", "runtime_error"),
        ("def add(a, b): return 3", "assert add(1, 2) ==", "wrong_answer"),
        ("def add(a, b): return 3", "while True: add(1, 2)", "timeout"),
    ],
)
def test_a_tester_sees_the_program_as_if_it_were_its_own(judge, code, test, outcome):
    verdict = verdict_on(judge, code, (AssertTest(test),), cpu_s=0.3, wall_s=1.0)
    assert verdict.outcome.value == outcome, verdict


@pytest.mark.parametrize("test", [AssertTest("assert 1 == 1"), AssertTest("x = 1"), AssertTest("")])
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ADD, "pass"),
        ("add = len", "pass"),
        ("1 +", "compile_error"),
        ("raise ValueError", "runtime_error"),
        ("def sub(): pass", "runtime_error"),
        ("import os; os._exit(0)", "runtime_error"),
        ("while True: pass", "timeout"),
        ("import time; time.sleep(60)", "timeout"),
    ],
)
def test_a_test_that_calls_nothing_passes_only_if_the_program_loads(judge, code, test, outcome):
    verdict = verdict_on(judge, code, (test,), cpu_s=0.2, wall_s=0.4)
    assert outcomes(verdict) == [outcome], verdict


def test_a_function_that_an_assert_test_calls_check_is_its_own_matter(judge):
    test = AssertTest("def check(got, wanted):\n    assert got == wanted\ncheck(add(1, 2), 3)")
    assert verdict_on(judge, ADD, (test,)).outcome is Outcome.PASS
    assert verdict_on(judge, "def add(a, b): return 4", (test,)).outcome is Outcome.WRONG_ANSWER


def test_a_check_test_without_its_function_passes_nothing(judge):
    verdict = verdict_on(judge, ADD, (CheckTest("def verify(candidate):\n    assert candidate(1, 2) == 3"),))
    assert verdict.outcome is Outcome.WRONG_ANSWER, verdict


def test_inputs_beyond_the_memory_limit_are_a_matter_of_memory(judge):
    test = CallTest(repr([[0] * 1_000_000, []]), "1")
    verdict = verdict_on(judge, ADD, (test,), memory_bytes=4 << 20)
    assert verdict.outcome is Outcome.MEMORY, verdict


def test_check_functions_get_the_entry_point(judge):
    check = CheckTest(
        "def check(candidate):\n    for n in range(5):\n        assert [candidate(n, n)] == [2 * n]\n"
    )
    assert verdict_on(judge, ADD, (check,)).outcome is Outcome.PASS
    assert verdict_on(judge, "def add(a, b): return a * b", (check,)).outcome is Outcome.WRONG_ANSWER


def test_each_item_has_its_own_limits(judge):
    slow = f"import time\nend = time.process_time() + 0.15\nwhile time.process_time() < end: pass\n{ADD}"
    tests = CALLS[:1]
    verdicts = judge.evaluate(
        [Submission(slow, "add", tests, Limits(cpu_s=cpu_s)) for cpu_s in (0.05, 1.0, 0.05, 1.0)]
    )
    assert [verdict.outcome.value for verdict in verdicts] == ["timeout", "pass", "timeout", "pass"]


@pytest.mark.parametrize(
    ("code", "limits", "outcome"),
    [
        ("print('x' * 603_000)", {"stdout_bytes": 1000}, "runtime_error"),
        ("print('x' * 3000)", {"stdout_bytes": 1000}, "wrong_answer"),
        ("print('x' * 300_000)", {}, "pass"),
        ("while True: print('x' * 9999)", {"stdout_bytes": 1 << 20}, "runtime_error"),
        ("x = bytearray(100 << 20); print('x' * 300_000)", {"memory_bytes": 200 << 20}, "pass"),
        ("x = bytearray(100 << 20); print('x' * 300_000)", {"memory_bytes": 64 << 20}, "memory"),
    ],
)
def test_limits_of_output_and_memory(judge, code, limits, outcome):
    verdict = verdict_on(judge, code, (StdioTest("", "x" * 300_000),), None, **limits)
    assert verdict.outcome.value == outcome, verdict.error


def test_large_inputs_and_results_pass_through(judge):
    numbers = list(range(60_000))
    test = CallTest(repr([numbers, [1]]), repr([*numbers, 1]))
    assert verdict_on(judge, ADD, (test, CALLS[0])).outcome is Outcome.PASS
    assert verdict_on(judge, ADD, (test, CALLS[0]), result_bytes=1000).outcome is Outcome.PASS
    short = CallTest(test.args, "1")
    assert verdict_on(judge, ADD, (short, CALLS[0]), result_bytes=1000).outcome is Outcome.RUNTIME_ERROR


def test_stop_at_failure_leaves_out_the_rest(judge):
    code = "import time\ndef add(a, b):\n    time.sleep(0 if a == 1 else 60)\n    return 0\n"
    (verdict,) = judge.evaluate([Submission(code, "add", CALLS)], stop_at_failure=True)
    assert outcomes(verdict) == ["wrong_answer"] * 3
    assert verdict.tests[2].error == "not run"
    programs = (StdioTest("", "1"), StdioTest("", "2"), StdioTest("", "1"))
    (verdict,) = judge.evaluate([Submission("print(1)", None, programs)], stop_at_failure=True)
    assert outcomes(verdict) == ["pass", "wrong_answer", "wrong_answer"]


def test_threads_may_share_a_judge(judge):
    found = {}

    def work(number):
        code = f"def add(a, b): return {number}"
        found[number] = judge.evaluate([Submission(code, "add", CALLS[:1])] * 5)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: verdicts[4].tests[0].got for number, verdicts in found.items()} == {
        number: str(number) for number in range(6)
    }


def test_a_judge_of_full_batches_binds_each_worker_to_a_core_and_others_none():
    cores = os.sched_getaffinity(0)
    with Judge(len(cores)) as full, Judge(len(cores) + 1) as single:
        full.evaluate([Submission(ADD, "add", CALLS)] * 4 * len(cores))
        assert sorted(core for pid in full.pids for core in os.sched_getaffinity(pid)) == sorted(cores)
        single.evaluate([Submission(ADD, "add", CALLS)])
        assert [os.sched_getaffinity(pid) for pid in single.pids] == [cores]


def test_a_closed_judge_starts_again():
    judge = Judge(1, layers=())
    assert verdict_on(judge, ADD, CALLS).outcome is Outcome.PASS
    judge.close()
    judge.close()
    assert verdict_on(judge, ADD, CALLS).outcome is Outcome.PASS
    judge.close()


def test_a_forked_process_gets_zygotes_of_its_own():
    with Judge(1, layers=()) as judge:
        verdict_on(judge, ADD, CALLS)
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()

        def work():
            results.put(verdict_on(judge, ADD, CALLS).outcome.value)
            judge.close()

        child = context.Process(target=work)
        child.start()
        child.join()
        assert results.get() == "pass"
        assert verdict_on(judge, ADD, CALLS).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("entry_point", "test"),
    [
        (None, CallTest("[1]", "1")),
        (None, CheckTest("def check(candidate): pass")),
        (None, StdioTest("", "", "linse")),
        ("add", CallTest("[1]", "1", None, "linse")),
    ],
)
def test_a_test_that_goes_with_no_program_is_an_error_of_the_caller(judge, entry_point, test):
    with pytest.raises(UsageError, match="test 0"):
        judge.evaluate([Submission(ADD, entry_point, (test,))])


@pytest.mark.parametrize(
    "test", [CallTest("[f()]", "1"), CallTest("[1]", "open('x')"), CallTest("3", "3"), CallTest("[1,", "3")]
)
def test_a_test_of_what_is_no_literal_is_not_supported(judge, test):
    unsupported, _ = verdicts = judge.evaluate(
        [Submission(ADD, "add", (test,)), Submission(ADD, "add", CALLS)]
    )
    assert [verdict.outcome.value for verdict in verdicts] == ["unsupported", "pass"]
    assert unsupported.error.startswith("test 0: unsupported: ")


def test_a_judge_needs_a_worker():
    with pytest.raises(UsageError, match="at least one worker"):
        Judge(0)


def test_a_sandbox_that_does_not_start_is_an_error_of_ours(monkeypatch):
    with Judge(1, layers=()) as judge:
        monkeypatch.setattr("sys.executable", "/bin/false")
        with pytest.raises(InfrastructureError, match="does not start"):
            judge.evaluate([Submission(ADD, "add", CALLS)])
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        with pytest.raises(InfrastructureError, match="cannot start"):
            judge.evaluate([Submission(ADD, "add", CALLS)])


def test_random_numbers_are_the_same_in_every_run(judge):
    code = "import random\nshared = random.random()\ndef add(a, b): return [shared, random.random()]"
    verdicts = judge.evaluate([Submission(code, "add", CALLS)] * 6)
    assert len({verdict.tests for verdict in verdicts}) == 1


def test_nothing_of_the_parent_is_inherited(judge, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "bait")
    code = "import os, sys\ndef add(a, b): return [sorted(os.environ), sys.argv, len(os.listdir('/tmp'))]"
    with Judge(1) as fresh:
        got = verdict_on(fresh, code, CALLS[:1]).tests[0].got or ""
    assert "HF_TOKEN" not in got
    assert "'PYTHONHASHSEED'" in got
