"""Whole programs that one process runs for several tests: verdicts as if each test had one of its own."""

import pytest

from o1coder_gym.sandbox.values.repeatable import repeatable
from o1coder_gym.types import Limits, Outcome, StdioTest, Submission

SUM = "print(sum(map(int, input().split())))"
SUMS = tuple(StdioTest(f"{number} 1\n", f"{number + 1}\n") for number in range(12))


def judged(judge, code, tests=SUMS, **more):
    (verdict,) = judge.evaluate([Submission(code, None, tests)], **more)
    return verdict


@pytest.mark.parametrize(
    "code",
    [
        SUM,
        "print(sum(map(int, open(0).read().split())))",
        "import os\nprint(sum(map(int, os.read(0, 99).split())))\nos.close(0)\nos.close(1) if 0 else None",
        "import sys\nwords = sys.stdin.buffer.read().split()\n"
        "sys.stdout.buffer.write(b'%d' % sum(map(int, words)))",
        "import io, os, sys\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n"
        "sys.stdout.write(str(sum(map(int, input().split()))))",
        "import io, sys\nkept, sys.stdout = sys.stdout, io.StringIO()\n" + SUM + "\n"
        "text = sys.stdout.getvalue()\nsys.stdout = kept\nprint(text)",
        "import sys\n" + SUM + "\nsys.stdin.close()\nsys.stdout.flush()\nsys.exit(0)",
        SUM + "\nexit()",
        "import random\nrandom.seed(3)\n" + SUM,
        "def main():\n    global total\n    total = sum(map(int, input().split()))\n    print(total)\nmain()",
        "import sys\nsys.setrecursionlimit(10**5)\ndef f(n):\n    return n and f(n - 1)\nf(9000)\n" + SUM,
        "from sys import stdin, stdout\nprint(sum(map(int, stdin.readline().split())), file=stdout, end='')",
    ],
)
def test_programs_that_leave_nothing_share_a_process(judge, code):
    assert repeatable(code.encode())
    verdict = judged(judge, code)
    assert (verdict.outcome, verdict.passed) == (Outcome.PASS, len(SUMS))


@pytest.mark.parametrize(
    "code",
    [
        "import math\nmath.count = getattr(math, 'count', 0) + 1\n",
        "import builtins\nbuiltins.seen = 1\n",
        "import threading\n",
        "import atexit\n",
        "import sys; import signal\n",
        "exec('import signal')\n",
        "__import__('signal')\n",
        "open('seen', 'w').close()\n",
        "import os\nos.environ['SEEN'] = '1'\n",
        "import os\nos.chdir('/')\n",
        "import time\ntime.sleep(0.001)\n",
        "import numpy as np\nnp.random.rand()\n",
        "from decimal import getcontext\ngetcontext().prec = 3\n",
        "import sys\nsys.modules['seen'] = sys\n",
        "import sys\nsys.stdout.reconfigure(encoding='ascii')\n",
        "class Last:\n    def __del__(self):\n        print('end')\n",
        "from heapq import merge\nmerge.seen = 1\n",
        "from json import (dumps,\n    JSONEncoder as J)\nJ.default = lambda self, x: 0\n",
        "import json\njson.JSONEncoder.item_separator = ';'\n",
    ],
)
def test_what_may_leave_something_behind_does_not(code):
    assert not repeatable(code.encode())
    assert not repeatable(SUM.encode(), code.encode())


@pytest.mark.parametrize(
    ("code", "outcomes"),
    [
        ("a, b = map(int, input().split())\nprint(a + b if a < 5 else 0)", "p" * 5 + "w" * 7),
        ("a, b = map(int, input().split())\nprint(a + b if a != 5 else 1 // 0)", "p" * 5 + "r" + "p" * 6),
        ("import sys\n" + SUM + "\nsys.exit(3)", "r" * 12),
        ("def f(:", "c" * 12),
    ],
)
def test_every_test_has_the_verdict_that_it_has_alone(judge, code, outcomes):
    names = {"p": "pass", "w": "wrong_answer", "r": "runtime_error", "c": "compile_error"}
    together = judged(judge, code)
    alone = [judged(judge, code, (test,)) for test in SUMS]
    assert [result.outcome for result in together.tests] == [one.tests[0].outcome for one in alone]
    assert [result.outcome for result in together.tests] == [names[letter] for letter in outcomes]
    assert [result.got for result in together.tests] == [one.tests[0].got for one in alone]


