"""What only the clock of a busy machine decided is no verdict on a program."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from o1coder_gym.sandbox import Judge, trial
from o1coder_gym.sandbox.batch import Batch
from o1coder_gym.sandbox.workers import worker as workers
from o1coder_gym.types import AssertTest, CallTest, Limits, Outcome, StdioTest, Submission

WAITS = "import time\ndef f(n):\n    time.sleep(0.7)\n    return n\n"
"""Stands for a program that stands on the run queue for so long: the judge is told that it does."""
LIMITS = Limits(cpu_s=0.2, wall_s=0.25)
CASES = [
    Submission(WAITS, "f", (CallTest("[1]", "1"),), LIMITS),
    Submission(WAITS, "f", (AssertTest("x = 1\nassert [f(x)] == [x]"),), LIMITS),
    Submission(f"{WAITS}print(f(1))", None, (StdioTest("", "1"),), LIMITS),
    Submission(f"import threading\n{WAITS}print(f(1))", None, (StdioTest("", "1"),) * 2, LIMITS),
]
NAMES = ["call", "tester", "whole", "threads"]


@pytest.fixture(scope="module", params=[("namespaces", "landlock", "seccomp"), ()], ids=["all", "none"])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    with Judge(2, layers=request.param, require=()) as found:
        yield found


def test_waiting_for_a_core_is_not_the_programs_time(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(workers, "waited_s", lambda pidfds: asked.append(len(pidfds)) or math.inf)
    verdicts = judge.evaluate(CASES)
    assert {name: one.outcome for name, one in zip(NAMES, verdicts, strict=True)} == dict.fromkeys(
        NAMES, Outcome.PASS
    )
    assert set(asked) == {1, 2}  # a tester is a process more


def test_sleeping_is(judge: Judge) -> None:
    for verdict in judge.evaluate(CASES):
        assert verdict.outcome is Outcome.TIMEOUT
        assert "waited for more than 0.25 s" in verdict.error


@pytest.mark.parametrize("code", ["time.sleep(60)", "while True: time.sleep(0.01)"])
def test_a_sleeper_gets_no_more_for_a_core_that_it_once_waited_for(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(workers, "waited_s", lambda pidfds: 0.5)
    (verdict,) = judge.evaluate([Submission(f"import time\n{code}", None, (StdioTest("", ""),) * 30, LIMITS)])
    assert verdict.outcome is Outcome.TIMEOUT


def test_a_program_without_a_core_is_masked_and_never_late(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "waited_s", lambda pidfds: math.inf)
    limits = Limits(cpu_s=0.02, wall_s=0.04, total_cpu_s=0.02)
    stuck = Submission("import time\ntime.sleep(60)", None, (StdioTest("", ""),), limits)
    verdict, other = judge.evaluate([stuck, Submission("print(1)", None, (StdioTest("", "1"),))])
    assert (verdict.outcome, other.outcome) == (Outcome.INFRASTRUCTURE, Outcome.PASS)
    assert "the machine is too busy" in verdict.error


def test_a_program_that_got_no_core_gets_another_chance(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time it is starved; then the machine is quiet, and what it does decides."""
    restarts: list[int] = []
    restart = Batch._restart

    def restarted(batch: Batch, index: int, *others: Any) -> None:
        restarts.append(index)
        restart(batch, index, *others)

    monkeypatch.setattr(Batch, "_restart", restarted)
    monkeypatch.setattr(workers, "waited_s", lambda pidfds: 0.0 if restarts else math.inf)
    limits = Limits(cpu_s=0.02, wall_s=0.04, total_cpu_s=0.02)
    (verdict,) = judge.evaluate(
        [Submission("import time\ntime.sleep(60)", None, (StdioTest("", ""),), limits)]
    )
    assert (verdict.outcome, restarts) == (Outcome.TIMEOUT, [0])


def test_a_judge_that_is_late_takes_no_program_for_a_sleeper(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may be stopped for a while, or another thread of it compute."""
    judge.report()  # its canaries are not what is late
    listen = Batch._listen

    def late(batch: Batch) -> None:
        time.sleep(0.3)
        listen(batch)

    monkeypatch.setattr(Batch, "_listen", late)
    monkeypatch.setattr(trial, "_SLEEPER_S", 0.25)
    quick = Submission("import threading\nprint(1)", None, (StdioTest("", "1"),) * 3, Limits(wall_s=0.5))
    assert judge.evaluate([quick])[0].outcome is Outcome.PASS


def test_a_zygote_may_wait_for_a_core_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    one = workers.Worker.__new__(workers.Worker)
    one.missing, one.deadline, one._waited_s = None, 60.0, 0.0
    one._process = type("Process", (), {"pid": 1})()  # pyright: ignore[reportAttributeAccessIssue]
    delays = iter([50.0, 90.0, 90.0])
    monkeypatch.setattr(workers, "run_delay_s", lambda pid: next(delays))
    assert [one.is_overdue(now) for now in (59.0, 60.0, 110.0, 149.0, 150.0)] == [False] * 4 + [True]
    one.missing, one.deadline = {}, 60.0
    assert one.is_overdue(60.0)
