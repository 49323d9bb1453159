"""Checkers: programs of a test that say whether an output is right, as confined as what they check."""

import pytest

from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.rows import case_from_json, case_to_json
from o1coder_gym.types import AssertTest, CallTest, CheckerTest, Limits, Outcome, StdioTest, Submission

# any two positive numbers with the given sum, in any order
PAIR = """
def check(input, output, expected):
    words = output.split()
    return len(words) == 2 and all(int(word) > 0 for word in words) and sum(map(int, words)) == int(input)
"""
# the same, as a script that reads files, in the form in which checkers are generated
SCRIPT = """
import sys

def main():
    input_path, expected_path, output_path = sys.argv[1:4]
    with open(input_path) as file:
        total = int(file.read())
    with open(output_path) as file:
        words = file.read().split()
    assert open(expected_path).read().split()
    if len(words) != 2 or min(map(int, words)) < 1 or sum(map(int, words)) != total:
        print(0)
        return
    print(1)

if __name__ == "__main__":
    main()
"""
PATHS = """
import sys
from pathlib import Path
given, expected, output = (Path(name).read_text().split() for name in sys.argv[1:])
print("OK" if len(output) == 2 and sum(map(int, output)) == int(given[0]) and "0" not in output else "WA")
"""
CHECKERS = {"function": PAIR, "script": SCRIPT, "paths": PATHS}


def verdict_on(judge, code, *tests, **limits):
    (verdict,) = judge.evaluate([Submission(code, None, tests, Limits(**limits))])
    return verdict


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("n = int(input())\nprint(1, n - 1)", "pass"),
        ("n = int(input())\nprint(n - 1)\nprint(1)", "pass"),
        ("n = int(input())\nprint(n // 2, n - n // 2)", "pass"),
        ("n = int(input())\nprint(0, n)", "wrong_answer"),
        ("n = int(input())\nprint(n)", "wrong_answer"),
        ("print('no numbers')", "wrong_answer"),
        ("print()", "wrong_answer"),
        ("1 / 0", "runtime_error"),
        ("print(1, 4); raise SystemExit(3)", "runtime_error"),
        ("while True: pass", "timeout"),
        ("print(", "compile_error"),
    ],
)
def test_any_right_answer_is_accepted_and_no_wrong_one(judge, checker, code, outcome):
    tests = (CheckerTest("5\n", checker, "2 3\n"), CheckerTest("9\n", checker, "4 5\n"))
    verdict = verdict_on(judge, code, *tests, cpu_s=0.1)
    assert [test.outcome.value for test in verdict.tests] == [outcome] * 2, verdict


@pytest.mark.parametrize(
    ("checker", "accepts"),
    [
        ("def check(input, output, expected): return True", True),
        ("def check(input, output, expected): return 1.0", True),
        ("def check(input, output, expected): return (True, 'well done')", True),
        ("def check(input, output, expected): return 'accepted'", True),
        ("print('Checked.')\nprint(100)", True),
        ("import sys\nprint('ok')\nsys.exit(0)", True),
        ("def check(input, output, expected): return 0.5", False),
        ("def check(input, output, expected): return None", False),
        ("def check(input, output, expected): return (False, 'no')", False),
        ("def check(input, output, expected): return [1]", False),
        ("print('wrong')", False),
        ("print(1)\nraise SystemExit(1)", False),
        ("x = 1", False),
        ("1 / 0", False),
        ("not python (", False),
        ("import os\nos._exit(0)", False),
        ("while True: pass", False),
    ],
)
def test_what_a_checker_says(judge, checker, accepts):
    verdict = verdict_on(judge, "print(1)", CheckerTest("", checker), cpu_s=0.2)
    assert verdict.outcome is (Outcome.PASS if accepts else Outcome.WRONG_ANSWER), verdict


