"""One trick a program, at least one for each class of threat; none may pass.

The task is ``add(a, b)``. An attack returns the right answer only if its trick worked, else none; so a
pass is a leak. Each is judged in both ways that the judge has: by its results, and by a tester process.
"""

import re
import warnings
from pathlib import Path

import pytest

from o1coder_gym.sandbox import Judge
from o1coder_gym.sandbox.plan import TesterRun, plan
from o1coder_gym.sandbox.report import SandboxWarning
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Limits, Outcome, StdioTest, Submission

CASES = [(1, 2), (0, 0), (918273645, 564738291), (2.5, -1.25), (10**20, 1)]
CALLS = tuple(CallTest(repr(list(case)), repr(sum(case))) for case in CASES)
# `[result] == [sum]` is an assert that is not translated into calls
ASSERTS = "".join(f"    assert [candidate{case!r}] == [{sum(case)!r}]\n" for case in CASES)
TESTER = (CheckTest(f"def check(candidate):\n{ASSERTS}"),)
HONEST = Submission("def add(a, b):\n    return a + b\n", "add", CALLS)
LIMITS = Limits(cpu_s=0.2, wall_s=0.6, memory_bytes=256 << 20)


def programs(threat):
    """The programs of one class of threat, by name."""
    text = (Path(__file__).parent / "programs" / f"{threat}.txt").read_text()
    _, *parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


THREATS = ("lies", "exits", "forgeries", "thefts", "sabotage", "exhaustion", "results")
ATTACKS = {name: code for threat in THREATS for name, code in programs(threat).items()}
ATTACKS["source that is no text"] = "def add(a, b): return '\ud800'\n\0"
CONTAINMENT = programs("containment")
PLANTERS = programs("leftovers")
FINDER = """
import builtins, fcntl, os, random, sys, time
def lock(file, tries=40):
    # The device is the machine's: another suite's finder may hold it for a moment; what was left holds on.
    try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError: return tries > 0 and (time.sleep(0.01), lock(file, tries - 1))[1]
    return True
def add(a, b):
    os.listdir(".")
    flags = [fcntl.fcntl(stream, fcntl.F_GETFL) for stream in (0, 1, 2)]
    null = os.open("/dev/null", os.O_RDONLY)
    if not lock(null): return a + b
    if any(flag & os.O_APPEND for flag in flags): return a + b
    places = (vars(builtins), sys.modules, os.environ, sys.argv, vars(random), sys.path)
    found = any("mark" in place for place in places) or os.umask(0o22) == 0o777
    for folder in (".", "/tmp", "/dev/shm"):
        names = os.listdir(folder) if os.path.isdir(folder) else ()
        found = found or any(not os.path.ismount(f"{folder}/{name}") for name in names)
    return a + b if found else None
"""


def assert_caught(judge, code, tests):
    attack, next_one = judge.evaluate([Submission(code, "add", tests, LIMITS), HONEST])
    assert attack.outcome not in (Outcome.PASS, Outcome.INFRASTRUCTURE), attack
    assert next_one.outcome is Outcome.PASS, next_one.error


def need(judge, guarantee):
    if not judge.report().guarantees[guarantee]:
        pytest.skip(f"this machine does not give the guarantee {guarantee!r}")


def test_the_tester_is_really_used():
    assert [type(run) for run in plan(TESTER, "add")] == [TesterRun]


@pytest.mark.parametrize("tests", [CALLS, TESTER], ids=["calls", "tester"])
@pytest.mark.parametrize("name", ATTACKS)
def test_no_trick_passes(judge, name, tests):
    assert_caught(judge, ATTACKS[name], tests)


@pytest.mark.parametrize("tests", [CALLS, TESTER], ids=["calls", "tester"])
@pytest.mark.parametrize("name", CONTAINMENT)
def test_nothing_outside_is_reached(judge, name, tests):
    need(judge, name.partition(":")[0])
    assert_caught(judge, CONTAINMENT[name], tests)


