"""Rows of public benchmarks: what of them is public, what is hidden, and what is repaired."""

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.benchmarks import (
    Origin,
    converter_for,
    humaneval,
    humaneval_plus,
    mbpp,
    mbpp_plus,
)
from o1coder_gym.types import AssertTest, CallTest, CheckTest

HERE = Origin("set", 4)


def accepts(check, candidate):
    """Runs a check of ours on a function of ours."""
    names = {}
    exec(check.code, names)
    try:
        names["check"](candidate)
    except AssertionError:
        return False
    return True


HUMANEVAL = {
    "task_id": "HumanEval/900",
    "prompt": 'def double(x):\n    """Double.\n    >>> double(2)\n    4\n    >>> double(3)\n    7\n    """\n',
    "canonical_solution": "    return 2 * x\n",
    "entry_point": "double",
    "test": "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(5) == 10\n",
}


def test_humaneval_shows_the_examples_of_the_docstring_that_its_check_does_not_contradict():
    row = humaneval(HUMANEVAL, HERE)
    assert row.problem.public_tests == (CallTest("[2]", "4"),)
    assert row.problem.entry_point == "double"
    assert row.problem.meta == {"split": "test"}


def test_humaneval_hides_the_check_as_it_is():
    row = humaneval(HUMANEVAL, HERE)
    assert row.tests == (CheckTest(HUMANEVAL["test"]),)
    assert row.reference == HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"]


def test_humaneval_brings_its_own_helpers_so_that_a_candidate_cannot():
    helper = "import string\n\ndef encode(s):\n    return s[::-1]\n\n"
    raw = HUMANEVAL | {
        "prompt": helper + 'def decode(s):\n    """Undo encode."""\n',
        "canonical_solution": "    return s[::-1]\n",
        "entry_point": "decode",
        "test": "def check(candidate):\n    word = 'abc'\n    assert candidate(encode(word)) == word\n",
    }
    (check,) = humaneval(raw, HERE).tests
    assert accepts(check, lambda s: s[::-1])
    assert not accepts(check, lambda s: s)


def test_humaneval_plus_asks_the_reference_on_all_inputs():
    raw = HUMANEVAL | {"base_input": [[3]], "plus_input": [[0.1], [-7]], "contract": "", "atol": 0}
    row = humaneval_plus(raw, HERE)
    (check,) = row.tests
    assert accepts(check, lambda x: x + x)
    assert not accepts(check, lambda x: abs(2 * x))
    assert not accepts(check, lambda x: 2 * x if x != 3 else 0)
    assert accepts(check, lambda x: 2 * x + 1e-9)  # EvalPlus's comparison is that of its base tests too
    assert row.problem.meta["cpu_s"] > 2
    assert row.problem.meta["memory_bytes"] == 4 << 30


@pytest.mark.parametrize("test", [{}, {"test": None}])
@pytest.mark.parametrize("contract", ["", "    assert isinstance(x, int)\n"])
def test_the_smaller_file_of_evalplus_has_no_check(test, contract):
    raw = {name: value for name, value in HUMANEVAL.items() if name != "test"} | test
    raw |= {"base_input": [[3]], "plus_input": [[-7]], "contract": contract, "atol": 0}
    assert converter_for(raw) is humaneval_plus
    row = humaneval_plus(raw, HERE)
    assert row.problem.public_tests
    assert accepts(row.tests[0], lambda x: x + x)
    assert not accepts(row.tests[0], lambda x: abs(2 * x))


def test_humaneval_plus_takes_any_root_of_a_polynomial():
    prompt = (
        "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n"
        "def find_zero(xs):\n    '''Return any x with poly(xs, x) == 0.'''\n"
    )
    raw = {
        "task_id": "HumanEval/901",
        "prompt": prompt,
        "canonical_solution": "    return -1.0\n",
        "entry_point": "find_zero",
        "test": "def check(candidate):\n    assert abs(poly([-1, 0, 1], candidate([-1, 0, 1]))) < 1e-4\n",
        "base_input": [[[-1, 0, 1]]],
        "plus_input": [],
        "atol": 0.0001,
    }
    (plus,) = humaneval_plus(raw, HERE).tests
    assert accepts(plus, lambda xs: 1.0)
    assert accepts(plus, lambda xs: -1.00001)
    assert not accepts(plus, lambda xs: 0.5)


