"""Quality, on programs whose mutants and samples are counted by hand."""

import math

import pytest

from o1coder_gym.problems.rows import ProblemRow
from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.quality.measures import ProblemQuality, measure, reward_agreement, summarize
from o1coder_gym.types import CallTest, GeneratedTests, Problem
from tests.tcg.conftest import HastyJudge

pytestmark = pytest.mark.slow

ADD = ProblemRow(
    Problem("add", "add(1, 0) is 1.", "add"),
    (CallTest("[1, 2]", "3"), CallTest("[5, 5]", "10")),
    "def add(a, b):\n    return a + b",
)
# the mutants of ADD are `a - b` and `return None`; add(1, 0) == 1 rejects only the second


def test_kill_rate_on_known_mutants(judge: Judge) -> None:
    weak = GeneratedTests((CallTest("[1, 0]", "1"),))
    strong = GeneratedTests((CallTest("[1, 0]", "1"), CallTest("[1, 2]", "3")))
    wrong = GeneratedTests((CallTest("[1, 2]", "4"),))
    found = measure(judge, [ADD, ADD, ADD], [weak, strong, wrong])
    assert [(one.mutants, one.killed) for one in found] == [(2, 1), (2, 2), (2, 0)]
    assert [(one.passed, one.parsed) for one in found] == [(1, 1), (2, 2), (0, 1)]
    assert [one.shown for one in found] == [1, 1, 0]


def test_soundness_validity_and_both_denominators(judge: Judge) -> None:
    tests = (CallTest("[1, 2]", "3"), CallTest("[1, 2.5]", "4"), CallTest("[1, 'a']", "1"))
    report = {"asked": 4, "written": 6, "unreadable": 2, "duplicate": 1, "tokens": 50}
    (one,) = measure(judge, [ADD], [GeneratedTests(tests, report=report)])
    assert (one.passed, one.valid, one.parsed, one.asked, one.tokens) == (1, 2, 3, 4, 50)
    rates = summarize([one])
    assert rates["pass_rate_of_asked"].mean == 1 / 4
    assert rates["pass_rate_of_parsed"].mean == pytest.approx(1 / 3)
    assert rates["input_validity"].mean == pytest.approx(2 / 3)
    assert rates["duplicate_rate"].mean == pytest.approx(1 / 6)
    assert rates["parse_rate"].mean == 3 / 4
    assert rates["tokens_per_problem"].mean == 50


def test_samples_are_accepted_or_rejected(judge: Judge) -> None:
    samples = {
        "add": [
            "def add(a, b):\n    return b + a",
            "def add(a, b):\n    return sum((a, b))",
            "def add(a, b):\n    return a if b == 0 else a * b",
            "def add(a, b):\n    return 1",
        ]
    }
    tests = GeneratedTests((CallTest("[1, 0]", "1"),))
    (weak,) = measure(judge, [ADD], [tests], samples=samples)
    assert (weak.right, weak.right_accepted, weak.wrong, weak.wrong_rejected) == (2, 2, 2, 0)
    (fair,) = measure(judge, [ADD], [GeneratedTests((CallTest("[2, 0]", "2"),))], samples=samples)
    assert (fair.wrong_rejected, summarize([fair])["discrimination"].mean) == (1, 0.5)
    agreement = reward_agreement([weak, fair])
    assert (agreement.programs, agreement.agreement) == (8, 5 / 8)
    assert (agreement.false_positive, agreement.false_negative) == (3 / 4, 0.0)
    assert (agreement.tpr, agreement.tnr) == (1.0, 1 / 4)
    assert "TPR 100.0% (right programs accepted), TNR 25.0% (wrong programs rejected)" in str(agreement)


def test_new_tests_that_pass_kill_and_copies_and_wrong_ones_do_not(judge: Judge) -> None:
    row = ProblemRow(Problem("f", "The distance from zero.", "f", (CallTest("[3]", "3"),)), (
        CallTest("[3]", "3"), CallTest("[-2]", "2"), CallTest("[9]", "9"),
    ), "def f(n):\n    return abs(n)")  # fmt: skip
    samples = {"f": ["def f(n):\n    return n", "def f(n):\n    return -n", "def f(n):\n    return abs(n)"]}
    copy, wrong, new = CallTest("[3]", "3"), CallTest("[1]", "2"), CallTest("[-4]", "4")
    asked = {"asked": 4}
    for tests, found, killed in (
        ((copy,), 0, 0),  # it rejects the second program, as everyone knows
        ((copy, wrong), 0, 0),  # it rejects all, the right one too
        ((copy, wrong, new), 1, 1),
    ):
        (one,) = measure(judge, [row], [GeneratedTests(tests, report=asked)], samples=samples)
        assert (one.new, one.wrong, one.wrong_killed) == (found, 2, killed)
        rates = summarize([one])
        assert (rates["new_rate"].value, rates["wrong_kill_rate"].value) == (found / 4, killed / 2)
    earlier = {name: value for name, value in one.to_row().items() if name not in ("new", "wrong_killed")}
    rates = summarize([ProblemQuality(**earlier)])  # a row of an earlier version does not tell
    assert math.isnan(rates["new_rate"].value)
    assert math.isnan(rates["wrong_kill_rate"].value)


