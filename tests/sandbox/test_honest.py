"""Awkward but right programs: whatever the sandbox does to attackers, these must pass."""

import re
from pathlib import Path

import pytest

from o1coder_gym.types import CallTest, CheckTest, Outcome, StdioTest, Submission

CASES = [(1, 2), (0, 0), (-5, 5), (918273645, 564738291), (2.5, -1.25)]
CALLS = tuple(CallTest(repr(list(case)), repr(sum(case))) for case in CASES)
# `[result] == [sum]` is an assert that is not translated into calls
ASSERTS = "".join(f"    assert [candidate{case!r}] == [{sum(case)!r}]\n" for case in CASES)
TESTER = (CheckTest(f"def check(candidate):\n{ASSERTS}"),)
_, *PARTS = re.split(
    r"^=== (.+)\n", (Path(__file__).parent / "programs" / "honest.txt").read_text(), flags=re.MULTILINE
)
PROGRAMS = dict(zip(PARTS[::2], PARTS[1::2], strict=True))


@pytest.mark.parametrize("tests", [CALLS, TESTER], ids=["calls", "tester"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_honest_programs_pass(judge, name, tests):
    (verdict,) = judge.evaluate([Submission(PROGRAMS[name], "add", tests)])
    assert verdict.outcome is Outcome.PASS, verdict


@pytest.mark.parametrize(
    "code",
    [
        "print(sum(map(int, input().split())))",
        "import sys\nprint(sum(int(word) for line in sys.stdin for word in line.split()))",
        "print(sum(map(int, open(0).read().split())), end='')",
        "if __name__ == '__main__':\n    a, b = map(int, input().split())\n    print(a + b)\n    exit()",
        "import sys\nsys.stdout.write(str(eval(sys.stdin.readline().replace(' ', '+'))))\nsys.exit(0)",
        "import os\nos.write(1, b'7\\n')",
        "import threading\nthreading.Thread(target=print, args=(7,)).start()",
        "import atexit\natexit.register(print, 7)",
        "import sys\nprint('x' * 500_000, file=sys.stderr)\nprint(7)",
        "import sys\nprint(7)\nsys.stdout.close()",
        "import atexit, io, sys\nsys.stdout = text = io.StringIO()\n"
        "atexit.register(lambda: sys.__stdout__.write(text.getvalue()))\nprint(7)",
        "from sys import stdin, setrecursionlimit\nsetrecursionlimit(10 ** 6)\n"
        "def main():\n    print(sum(map(int, stdin.buffer.read().split())))\nmain()",
    ],
)
def test_honest_whole_programs_pass(judge, code):
    (verdict,) = judge.evaluate([Submission(code, None, (StdioTest("3 4\n", "7\n"),))])
    assert verdict.outcome is Outcome.PASS, verdict


def test_much_input_and_output_pass(judge):
    numbers = "\n".join(map(str, range(200_000)))
    test = StdioTest(numbers, numbers)
    (verdict,) = judge.evaluate(
        [Submission("import sys\nfor line in sys.stdin: print(line, end='')", None, (test,))]
    )
    assert verdict.outcome is Outcome.PASS, verdict.error


def test_numpy_scalars_pass_and_arrays_are_no_lists(judge):
    pytest.importorskip("numpy")
    code = "import numpy\ndef add(a, b): return (numpy.array([a]) + numpy.array([b]))[0]"
    arrays = (CallTest("[[1, 2], [3, 4]]", "[4, 6]"), CallTest("[[0.5], [1]]", "[1.5]"))
    scalar, array = judge.evaluate(
        [
            Submission(code, "add", CALLS),
            Submission(code.replace(")[0]", ")").replace("[a]", "a").replace("[b]", "b"), "add", arrays),
        ]
    )
    assert (scalar.outcome, array.outcome) == (Outcome.PASS, Outcome.WRONG_ANSWER), (scalar, array)
    assert array.tests[0].got == "array([4, 6])"