def test_checkers_mix_with_other_tests_and_stop_at_a_failure(judge):
    tests = (
        StdioTest("5\n", "1 4\n"),
        CheckerTest("5\n", PAIR),
        StdioTest("5\n", "4 1\n"),
        CheckerTest("5", PAIR),
    )
    code = "n = int(input())\nprint(1, n - 1)"
    verdict = verdict_on(judge, code, *tests)
    assert [test.outcome.value for test in verdict.tests] == ["pass", "pass", "wrong_answer", "pass"]
    (verdict,) = judge.evaluate([Submission(code, None, tests)], stop_at_failure=True)
    assert [test.error for test in verdict.tests] == ["", "", "", "not run"]


@pytest.mark.parametrize(
    "checker",
    [
        "import os\ndef check(i, o, e): return os.fork() >= 0",
        "import socket\ndef check(i, o, e): return bool(socket.socket())",
        "def check(i, o, e): return bool(open('/etc/passwd').read())",
        "import os\ndef check(i, o, e): return os.system('true') == 0",
    ],
)
def test_a_checker_is_confined(judge, checker):
    assert verdict_on(judge, "print(1)", CheckerTest("", checker)).outcome is Outcome.WRONG_ANSWER


def test_a_program_cannot_speak_for_its_checker(judge):
    code = "import os, struct\nos.write(3, struct.pack('<BII', 7, 0, 0))\nprint('accepted')\nprint(1)"
    assert verdict_on(judge, code, CheckerTest("5", PAIR)).outcome is not Outcome.PASS
    verdict = verdict_on(judge, "print('''1\nTrue''')", CheckerTest("5", SCRIPT, "x"))
    assert verdict.outcome is Outcome.WRONG_ANSWER


def test_a_checker_sees_the_whole_of_long_outputs(judge):
    checker = "def check(i, o, e): return o == e"
    text = "7\n" * 1_000_000
    verdict = verdict_on(judge, "print('7\\n' * 1_000_000, end='')", CheckerTest("", checker, text))
    assert verdict.outcome is Outcome.PASS, verdict.error


def test_checkers_are_rows():
    test = CheckerTest("5\n", PAIR, "1 4\n")
    assert case_from_json(case_to_json(test)) == test
    assert case_from_json({"kind": "checker", "stdin": "", "checker": PAIR}) == CheckerTest("", PAIR)
    with pytest.raises(ProblemFileError, match="field 'checker': not Python"):
        case_from_json({"kind": "checker", "stdin": "", "checker": "def ("})
    named = {"kind": "stdio", "stdin": "", "stdout": "", "compare": "apps"}
    assert case_from_json(named) == StdioTest("", "", "apps")
    with pytest.raises(ProblemFileError, match="did you mean 'apps'"):
        case_from_json({"kind": "stdio", "stdin": "", "stdout": "", "compare": "app"})


PRELUDE = """
from typing import *
import math
class Node:
    def __init__(self, x): self.x = x
def f(x): return 7
"""


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("def f(x: List[int]) -> Optional[int]: return math.prod(x)", "pass"),
        ("class Solution:\n    def f(self, x): return Node(math.prod(x)).x", "pass"),
        ("from __future__ import annotations\ndef f(x: Unknown): return math.prod(x)", "pass"),
        ("def g(x): return 6", "runtime_error"),
        ("", "runtime_error"),
    ],
)
def test_a_prelude_comes_before_a_program_and_not_in_its_stead(judge, code, outcome):

    for test in (CallTest("[[2, 3]]", "6"), AssertTest("x = [2, 3]\nassert [f(x)] == [6]")):
        (verdict,) = judge.evaluate([Submission(code, "f", (test,), prelude=PRELUDE)])
        assert verdict.outcome.value == outcome, verdict
    whole = Submission(
        "print(math.prod(map(int, input().split())))", None, (StdioTest("2 3", "6"),), prelude=PRELUDE
    )
    assert judge.evaluate([whole])[0].outcome is Outcome.PASS