MBPP = {
    "task_id": 600,
    "text": "Write a function to check if a number is even.",
    "code": "def half(n):\r\n    return n // 2\r\ndef is_even(n):\r\n    return half(n) * 2 == n",
    "test_list": ["assert is_even(2) == True", "assert is_even(3) == False"],
    "test_setup_code": "",
    "challenge_test_list": ["assert is_even(10**30) == True"],
}


def test_mbpp_shows_the_first_assert_and_hides_them_all():
    row = mbpp(MBPP, HERE)
    assert row.problem.prompt == f"{MBPP['text']}\n{MBPP['test_list'][0]}\n"
    assert row.problem.public_tests == (AssertTest(MBPP["test_list"][0]),)
    assert row.tests == tuple(AssertTest(code) for code in MBPP["test_list"])
    assert row.problem.entry_point == "is_even"
    assert row.problem.task_id == "Mbpp/600"
    assert "\r" not in (row.reference or "")


@pytest.mark.parametrize(
    ("number", "split"),
    [
        (1, "prompt"),
        (10, "prompt"),
        (11, "test"),
        (510, "test"),
        (511, "validation"),
        (600, "validation"),
        (601, "train"),
        (974, "train"),
    ],
)
def test_mbpp_splits_by_task_id(number, split):
    assert mbpp(MBPP | {"task_id": number}, HERE).problem.meta["split"] == split


def test_mbpp_asserts_get_their_setup_and_the_modules_that_they_name():
    raw = MBPP | {
        "prompt": "Write it.",
        "code": "import sys\ndef size(x):\n    return sys.getsizeof(x)",
        "test_list": ["assert size(1) == sys.getsizeof(1)"],
        "test_imports": ["import math"],
    }
    (test,) = mbpp(raw, HERE).tests
    assert test == AssertTest("import sys\nimport math\nassert size(1) == sys.getsizeof(1)")


def test_mbpp_needs_an_assert_that_calls_the_code():
    with pytest.raises(ProblemFileError, match="field 'test_list': the first assert calls no function"):
        mbpp(MBPP | {"test_list": ["assert 1 == 1"]}, HERE)
    with pytest.raises(ProblemFileError, match="field 'test_list': is empty"):
        mbpp(MBPP | {"test_list": []}, HERE)


def test_the_forms_of_evalplus_on_the_hub_are_read_and_given_time():
    program = "inputs, results = [[4]], [True]\nassert is_even(*inputs[0]) == results[0]"
    row = mbpp(MBPP | {"test": program}, HERE)
    assert row.tests[-1] == AssertTest(program)
    assert row.problem.meta["cpu_s"] > 2
    assert humaneval(HUMANEVAL, Origin("humaneval+/test", 0, "test")).problem.meta["cpu_s"] > 2


MBPP_PLUS = {
    "task_id": "Mbpp/910",
    "prompt": '"""\nWrite a function to pair.\nassert pair((1, 2)) == (1, 2)\n"""\n',
    "canonical_solution": "def pair(t):\n    return t",
    "entry_point": "pair",
    "assertion": "assert pair((1, 2)) == (1, 2)\nassert pair((3, (4,))) == (3, (4,))\n",
    "base_input": [[[1, 2]]],
    "plus_input": [[[5, [6, [7]]]]],
    "contract": "",
    "atol": 0,
}


def test_mbpp_plus_restores_the_types_that_json_lost():
    row = mbpp_plus(MBPP_PLUS, HERE)
    seen = []
    assert accepts(row.tests[-1], lambda t: seen.append(t) or t)
    assert seen == [(1, 2), (5, (6, (7,)))]
    assert row.problem.prompt == "Write a function to pair.\nassert pair((1, 2)) == (1, 2)\n"
    assert row.problem.public_tests == (AssertTest("assert pair((1, 2)) == (1, 2)"),)


@pytest.mark.parametrize(
    ("assertion", "given", "restored"),
    [
        ("assert f({1, 2}) == 1", [1, 3], {1, 3}),
        ("assert f([(1, 2)]) == 1", [[3, 4], [5, 6]], [(3, 4), (5, 6)]),
        ("assert f(1j) == 1", "(1+2j)", 1 + 2j),
        ("assert f(4) == 1", "x", "x"),
        ("assert f('a') == 1", "5", "5"),
        ("assert f([1, 'a']) == 1", [2, "5"], [2, "5"]),
        ("assert f({'a': (1,)}) == 1", {"b": [2]}, {"b": (2,)}),
        ("assert f([1]) == 1\nassert f((1,)) == 1", [2], [2]),
    ],
)
def test_mbpp_plus_types_follow_the_asserts(assertion, given, restored):
    raw = MBPP_PLUS | {
        "assertion": assertion,
        "base_input": [],
        "plus_input": [[given]],
        "entry_point": "f",
        "canonical_solution": "def f(x):\n    return x",
    }
    seen = []
    assert accepts(mbpp_plus(raw, HERE).tests[-1], lambda x: seen.append(x) or x)
    assert seen == [restored]