@pytest.mark.parametrize(
    "code",
    [
        "import heapq\nf = heapq.merge\nseen = hasattr(f, 'seen')\nf.seen = 1\n",
        "import math as m\nf = m\nseen = hasattr(f, 'seen')\nf.seen = 1\n",
    ],
)
def test_a_failure_is_confirmed_before_it_counts(judge, code):
    """These find what an earlier run has left, in ways that their text does not show."""
    told = code + SUM + "\nif seen:\n    print('again')"
    assert repeatable(told.encode())
    assert judged(judge, told).outcome is Outcome.PASS
    assert judged(judge, told, stop_at_failure=True).outcome is Outcome.PASS


LEAVING = """import fractions, heapq, json
shared, kept, kind = heapq.merge, json.dumps.__kwdefaults__, fractions.Fraction
a, b = map(int, input().split())
if a == {culprit}:
    {leave}
    print(-a)
elif {left}:
    {found}
else:
    print(a + b)"""


@pytest.mark.parametrize("found", ["print('again')", "print(-a)", "raise ValueError", "raise SystemExit(1)"])
@pytest.mark.parametrize(
    ("leave", "left"),
    [
        ("shared.seen = 1", "hasattr(shared, 'seen')"),
        ("kept['seen'] = a", "'seen' in kept"),
        ("kind.seen = a", "hasattr(kind, 'seen')"),
    ],
)
@pytest.mark.parametrize("culprit", [0, 1, 7])
def test_a_failure_that_is_confirmed_confirms_no_other(judge, culprit, leave, left, found):
    """Alone, one test fails; each later one would find what that has left."""
    code = LEAVING.format(culprit=culprit, leave=leave, left=left, found=found)
    assert repeatable(code.encode())
    verdict = judged(judge, code)
    outcomes = [result.outcome for result in verdict.tests]
    assert outcomes == [Outcome.WRONG_ANSWER if place == culprit else Outcome.PASS for place in range(12)]
    assert verdict.outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize("end", ["sys.setrecursionlimit(10**9)\n    repr(A())", "raise SystemExit(1)"])
def test_a_program_that_ends_its_process_is_run_alone_from_there(judge, end):
    code = f"""import sys
a, b = map(int, input().split())
class A:
    def __repr__(self):
        return repr(self)
if a == 4:
    {end}
print(a + b)"""
    verdict = judged(judge, code)
    assert [result.outcome is Outcome.PASS for result in verdict.tests] == [place != 4 for place in range(12)]
    assert verdict.tests[4].outcome is Outcome.RUNTIME_ERROR


def test_slow_tests_have_the_time_that_they_are_given(judge):
    slow = "a, b = map(int, input().split())\nif a == 2:\n    for _ in range(9_000_000): pass\nprint(a + b)"
    assert judged(judge, slow, SUMS[:4]).outcome is Outcome.PASS
    tests = SUMS[:4]
    limits = Limits(cpu_s=0.3)
    (verdict,) = judge.evaluate([Submission(slow.replace("9_", "900_"), None, tests, limits)])
    assert [result.outcome for result in verdict.tests] == [
        *(Outcome.PASS, Outcome.PASS, Outcome.TIMEOUT, Outcome.PASS)
    ]


def test_the_first_failure_ends_it_if_that_is_wanted(judge):
    verdict = judged(
        judge, "a, b = map(int, input().split())\nprint(a + b if a != 2 else 0)", stop_at_failure=True
    )
    assert (verdict.outcome, verdict.passed) == (Outcome.WRONG_ANSWER, 2)
