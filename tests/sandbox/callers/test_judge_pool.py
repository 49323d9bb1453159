"""Judges in several processes: the verdicts of one, a bounded queue, deaths, streams."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeAlias

import pytest

from o1coder_gym.errors import InfrastructureError, UsageError
from o1coder_gym.sandbox import ConcurrentJudge, Judge, JudgePool
from o1coder_gym.sandbox.callers import judge_pool, judge_process
from o1coder_gym.sandbox.callers.asking import ROOM_PER_WORKER
from o1coder_gym.types import CallTest, Outcome, StdioTest, Submission, Verdict

CALLS = (CallTest("[1]", "2"), CallTest("[2]", "3"))
PROGRAMS = [Submission(f"def f(x):\n    return x + {i % 3}", "f", CALLS) for i in range(24)]
EXPECTED = ["wrong_answer", "pass", "wrong_answer"] * 8
StandIn: TypeAlias = Callable[[str], list[object]]
SLEEPER = Submission("import time\ntime.sleep(1)\ndef f(x):\n    return x + 1", "f", CALLS)

pytestmark = pytest.mark.filterwarnings("ignore::o1coder_gym.sandbox.SandboxWarning")


@pytest.fixture(scope="module")
def pool() -> Iterator[JudgePool]:
    with JudgePool(2, per_process=1) as pool:
        yield pool


@pytest.fixture(scope="module")
def many() -> Iterator[ConcurrentJudge]:
    with Judge(2) as judge, ConcurrentJudge(judge) as many:
        many.evaluate(PROGRAMS[:2])
        yield many


def test_two_processes_give_the_verdicts_of_one(pool: JudgePool, many: ConcurrentJudge) -> None:
    assert len(set(pool.pids)) == pool.workers == 2
    found = pool.evaluate(PROGRAMS)
    assert [one.outcome for one in found] == EXPECTED
    assert [one.tests for one in found] == [one.tests for one in many.evaluate(PROGRAMS)]
    assert [one.outcome for one in asyncio.run(pool.evaluate_async(PROGRAMS))] == EXPECTED
    assert [one.value for one in pool.submit_run(PROGRAMS[1]).result()] == ["2", "3"]
    assert pool.waiting == 0


@pytest.mark.parametrize("kind", ["pool", "many"])
def test_a_slow_program_holds_up_no_other(kind: str, request: pytest.FixtureRequest) -> None:
    judge = request.getfixturevalue(kind)
    found = list(judge.as_completed([SLEEPER, *PROGRAMS]))
    assert [place for place, _ in found].index(0) > 3  # on a busy machine a second is not long
    by_place = {place: verdict.outcome for place, verdict in found}
    assert [by_place[place] for place in range(25)] == ["pass", *EXPECTED]


@pytest.mark.parametrize("room", [1, 3, None])
def test_programs_are_drawn_only_while_there_is_room(many: ConcurrentJudge, room: int | None) -> None:
    drawn = judged = most = 0

    def feed() -> Iterator[Submission]:
        nonlocal drawn, most
        for one in PROGRAMS:
            drawn += 1
            most = max(most, drawn - judged)
            yield one

    for _ in many.as_completed(feed(), room=room):
        judged += 1
    assert judged == drawn == len(PROGRAMS)
    # one more than the room: the next is drawn before the caller sees the verdict that made room for it
    assert most == (room or ROOM_PER_WORKER * many.workers) + 1


def test_a_stream_that_is_left_takes_its_programs_back(many: ConcurrentJudge) -> None:
    stream = many.as_completed([PROGRAMS[0], *[SLEEPER] * 40])
    assert next(stream)[0] == 0
    stream.close()
    assert many.waiting <= ROOM_PER_WORKER * many.workers
    assert many.evaluate(PROGRAMS[1:2])[0].outcome == "pass"


def test_who_asks_waits_while_no_process_has_room() -> None:
    futures: list[Future[Verdict]] = []
    refused: list[InfrastructureError] = []

    def feed() -> None:
        try:
            futures.extend([pool.submit(SLEEPER), pool.submit(SLEEPER)])
            for _ in range(9):
                pool.submit(SLEEPER)
        except InfrastructureError as error:
            refused.append(error)

    with JudgePool(2, per_process=1) as pool:
        assert pool.parallel == 2
        feeder = threading.Thread(target=feed)
        feeder.start()
        while len(futures) < 2:
            time.sleep(0.01)
        assert feeder.is_alive()
    feeder.join(30)
    assert "the judge pool is closed" in str(refused[0])  # it had to wait with one, and was told
    assert [one.result(0).outcome for one in futures] == ["pass", "pass"]  # what ran was waited for


def test_a_process_that_dies_costs_no_verdict() -> None:
    with JudgePool(2, per_process=1) as pool:
        pool.evaluate(PROGRAMS[:2])
        first, second = pool.pids
        futures = [pool.submit(SLEEPER), pool.submit(SLEEPER)]
        os.kill(first, signal.SIGKILL)
        futures += map(pool.submit, PROGRAMS[:6])
        assert [one.result(60).outcome for one in futures] == ["pass", "pass", *EXPECTED[:6]]
        assert pool.pids[0] != first
        assert pool.pids[1] == second


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Has pools start a program of the test's own; gives the list of those that they have started."""

    def put(program: str) -> list[object]:
        path = tmp_path / "stand_in"
        path.write_text(f"#!{sys.executable}\n{program}")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        started: list[object] = []
        start = judge_pool._Member._start
        monkeypatch.setattr(judge_pool._Member, "_start", lambda one: (started.append(one), start(one)))
        return started

    return put