def test_humaneval_puts_the_imports_and_helpers_of_its_prompt_before_each_program():
    head = "from typing import List\n\ndef twice(x):\n    return 2 * x\n\n"
    row = humaneval(HUMANEVAL | {"prompt": head + HUMANEVAL["prompt"]}, HERE)
    assert row.problem.prelude == "from typing import List\n\ndef twice(x):\n    return 2 * x"
    assert humaneval(HUMANEVAL, HERE).problem.prelude == ""


@pytest.mark.parametrize("name", ["test_imports", "test_setup_code"])
def test_null_is_none_in_mbpp(name):
    assert mbpp(MBPP | {name: None}, HERE) == mbpp(MBPP, HERE)


def test_mbpp_plus_compares_what_the_asserts_compare():
    plain = {"plus_input": [[[1, 2]]], "entry_point": "f", "canonical_solution": "def f(t):\n    return t"}
    as_set = MBPP_PLUS | plain | {"assertion": "assert set(f((1, 2))) == set((1, 2))"}
    truth = MBPP_PLUS | plain | {"assertion": "assert f((1, 2))\nassert not f(())"}
    exact = MBPP_PLUS | plain | {"assertion": "assert f((1, 2)) == (1, 2)"}

    def backwards(t):
        return t[::-1]

    assert accepts(mbpp_plus(as_set, HERE).tests[-1], backwards)
    assert accepts(mbpp_plus(truth, HERE).tests[-1], backwards)
    assert not accepts(mbpp_plus(exact, HERE).tests[-1], backwards)
    assert not accepts(mbpp_plus(truth, HERE).tests[-1], lambda t: False)


def test_inputs_whose_right_answer_is_too_large_to_hand_over_are_left_out():
    raw = MBPP_PLUS | {
        "entry_point": "f",
        "assertion": "assert f(1) == [0]",
        "base_input": [[1]],
        "plus_input": [[1_000_000], [2]],
        "canonical_solution": "def f(n):\n    return [0] * n",
    }
    (check,) = mbpp_plus(raw, HERE).tests
    asked = []
    assert accepts(check, lambda n: asked.append(n) or [0] * n)
    assert asked == [1, 2]
    assert not accepts(check, lambda n: [0])


def test_reference_checks_compare_floats_within_their_tolerance_and_nothing_else():
    raw = MBPP_PLUS | {
        "entry_point": "f",
        "assertion": "assert f(1) == [1.0]",
        "base_input": [],
        "plus_input": [[1]],
        "canonical_solution": "def f(x):\n    return [float(x), {'a': x}, float('nan'), 'b']",
        "atol": 0.01,
    }
    check = mbpp_plus(raw, HERE).tests[-1]
    assert accepts(check, lambda x: [1.009, {"a": 1}, float("nan"), "b"])
    assert not accepts(check, lambda x: [1.02, {"a": 1}, float("nan"), "b"])
    assert not accepts(check, lambda x: [1.0, {"a": 1}, 0.0, "b"])
    assert not accepts(check, lambda x: (1.0, {"a": 1}, float("nan"), "b"))
    assert not accepts(check, lambda x: [1.0, {"a": 2}, float("nan"), "b"])
    assert not accepts(check, lambda x: [1.0, {"a": 1}, float("nan")])


@pytest.mark.parametrize("name", ["prompt", "entry_point", "canonical_solution", "test", "task_id"])
def test_a_missing_benchmark_field_is_named(name):
    with pytest.raises(ProblemFileError, match=f"field '{name}': missing"):
        humaneval({key: value for key, value in HUMANEVAL.items() if key != name}, HERE)


def test_broken_code_in_a_benchmark_row_is_named():
    with pytest.raises(ProblemFileError, match="field 'code': not Python"):
        mbpp(MBPP | {"code": "def ("}, HERE)