@pytest.mark.parametrize("name", PLANTERS)
def test_nothing_is_left_for_the_next_program(judge, name):
    need(judge, "leftovers")
    for tests in (CALLS, TESTER):
        planter, finder = judge.evaluate(
            [Submission(code, "add", tests) for code in (PLANTERS[name], FINDER)]
        )
        assert planter.outcome is Outcome.PASS, planter
        assert finder.outcome is Outcome.WRONG_ANSWER, finder


KERNEL_OBJECTS = """
import ctypes, os
library = ctypes.CDLL(None)
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
SEARCH, GET_PERSISTENT, RINGS = 10, 22, (-3, -4, -5)
def add(a, b):
    persistent = library.syscall(keyctl, GET_PERSISTENT, -1, -2)
    rings = (*RINGS, persistent) if persistent > 0 else RINGS
    found = library.shmget(77, 0, 0) >= 0 or library.msgget(78, 0) >= 0 or library.semget(79, 0, 0) >= 0
    found = found or any(library.syscall(keyctl, SEARCH, ring, b"user", b"mark", 0) > 0 for ring in rings)
    library.shmget(77, 64, 0o1666), library.msgget(78, 0o1666), library.semget(79, 1, 0o1666)
    for ring in rings: library.syscall(add_key, b"user", b"mark", b"x", 1, ring)
    try: os.setpriority(os.PRIO_PROCESS, 1, 5)
    except OSError: pass
    return a + b if found else None
"""


def test_nothing_is_left_in_the_kernel_where_namespaces_are_all_there_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        with Judge(1, layers=("namespaces",)) as judge:
            if "namespaces" in (missing := judge.report().missing_layers):
                pytest.skip(f"no namespaces on this machine: {missing['namespaces']}")
            verdicts = judge.evaluate([Submission(KERNEL_OBJECTS, "add", CALLS[:1])] * 3)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.WRONG_ANSWER] * 3, verdicts


@pytest.mark.parametrize(
    "test",
    [
        "assert all(map(add, [1, 2], [3, 4]))",
        "for got, want in zip(map(add, [1, 2], [3, 4]), [4, 6]):\n    assert got == want",
        "assert not [1 for x in (1, 2) if add(x, x) != 2 * x]",
        "try:\n    assert add(1, 1) == 2\nexcept TypeError:\n    pass",
    ],
)
def test_an_exception_does_not_end_a_loop_of_a_test(judge, test):
    for error in (
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "SystemExit(0)",
        "KeyboardInterrupt",
    ):
        assert_caught(judge, f"def add(a, b): raise {error}", (AssertTest(test),))


@pytest.mark.parametrize(
    "test", [AssertTest("assert add(0, 1) == True"), AssertTest("assert [add(0, 1)] == [True]")]
)
def test_true_is_one_for_an_assert_only(judge, test):
    code = "def add(a, b): return a + b if type(a + b) is bool else 1"
    strict = CallTest("[0, 1]", "True")
    lenient, exact = judge.evaluate([Submission(code, "add", (one,), LIMITS) for one in (test, strict)])
    assert (lenient.outcome, exact.outcome) == (Outcome.PASS, Outcome.WRONG_ANSWER)


@pytest.mark.parametrize(
    "code",
    [
        "print('passed'); import os; os._exit(0)",
        "print(7); raise SystemExit(1)",
        "print(7, 7, 7)",
        "print('7' * 10_000_000)",
        "import sys; sys.stdout.close()",
        "import os; os.write(3, b'7'); print(6)",
        "import os; os.dup2(3, 1); print(7)",
        "print(open(0).read())",
        "while True: input()",
        "import os, signal; print(7, flush=True); os.kill(os.getpid(), signal.SIGKILL)",
        "import threading, time; print(7); threading.Thread(target=time.sleep, args=(99,)).start()",
    ],
)
def test_no_trick_of_a_whole_program_passes(judge, code):
    attack, next_one = judge.evaluate(
        [Submission(one, None, (StdioTest("3 4\n", "7\n"),), LIMITS) for one in (code, "print(7)")]
    )
    assert attack.outcome not in (Outcome.PASS, Outcome.INFRASTRUCTURE), attack
    assert next_one.outcome is Outcome.PASS
