"""Verdicts do not depend on load or on the number of workers, and nothing is left behind."""

import os
import resource
import signal
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest

from o1coder_gym.sandbox import Judge, SandboxWarning
from o1coder_gym.types import CallTest, Limits, Outcome, StdioTest, Submission

pytestmark = pytest.mark.slow

CALLS = tuple(CallTest(f"[{n}, {n}]", str(2 * n)) for n in range(3))
ADD = Submission("def add(a, b):\n    return a + b\n", "add", CALLS)
HALF_LIMIT = 0.25
BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n" + ADD.code


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SandboxWarning)
        yield


@pytest.fixture(scope="module")
def stability(import_file):
    """The benchmark of the same properties at full size: its hostile programs and its counts."""
    return import_file(Path(__file__).parents[2] / "benchmarks" / "speed" / "judge" / "stability.py")


def test_half_of_the_cpu_limit_is_enough_whatever_the_load(stability):
    limits = Limits(cpu_s=2 * HALF_LIMIT, wall_s=8 * HALF_LIMIT)
    program = Submission(BURN.format(HALF_LIMIT), "add", CALLS, limits)
    with stability.busy_loops(), Judge(2) as judge:
        verdicts = judge.evaluate([program] * 8)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS}


def test_a_program_over_the_cpu_limit_fails_on_an_idle_machine_too():
    with Judge(1) as judge:
        program = Submission(BURN.format(0.4), "add", CALLS, Limits(cpu_s=0.2))
        (verdict,) = judge.evaluate([program])
    assert verdict.outcome is Outcome.TIMEOUT
    assert 0.2 <= verdict.cpu_s < 0.4


def test_a_waiting_program_ends_at_the_wall_limit_however_often_it_wakes():
    code = "import time\ndef add(a, b):\n    while True: time.sleep(0.01)"
    with Judge(1) as judge:
        started = time.monotonic()
        (verdict,) = judge.evaluate([Submission(code, "add", CALLS, Limits(cpu_s=2.0, wall_s=0.3))])
    assert verdict.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 20


def test_one_and_many_workers_agree(stability):
    batch = stability.mixed_batch(150, hostile_share=0.2)
    found = []
    for workers in (1, 4):
        with Judge(workers) as judge:
            found.append([(one.outcome, one.tests) for one in judge.evaluate(batch)])
    assert found[0] == found[1]


def test_nothing_is_left_behind(stability, tmp_path, monkeypatch):
    before = stability.descendants()
    with Judge(2) as judge:
        judge.evaluate(stability.mixed_batch(100, hostile_share=0.2))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        processes = len(stability.descendants())
        descriptors = stability.count_descriptors()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        verdicts = judge.evaluate(stability.mixed_batch(1500, hostile_share=0.05))
        assert stability.count_descriptors() == descriptors
        # The last programs are reaped by their zygotes, which may have had no core since.
        until = time.monotonic() + 30
        while len(stability.descendants()) > processes and time.monotonic() < until:
            time.sleep(0.01)
        assert len(stability.descendants()) == processes
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert Outcome.INFRASTRUCTURE not in {verdict.outcome for verdict in verdicts}
    assert grown_kib < 20 << 10
    assert stability.descendants() <= before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layers", [("namespaces", "landlock", "seccomp"), ()], ids=["all", "none"])
def test_killing_zygotes_costs_no_verdict(layers):
    sleepy = Submission(
        "import time\ndef add(a, b):\n    time.sleep(0.2)\n    return a + b", "add", CALLS[:1]
    )
    with Judge(2, layers=layers) as judge:
        judge.evaluate([ADD] * 2)
        first = judge.pids
        killers = [
            threading.Timer(0.1, lambda: [os.kill(pid, signal.SIGKILL) for pid in judge.pids]),
        ]
        for killer in killers:
            killer.start()
        verdicts = judge.evaluate([sleepy] * 6 + [ADD] * 20)
        assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS}
        assert not set(judge.pids) & set(first)


def test_a_program_over_which_zygotes_die_twice_is_a_failure_of_ours():
    sleepy = Submission("import time\ntime.sleep(60)", None, (StdioTest("", ""),), Limits(wall_s=60))
    stop = threading.Event()

    def kill_at_work():
        while not stop.wait(0.05):
            for worker in list(judge._own_pool()._workers):
                if worker.busy:
                    os.kill(worker.pid, signal.SIGKILL)

    with Judge(1, layers=()) as judge:
        judge.evaluate([ADD])
        killer = threading.Thread(target=kill_at_work)
        killer.start()
        try:
            (verdict,) = judge.evaluate([sleepy])
        finally:
            stop.set()
            killer.join()
        assert verdict.outcome is Outcome.INFRASTRUCTURE
        assert judge.evaluate([ADD])[0].outcome is Outcome.PASS


def test_a_stopped_zygote_is_replaced(monkeypatch):
    for name, value in (("_GRACE_S", 1.0), ("_WALL_WINDOWS", 1), ("_MOST_STARVED", 1), ("_STOP_S", 0.1)):
        monkeypatch.setattr(f"o1coder_gym.sandbox.workers.worker.{name}", value)
    with Judge(1, layers=()) as judge:
        judge.evaluate([ADD])
        os.kill(judge.pids[0], signal.SIGSTOP)
        quick = Submission(ADD.code, "add", CALLS, Limits(cpu_s=0.5, wall_s=0.5, total_cpu_s=0.5))
        assert judge.evaluate([quick])[0].outcome is Outcome.PASS


def test_zygotes_are_replaced_when_they_are_worn(monkeypatch):
    monkeypatch.setattr("o1coder_gym.sandbox.workers.pool._JOBS_PER_ZYGOTE", 5)
    with Judge(1, layers=()) as judge:
        seen = set()
        for _ in range(12):
            judge.evaluate([ADD])
            seen |= set(judge.pids)
    assert len(seen) == 3
