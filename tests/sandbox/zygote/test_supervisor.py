"""Wall time is a job's own: what a busy machine takes of it is not counted, what it sleeps is."""

from typing import Any

import pytest

from o1coder_gym.sandbox.wire import Ending, Mode, Request
from o1coder_gym.sandbox.zygote import supervisor

REQUEST = Request(Mode.CALL, cpu_s=2.0, total_cpu_s=2.0, wall_s=10.0)
MANY = REQUEST._replace(total_cpu_s=60.0)
"""Thirty calls."""
STEP_S = 0.1


class Clock:
    """What the supervisor takes for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Process:
    """A child that gets shares of a core."""

    def __init__(self) -> None:
        self.used_s = self.waited_s = self.since_s = 0.0
        self.ending: Ending | None = None

    def cpu_s(self) -> float:
        return self.used_s

    def kill(self, ending: Ending) -> None:
        self.ending = self.ending or ending

    def live(self, seconds: float, runs: float, waits: float) -> None:
        self.used_s += runs * seconds
        self.waited_s += waits * seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(supervisor, "time", found)
    return found


def lasts(
    clock: Clock, request: Request, *phases: tuple[float, float, float], answers: bool = True
) -> tuple[Ending | None, float]:
    """Returns how a job ends, and when; phases are seconds, the share that it runs and that it waits."""
    child: Any = Process()
    limits = supervisor._Limits(request, clock.now)
    for seconds, runs, waits in phases:
        until = clock.now + seconds
        while clock.now < until and child.ending is None:
            clock.now += STEP_S
            child.live(STEP_S, runs, waits)
            limits.patience_ms([child])
            if limits.ask() and answers:
                limits.enforce_wall([child], child.waited_s)
    return child.ending, clock.now


@pytest.mark.parametrize(
    ("request_", "share"),
    [(REQUEST, 0.5), (REQUEST, 0.1), (REQUEST, 0.055), (MANY, 0.1), (MANY, 0.06)],
)
def test_whoever_would_stay_within_the_cpu_limit_does_so_at_a_small_share_of_a_core(
    clock: Clock, request_: Request, share: float
) -> None:
    """At a twentieth of a core, 1.9 of 2 and 57 of 60 seconds: the clock says 35 s and 16 minutes."""
    needs_s = 0.95 * request_.total_cpu_s
    unlimited = request_._replace(cpu_s=request_.total_cpu_s)  # each call has a limit of its own
    assert lasts(clock, unlimited, (needs_s / share, share, 1 - share))[0] is None


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_cpu_time_decides_about_who_runs(clock: Clock, share: float) -> None:
    ending, end_s = lasts(clock, REQUEST, (200, share, 1 - share))
    assert ending is Ending.CPU
    assert end_s == pytest.approx(2.0 / share, abs=2 * STEP_S)


@pytest.mark.parametrize("runs", [0.0, 0.001, 0.015])
def test_who_sleeps_ends_at_the_wall_limit(clock: Clock, runs: float) -> None:
    ending, end_s = lasts(clock, REQUEST, (200, runs, 0.0))
    assert ending is Ending.WALL
    assert end_s == pytest.approx(10.0, abs=2 * STEP_S)


@pytest.mark.parametrize("waits", [0.2, 0.5, 0.75])
def test_who_sleeps_on_a_busy_machine_gets_back_what_that_took_and_no_more(
    clock: Clock, waits: float
) -> None:
    ending, end_s = lasts(clock, REQUEST, (200, 0.0, waits))
    assert ending is Ending.WALL
    assert end_s == pytest.approx(10.0 / (1 - waits), abs=1.0)


def test_waiting_before_does_not_excuse_sleeping_after(clock: Clock) -> None:
    ending, end_s = lasts(clock, REQUEST, (30, 0.03, 0.97), (200, 0.0, 0.0))
    assert ending is Ending.WALL
    assert end_s == pytest.approx(40.0 + 10.0, abs=11.0)


def test_who_never_gets_a_core_is_starved_not_late(clock: Clock) -> None:
    ending, end_s = lasts(clock, REQUEST, (900, 0.001, 0.999))
    assert ending is Ending.STARVED
    assert end_s == pytest.approx(200.0, abs=2 * STEP_S)


def test_without_an_answer_the_clock_decides_nothing(clock: Clock) -> None:
    assert lasts(clock, REQUEST, (100, 0.0, 0.0), answers=False)[0] is None
    assert lasts(clock, REQUEST, (300, 0.0, 0.0), answers=False)[0] is Ending.STARVED


def test_a_late_answer_ends_one_window_not_two(clock: Clock) -> None:
    """A job that goes on slowly keeps its next window whole, however long the answer took."""
    child: Any = Process()
    limits = supervisor._Limits(REQUEST, 0.0)
    for moment, used_s in ((25.0, 0.5), (26.0, 0.5), (34.0, 0.8)):
        while clock.now < moment - 1.0:
            clock.now += 1.0
            limits.patience_ms([child])
        clock.now, child.used_s = moment, used_s
        limits.enforce_wall([child], 0.0)
    assert child.ending is None
    for moment, ending in ((46.0, None), (58.0, Ending.WALL)):  # 0.3 s since the last window
        while clock.now < moment:
            clock.now += 1.0
            limits.patience_ms([child])
        limits.enforce_wall([child], 0.0)
        assert child.ending is ending


def test_what_stands_still_with_the_whole_machine_has_not_slept(clock: Clock) -> None:
    child: Any = Process()
    limits = supervisor._Limits(REQUEST, 0.0)
    for moment in (1.0, 2.0, 3602.0, 3604.0, 3606.0, 3608.0):  # an hour of `docker pause`
        clock.now = moment
        limits.patience_ms([child])
        limits.enforce_wall([child], 0.0)
    assert child.ending is None
    for clock.now in (3610.0, 3612.0):
        limits.patience_ms([child])
        limits.enforce_wall([child], 0.0)
    assert child.ending is Ending.WALL


def test_an_answer_that_waited_for_the_machine_to_go_on_ends_nothing(clock: Clock) -> None:
    child: Any = Process()
    limits = supervisor._Limits(REQUEST, 0.0)
    clock.now = 1.0
    limits.patience_ms([child])
    assert limits.ask()
    clock.now = 3601.0
    limits.enforce_wall([child], 0.0)
    assert child.ending is None
    assert limits.own_s() == pytest.approx(1.0)


@pytest.mark.parametrize(("waited_s", "own_s"), [(0.0, 6.0), (3.0, 1.5), (4.0, 0.0), (5.0, 0.0)])
def test_its_own_seconds_are_those_without_waiting(clock: Clock, waited_s: float, own_s: float) -> None:
    """So that programs on a busy machine are not taken for programs that sleep in test after test."""
    limits = supervisor._Limits(REQUEST, 0.0)
    for clock.now in (1.0, 2.0, 3.0, 4.0):
        limits.patience_ms([])
    limits.enforce_wall([], waited_s)
    clock.now = 6.0
    assert limits.own_s() == pytest.approx(own_s)
    clock.now = 3606.0  # the machine stood still, and then it had ended
    assert limits.own_s() == pytest.approx(own_s)


def test_a_question_is_asked_once_until_it_is_answered(clock: Clock) -> None:
    limits = supervisor._Limits(REQUEST, 0.0)
    assert not limits.ask()
    clock.now = 1.0
    assert [limits.ask(), limits.ask()] == [True, False]
    limits.enforce_wall([], 0.0)
    assert not limits.ask()
    clock.now = 2.0
    assert limits.ask()


@pytest.mark.parametrize(
    ("said", "endings"),
    [
        (Request(Mode.STOP), [Ending.STOPPED]),
        (Request(Mode.PROGRESS), []),
        (Request(Mode.WAITED, wall_s=99.0), []),
        (Request(Mode.WAITED, wall_s=0.0), [Ending.WALL]),
    ],
)
def test_a_job_does_what_it_is_told(clock: Clock, said: Request, endings: list[Ending]) -> None:
    watch = supervisor.Watch.__new__(supervisor.Watch)
    child: Any = Process()
    watch._alive = [child]
    limits = supervisor._Limits(REQUEST, 0.0)
    for clock.now in map(float, range(1, 21)):
        limits.patience_ms([child])
    watch._obey(said, limits)
    assert [child.ending] == (endings or [None])
