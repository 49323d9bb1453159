"""Programs that the question's own tests take for equal: no attack parts them, no kept test fails one."""

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.behaviour import UNTOLD
from o1coder_gym.tcg.adversary.oracle import ruling
from o1coder_gym.tcg.adversary.report import attack_programs, attack_row
from o1coder_gym.tcg.adversary.signals import hard_tests, preference_pairs
from o1coder_gym.tcg.checking.question_comparison import comparison_of, expected_test, same_of
from o1coder_gym.tcg.mutation import MutationGenerator
from o1coder_gym.types import ActionType, AssertTest, CallTest, Outcome, Problem, State, Step, Submission

EQUAL = [
    (
        ("assert f('abb')", "assert f('xab')"),
        (
            "def f(s):\n    return 'a' in s",
            "def f(s):\n    return s.find('a') >= 0",
            "import re\ndef f(s):\n    return re.search('a', s)",
            "def f(s):\n    return s.count('a')",
        ),
        "def f(s):\n    return 'ab' in s",
    ),
    (
        ("assert f('abb') == True", "assert f('xb') == False"),
        (
            "def f(s):\n    return 'a' in s",
            "def f(s):\n    return s.find('a') >= 0",
            "def f(s):\n    return 1 if 'a' in s else 0",
        ),
        "def f(s):\n    return 'ab' in s",
    ),
    (
        ("assert sorted(f([1, 2])) == [1, 2]", "assert sorted(f([2])) == [2]"),
        (
            "def f(s):\n    return list(s)",
            "def f(s):\n    return s[::-1]",
            "def f(s):\n    return reversed(s)",
            "def f(s):\n    yield from s",
        ),
        "def f(s):\n    return s[:2]",
    ),
    (
        ("assert len(f([1, 2])) == 2", "assert len(f([2])) == 1"),
        ("def f(s):\n    return [*s]", "def f(s):\n    return range(len(s))", "def f(s):\n    return (*s,)"),
        "def f(s):\n    return s[:2]",
    ),
]


def question(asserts: tuple[str, ...]) -> Problem:
    return Problem("p", "def f(s): ...", "f", tuple(map(AssertTest, asserts)))


@pytest.mark.parametrize(("asserts", "equal", "wrong"), EQUAL)
def test_equality_is_that_of_the_questions_tests(
    judge: Judge, asserts: tuple[str, ...], equal: tuple[str, ...], wrong: str
) -> None:
    problem = question(asserts)
    _, found, ruled = attack_programs(judge, problem, equal)
    assert (found.partition.classes, found.noisy, ruled) == ((tuple(range(len(equal))),), {}, [])
    merged, found, ruled = attack_programs(judge, problem, [*equal, wrong])
    assert found.partition.classes == (tuple(range(len(equal))), (len(equal),))
    ends = [State("p", (Step(ActionType.CODE, code),)) for code in merged.codes]
    pairs = preference_pairs(found, ruled, ends, split="train")
    assert {pair.rejected.text for pair in pairs} == {wrong}
    # The tests that are kept tell what was told apart, and nothing else.
    tests = hard_tests(problem, ruled).tests
    verdicts = judge.evaluate([Submission(code, "f", tests) for code in (*equal, wrong)])
    assert {one.outcome for one in verdicts[:-1]} == {Outcome.PASS}
    assert verdicts[-1].outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    ("one", "equal", "other"),
    [
        ("Decimal(x)", "Decimal(x) + 0", "Decimal(x + 1)"),
        ("Decimal(x)", "Fraction(x)", "Fraction(x + 1)"),
        ("float('nan')", "-float('nan')", "float('inf')"),
        ("range(x)", "range(0, x, 1)", "range(x + 1)"),
        ("deque([x])", "deque([x], 5)", "deque([x + 1])"),
        ("frozenset([x])", "{x}", "{x + 1}"),
    ],
)
def test_what_only_the_judge_can_compare_is_compared(judge: Judge, one: str, equal: str, other: str) -> None:
    problem = Problem("p", "def f(x): ...", "f", (CallTest("[3]", "3"),))
    head = "from collections import deque\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
    codes = [f"{head}def f(x):\n    return {text}" for text in (one, equal, other)]
    _, found, ruled = attack_programs(judge, problem, codes)
    assert found.partition.classes == ((0, 1), (2,))
    tests = hard_tests(problem, ruled).tests
    verdicts = judge.evaluate([Submission(code, "f", tests) for code in codes])
    assert [one.outcome is Outcome.PASS for one in verdicts] == [True, True, False]


