"""Other surroundings: noise comes out otherwise there, and nothing else does."""

from dataclasses import replace

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.tcg.adversary.disturbance import disturbed
from o1coder_gym.tcg.checking.execution import Observation, Program, observe
from o1coder_gym.types import Outcome, Problem

PRELUDE = "'A platform.'\nfrom __future__ import annotations\nimport time\ndef helper(x): return sum(x)\n"
PROBLEM = Problem("p", "def f(x): ...", "f", prelude=PRELUDE)
WHOLE = Problem("p", "Print something.")


def seen(judge: Judge, problem: Problem, code: str, given: str = "[[1, 2]]") -> list[Observation]:
    """What a program does in the sandbox's surroundings and in two others."""
    runs = [Program(disturbed(problem, code, number), code, (given,)) for number in range(3)]
    return [one for (one,) in observe(judge, runs)]


@pytest.mark.parametrize(
    "code",
    [
        "import random\ndef f(x):\n    return random.getrandbits(64)",
        "from random import sample\ndef f(x):\n    return sample(range(10**9), 2)",
        "def f(x):\n    return int(time.time())",
        "from time import monotonic_ns as now\ndef f(x):\n    return now() // 10**9",
        "def f(x):\n    return time.strftime('%Y')",
        "def f(x):\n    return time.localtime().tm_year",
        "from datetime import datetime\ndef f(x):\n    return datetime.now().year",
        "import datetime\ndef f(x):\n    return datetime.date.today().year",
        "def f(x):\n    return id(f)",
        "def f(x):\n    return hex(id(None))",
    ],
)
def test_noise_comes_out_otherwise(judge: Judge, code: str) -> None:
    results = seen(judge, PROBLEM, code)
    assert {one.outcome for one in results} == {Outcome.PASS}
    assert len({one.output for one in results}) == 3


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    return hash(f)",
        "def f(x):\n    return hash(lambda: x)",
        "def f(x):\n    return hash(object())",
        "class A: pass\ndef f(x):\n    return hash(A)",
        "class A: pass\ndef f(x):\n    return hash(A())",
        "class A:\n    def __init__(self): self.x = 1\ndef f(x):\n    return hash(A())",
    ],
)
def test_objects_lie_elsewhere_than_in_the_sandbox(judge: Judge, code: str) -> None:
    """Whatever the heap was like, as the judge's processes have it from the tests before this one."""
    for more in range(0, 60, 20):
        prelude = f"{PRELUDE}kept = [lambda: 1 for _ in range({more})]\ndel kept[::3]\n"
        first, *others = seen(judge, replace(PROBLEM, prelude=prelude), code)
        assert {first.outcome, *(one.outcome for one in others)} == {Outcome.PASS}
        assert first.output not in {one.output for one in others}


def test_lots_of_a_whole_program_are_others_in_each_process(judge: Judge) -> None:
    code = "import random\nprint(random.random())"
    run = Program(disturbed(WHOLE, code, 1), code, ("1\n",) * 4)
    assert len({one.output for one in observe(judge, [run])[0]}) == 4


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("from __future__ import annotations\ndef f(x: Unknown):\n    return helper(x)", "3"),
        (
            "class Watch:\n    clock = time.time\n    def read(self): return self.clock()\n"
            "def f(x):\n    start = Watch().read()\n    time.sleep(0.001)\n"
            "    return 0 < time.time() - start < 9 and time.process_time() < 99",
            "True",
        ),
        (
            "import random as r\ndef f(x):\n    r.shuffle(x)\n    return sorted(x), r.Random(3).random()",
            "([1, 2], 0.23796462709189137)",
        ),
        (
            "from datetime import datetime, timedelta\nimport datetime as d\ndef f(x):\n"
            "    t = datetime(2020, 1, 2)\n    other = datetime.strptime('2020', '%Y')\n"
            "    return repr(t + timedelta(1)), datetime.now() > t, type(other) is datetime, str(datetime),"
            " isinstance(datetime.max, datetime), issubclass(d.date, datetime), isinstance(t, d.date)",
            "('datetime.datetime(2020, 1, 3, 0, 0)', True, True, \"<class 'datetime.datetime'>\","
            " True, False, True)",
        ),
        (
            "import copy\ndef f(x):\n    x.append(x)\n    y = copy.deepcopy(x)\n"
            "    return id(y[2]) == id(y) != id(x)",
            "True",
        ),
        ("def f(x):\n    return [name for name in globals() if 'isturb' in name]", "[]"),
        ("def f(x):\n    return time.strftime('%Y', time.gmtime(0)), time.ctime(0)[-4:]", "('1970', '1970')"),
    ],
)
def test_nothing_else_does(judge: Judge, code: str, output: str) -> None:
    assert seen(judge, PROBLEM, code) == [Observation(output, Outcome.PASS)] * 3


def test_a_failure_names_the_line_of_the_program(judge: Judge) -> None:
    results = seen(judge, PROBLEM, "def f(x):\n    y = 1\n    return x[9]")
    assert {one.error for one in results} == {"IndexError: list index out of range (line 3)"}