DIES_OVER_ONE = """
import os, sys
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[-3]))
while True:
    try:
        number, method, submission, keywords = line.recv()
    except EOFError:
        break
    if submission.code == "poison":
        os._exit(1)
    line.send((number, submission.code))
"""


def test_a_program_that_kills_its_process_takes_no_other_with_it(
    stand_in: StandIn,
) -> None:
    stand_in(DIES_OVER_ONE)
    codes = ["first", "poison", "second", "third", "fourth"]
    tests = (CallTest("[1]", "1"), CallTest("[2]", "2"))
    asked = [Submission(code, None, tests) for code in codes]
    with JudgePool(4) as pool:
        lost: Any
        first, lost, *others = pool.evaluate(asked)
        assert [first, *others] == ["first", "second", "third", "fourth"]
        assert lost.error == "2 processes of the judge died over it"
        assert {lost.outcome, *(test.outcome for test in lost.tests)} == {Outcome.INFRASTRUCTURE}
        assert len(lost.tests) == 2
        outputs = pool.submit_run(asked[1]).result(60)
        assert [one.outcome for one in outputs] == [Outcome.INFRASTRUCTURE] * 2


def test_a_process_that_cannot_start_is_not_started_for_ever(stand_in: StandIn) -> None:
    started = stand_in("raise SystemExit(1)")
    with JudgePool(1) as pool:
        with pytest.raises(InfrastructureError, match="2 processes of the judge died over it"):
            pool.submit(PROGRAMS[0]).result(60)
        time.sleep(0.5)
        assert len(started) <= 3  # one more where the first had died before it was asked


def test_what_cannot_be_sent_takes_no_room() -> None:
    with JudgePool(1, per_process=1) as pool:
        assert pool.parallel == 1
        with pytest.raises(TypeError, match="pickle"):
            pool.submit(Submission("", None, (one for one in ())))  # pyright: ignore[reportArgumentType]
        assert pool.evaluate(PROGRAMS[1:2])[0].outcome == "pass"


def test_a_process_reads_on_while_nobody_reads_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce:
        """A judge that has long outputs, and has them at once."""

        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, submission: Submission) -> Future[str]:
            done: Future[str] = Future()
            done.set_result(submission.code)
            return done

    monkeypatch.setattr(judge_process, "Judge", AtOnce)
    monkeypatch.setattr(judge_process, "ConcurrentJudge", AtOnce)
    near, far = Pipe()
    long = Submission("x" * 2_000_000, None, ())

    def answer() -> None:
        with pytest.raises(EOFError):
            judge_process.serve(far, 1, {})

    def ask() -> None:
        for number in range(3):
            near.send((number, "submit", long, {}))

    threads = [threading.Thread(target=work, daemon=True) for work in (answer, ask)]
    for thread in threads:
        thread.start()
    threads[1].join(10)
    assert not threads[1].is_alive()
    assert [near.recv() for _ in range(3)] == [(number, long.code) for number in range(3)]
    near.close()
    threads[0].join(10)
    far.close()


def test_threads_share_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        usable = True
        made = 0

        def __init__(self, workers: int) -> None:
            Slow.made += 1
            time.sleep(0.1)

        def close(self) -> None: ...

    monkeypatch.setattr(judge_pool, "_shared", None)
    monkeypatch.setattr(judge_pool, "JudgePool", Slow)
    monkeypatch.setattr(judge_pool, "default_judge", lambda: SimpleNamespace(workers=64))
    threads = [threading.Thread(target=judge_pool.shared_judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Slow.made == 1


def test_a_task_that_is_cancelled_sends_no_more_programs(
    pool: JudgePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    napper = replace(SLEEPER, code=SLEEPER.code.replace("sleep(1)", "sleep(0.1)"))
    sent: list[Submission] = []
    submit = pool.submit

    def counted(one: Submission, /, *, stop_at_failure: bool = False) -> Future[Verdict]:
        sent.append(one)
        return submit(one, stop_at_failure=stop_at_failure)

    async def hang_up() -> None:
        task = asyncio.ensure_future(pool.evaluate_async([napper] * 20))
        while not sent:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    monkeypatch.setattr(pool, "submit", counted)
    asyncio.run(hang_up())  # waits for its threads
    assert len(sent) < 20


def test_what_cannot_be_is_told_to_who_asks(pool: JudgePool) -> None:
    with pytest.raises(UsageError, match="entry point"):
        pool.evaluate([Submission("", None, CALLS)])
    with (
        JudgePool(1, layers=["wishes"]) as wishing,
        pytest.raises(UsageError, match="unknown sandbox"),
    ):
        wishing.evaluate([Submission("", None, (StdioTest("", ""),))])