@pytest.mark.parametrize(
    ("one", "other"), [("(i for i in [x])", "(i + 1 for i in [x])"), ("10**5000", "10**5000 + 1")]
)
def test_what_nobody_can_compare_is_told_and_is_no_failure(judge: Judge, one: str, other: str) -> None:
    problem = Problem("p", "def f(x): ...", "f", (CallTest("[3]", "3"),))
    codes = {text: f"def f(x):\n    return {text}" for text in (one, other, "[x]", "[x] + []", "[*[x]]")}
    row = attack_row(judge, problem, codes)
    assert row["untold"] == [one, other]
    (attack,) = row["attacks"]
    assert attack["outputs"]["(cannot be told apart)"] == [one, other]
    assert (attack["right"], attack["confidence"]) == (f"[{attack['input'][1:-1]}]", 0.6)
    # They are no failures, so they do not make the input one outside the question's domain; but what most
    # return and nobody can name is not taken for right.
    few = attack_row(judge, problem, dict(list(codes.items())[:3]))
    assert few["attacks"][0]["right"] is None
    assert attack_row(judge, problem, {one: codes[one], other: codes[other]})["untold"] == [one, other]


def test_a_value_without_a_literal_is_a_vote_for_a_valid_input() -> None:
    assert ruling("[1]", {UNTOLD: 2.0, "=1": 3.0, "runtime_error": 4.0}).right == "=1"
    assert ruling("[1]", {UNTOLD: 4.0, "=1": 3.0}).right is None


def test_a_recursive_program_does_not_meet_the_view_of_its_own_results(judge: Judge) -> None:
    problem = question(("assert set(f([1, 2])) == {1, 2}",))
    codes = ["def f(s):\n    return [s[0]] + f(s[1:]) if s else []", "def f(s):\n    return s"]
    _, found, _ = attack_programs(judge, problem, codes)
    assert found.partition.classes == ((0, 1),)
    depth = question(("assert f([[1]])",))
    code = "def f(s):\n    return 1 + f(s[0]) if isinstance(s, list) and s else 0"
    made = MutationGenerator(judge).generate(depth, 4, code)
    assert judge.evaluate([Submission(code, "f", made.tests)])[0].outcome is Outcome.PASS


def test_a_program_may_give_the_name_of_a_view_to_something_else(judge: Judge) -> None:
    problem = question(("assert sorted(f([2, 1])) == [1, 2]",))
    codes = ["sorted = None\n\ndef f(s):\n    return s", "def f(s):\n    return [*s]"]
    _, found, _ = attack_programs(judge, problem, codes)
    assert found.partition.classes == ((0, 1),)


@pytest.mark.parametrize(
    ("public", "one", "other"),
    [
        ("assert f(1)", "[0]", "True"),
        ("assert not f(1)", "None", "0"),
        ("assert f(1) == 1", "True", "1"),
        ("assert f(1) == 1", "[0.30000000000000004]", "[0.3]"),
        ("assert bool(f(1)) == True", "2", "True"),
        ("assert len(f(1)) == 1", "1", "[7]"),
        ("assert sorted(f(1)) == []", "(2, 1)", "[1, 2]"),
    ],
)
def test_outputs_are_the_same_where_the_asserts_are(public: str, one: str, other: str) -> None:
    same = same_of(question((public,)))
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("public", "one", "other"),
    [("assert f(1)", "0", "1"), ("assert f(1) == [1]", "(1,)", "[1]"), ("assert len(f(1)) == 1", "2", "1")],
)
def test_outputs_differ_where_the_asserts_do(public: str, one: str, other: str) -> None:
    assert not same_of(question((public,)))(one, other)


def test_a_test_asks_for_what_was_seen_through_the_view() -> None:
    problem = question(("assert len(f([1])) == 1",))
    test = expected_test(problem, comparison_of(problem), "[[3, 3]]", "2")
    assert test == AssertTest("assert len(f([3, 3])) == 2")