def test_without_a_reference_only_samples_are_measured(judge: Judge) -> None:
    row = ProblemRow(ADD.problem, ADD.tests)
    samples = {"add": ["def add(a, b):\n    return a - b"]}
    (one,) = measure(judge, [row], [GeneratedTests((CallTest("[1, 2]", "3"),))], samples=samples)
    assert (one.mutants, one.passed, one.wrong, one.wrong_rejected) == (0, 0, 1, 1)


def test_no_tests_kill_nothing(judge: Judge) -> None:
    (one,) = measure(judge, [ADD], [GeneratedTests(())])
    assert (one.mutants, one.killed, one.parsed) == (2, 0, 0)
    rates = summarize([one])
    assert math.isnan(rates["pass_rate_of_parsed"].mean)
    assert rates["pass_rate_of_parsed"].count == 0
    assert rates["kill_rate"].mean == 0.0


def test_rates_are_means_over_the_problems_that_have_them() -> None:
    one = ProblemQuality("a", 2, 2, 2, 0, passed=2, valid=2, shown=0)
    other = ProblemQuality("b", 2, 0, 0, 0, passed=0, valid=0, shown=0)
    rates = summarize([one, other])
    assert (rates["pass_rate_of_asked"].mean, rates["pass_rate_of_asked"].count) == (0.5, 2)
    assert (rates["pass_rate_of_parsed"].mean, rates["pass_rate_of_parsed"].count) == (1.0, 1)
    assert 0.0 < rates["pass_rate_of_asked"].low < 0.1  # Wilson for 1 of 2
    assert rates["pass_rate_of_asked"].rough
    assert ProblemQuality(**one.to_row()) == one


def test_tests_of_the_dataset_need_no_report(judge: Judge) -> None:
    (one,) = measure(judge, [ADD], [GeneratedTests(ADD.tests)])
    assert (one.asked, one.written, one.parsed, one.passed) == (2, 2, 2, 2)


def slow(seconds: float) -> str:
    return f"def add(a, b):\n    import time\n    end = time.process_time() + {seconds}\n" + (
        "    while time.process_time() < end:\n        pass\n    return a + b"
    )


def test_a_reference_has_the_limits_of_its_problem(hasty: HastyJudge) -> None:
    """Six inputs of 0.035 s are within a test's 0.2 s each, not in all; 0.25 s at once need more room."""
    tests = tuple(CallTest(f"[{n}, 1]", str(n + 1)) for n in range(6))
    row = ProblemRow(ADD.problem, ADD.tests, slow(0.035))
    (one,) = measure(hasty, [row], [GeneratedTests(tests)], mutants_per_problem=0)
    assert (one.passed, one.valid) == (6, 6)
    roomy = Problem("add", "add(1, 0) is 1.", "add", meta={"cpu_s": 6.0})
    for problem, passed in ((roomy, 1), (ADD.problem, 0)):
        row = ProblemRow(problem, ADD.tests, slow(0.25))
        (one,) = measure(hasty, [row], [GeneratedTests(tests[:1])], mutants_per_problem=0)
        assert (one.passed, one.valid) == (passed, passed)


def test_timeouts_are_no_kills_and_survivors_of_all_tests_are_held_equivalent(hasty: HastyJudge) -> None:
    code = "def count(n):\n    i = 0\n    while i < n:\n        i = i + 1\n    return i"
    problem = Problem("count", "Counts to n.", "count")
    row = ProblemRow(problem, (CallTest("[3]", "3"), CallTest("[0]", "0"), CallTest("[-2]", "0")), code)
    (one,) = measure(hasty, [row], [GeneratedTests((CallTest("[3]", "3"), CallTest("[5]", "5")))])
    assert one.timeouts >= 1  # i - 1 never ends
    assert one.killed + one.timeouts + one.equivalent <= one.mutants
    assert one.killed < one.mutants
    rates = summarize([one])
    alive = one.mutants - one.equivalent
    assert rates["kill_rate"].value == pytest.approx(one.killed / alive)
    assert rates["timeout_rate"].value == pytest.approx(one.timeouts / alive)


def test_without_a_reference_nothing_is_measured(judge: Judge) -> None:
    row = ProblemRow(ADD.problem, ADD.tests, None)
    (one,) = measure(judge, [row], [GeneratedTests((CallTest("[1, 0]", "1"),))])
    assert not one.measured
    rates = summarize([one])
    for name in ("pass_rate_of_asked", "pass_rate_of_parsed", "input_validity", "kill_rate"):
        assert math.isnan(rates[name].value), name
    assert rates["parse_rate"].value == 1.0
    known = ProblemQuality("b", 2, 2, 2, 0, passed=2, valid=2, shown=0)
    assert summarize([one, known])["pass_rate_of_asked"].value == 1.0
