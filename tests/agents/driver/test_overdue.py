"""Calls that take too long, and searches that would never end."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, greedy
from o1coder_gym.agents.driver.session import UNPAID_TURNS
from o1coder_gym.errors import BudgetExhausted, InfrastructureError, PolicyError, ScorerError, UsageError
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import Problem, SearchResult, State
from o1coder_gym.types.queries import Advance, Propose, Score, Search


@dataclass
class Clock:
    """The driver's clock, which stands still but where a test sets it forward: no load makes a call late."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock.monotonic, perf_counter=time.perf_counter, sleep=time.sleep)
    for module in ("lanes", "run"):
        monkeypatch.setattr(f"o1coder_gym.agents.driver.{module}.time", fake)
    return clock


class Slow:
    """Serves as what is inside does, but its first call for the guilty problem waits to be let go."""

    def __init__(self, serve: Any, problem_of: Any, guilty: str = "p1") -> None:
        self.serve, self.problem_of, self.guilty = serve, problem_of, guilty
        self.gate, self.asked, self.calls = threading.Event(), threading.Event(), 0
        self.when_asked: Callable[[], None] = lambda: None

    def __call__(self, items: Sequence[Any], /) -> Any:
        self.calls += 1
        if any(self.problem_of(item) == self.guilty for item in items) and not self.asked.is_set():
            self.asked.set()
            self.when_asked()
            assert self.gate.wait(20)
        return self.serve(items)


def asking(problem: Problem, root: State, /) -> Search:
    (drawn,) = yield [Propose(root)]
    yield [Advance(root, drawn[0].text)]  # pyright: ignore[reportIndexIssue]
    yield [Score(root)]
    return SearchResult(None)


@pytest.fixture(params=["policy", "model", "scorer"])
def slow(toy: ModuleType, request: pytest.FixtureRequest) -> Any:
    """A driver's three parts, one of them slow; the slow call; the error that it gives."""
    policy, model, scorer = toy.ToyPolicy(code=0.0), toy.ToyModel(), toy.ToyScorer()
    if request.param == "policy":
        call = policy.propose = Slow(policy.propose, lambda item: item.problem.task_id)
        return (model, policy, scorer), call, PolicyError
    if request.param == "model":
        call = model.advance = Slow(model.advance, lambda item: item[0].problem_id)
        return (model, policy, scorer), call, InfrastructureError
    call = scorer.score = Slow(scorer.score, lambda item: item[0].task_id)
    return (model, policy, scorer), call, ScorerError


def test_a_slow_call_fails_its_own_requests_and_is_recorded_when_it_comes(
    slow: Any, clock: Clock, tmp_path: Path
) -> None:
    parts, call, error = slow
    tasks = [Task(f"p{i}", asking) for i in range(60)]
    call.when_asked = lambda: setattr(clock, "now", 0.02)
    with RunFolder.open(tmp_path, {}) as folder:
        driver, found = Driver(*parts, journal=folder, live=1, timeout_s=0.01), {}
        for result in driver.stream(tasks):
            found[result.task.task_id] = result.error
            if result.task.task_id == "p1":
                call.gate.set()
        assert type(found.pop("p1")) is error
        assert set(found.values()) == {None}
        late = [row for row in folder.rows("answers") if row["task"] == "agent p1"]
    kinds = {PolicyError: 1, InfrastructureError: 2, ScorerError: 3}
    assert len(late) == kinds[error]


def test_other_calls_of_a_server_go_on_meanwhile(toy: ModuleType, clock: Clock) -> None:
    policy = toy.ToyPolicy(code=0.0)
    policy.parallel = 3
    call = policy.propose = Slow(policy.propose, lambda item: item.problem.task_id)
    tasks = [Task(f"p{i}", greedy) for i in range(100)]
    found = []
    for result in Driver(toy.ToyModel(), policy, timeout_s=0.01, live=8).stream(tasks):
        found.append(result)
        if len(found) == 99:
            clock.now = 0.02
    assert not call.gate.is_set()  # it has not come back at all
    call.gate.set()
    assert [result.task.task_id for result in found if result.error is not None] == ["p1"]


def test_a_call_that_never_comes_back_does_not_hold_the_run_for_ever(toy: ModuleType, clock: Clock) -> None:
    policy = toy.ToyPolicy()
    call = policy.propose = Slow(policy.propose, lambda item: item.problem.task_id, "p0")
    call.when_asked = lambda: setattr(clock, "now", 1.0)
    found = Driver(toy.ToyModel(), policy, timeout_s=0.02, live=1).run(
        [Task(f"p{i}", greedy) for i in range(5)]
    )
    call.gate.set()
    assert [type(result.error) for result in found] == [PolicyError] * 5


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan")])
def test_a_time_out_is_above_zero(toy: ModuleType, timeout_s: float) -> None:
    with pytest.raises(UsageError, match="timeout_s"):
        Driver(toy.ToyModel(), toy.ToyPolicy(), timeout_s=timeout_s)


def score_for_ever(problem: Problem, root: State, /) -> Search:
    while True:
        yield [Score(root)]


def think_for_ever(problem: Problem, root: State, /) -> Search:
    while True:
        yield [Advance(root, "think 0")]


def both_for_ever(problem: Problem, root: State, /) -> Search:
    while True:
        yield [Score(root), Advance(root, "think 0")]


@pytest.mark.parametrize("agent", [score_for_ever, think_for_ever, both_for_ever])
@pytest.mark.parametrize("budget", [UNLIMITED, Budget(tokens=100), Budget(calls=3), Budget(executions=2)])
def test_a_search_that_costs_nothing_ends(toy: ModuleType, agent: Any, budget: Budget) -> None:
    result = toy.one(agent, budget=budget, scorer=toy.ToyScorer())
    assert (result.result, result.exhausted, result.error) == (None, True, None)
    if agent is not think_for_ever:
        assert result.usage.scores == UNPAID_TURNS + 1


@pytest.mark.parametrize("agent", [score_for_ever, think_for_ever, both_for_ever])
def test_seconds_end_every_kind_of_turn(toy: ModuleType, agent: Any) -> None:
    class Napping(toy.ToyModel, toy.ToyScorer):
        def __init__(self) -> None:
            toy.ToyModel.__init__(self)
            toy.ToyScorer.__init__(self)

        def advance(self, pairs: Any, /) -> Any:
            time.sleep(0.005)
            return super().advance(pairs)

        def score(self, items: Any, /) -> Any:
            time.sleep(0.005)
            return super().score(items)

    model = Napping()
    budget = Budget(seconds=0.05)
    (result,) = Driver(model, toy.ToyPolicy(), model).run([Task("p", agent, budget)])
    assert result.exhausted
    assert result.usage.scores <= 12


def test_free_turns_between_paid_ones_are_as_many_as_one_likes(toy: ModuleType) -> None:
    def agent(problem: Problem, root: State, /) -> Search:
        for _ in range(3):
            for _ in range(UNPAID_TURNS - 1):
                yield [Score(root)]
            yield [Propose(root)]
        return SearchResult(None, 0.25)

    result = toy.one(agent, scorer=toy.ToyScorer(), budget=Budget(tokens=5000))
    assert (result.result, result.exhausted) == (SearchResult(None, 0.25), False)
    assert result.usage.scores == 3 * (UNPAID_TURNS - 1)


def test_an_agent_told_of_its_free_turns_gives_its_best(toy: ModuleType) -> None:
    told: list[str] = []

    def agent(problem: Problem, root: State, /) -> Search:
        try:
            yield from score_for_ever(problem, root)
        except BudgetExhausted as error:
            told.append(str(error))
        return SearchResult(None, 0.5)

    assert toy.one(agent, scorer=toy.ToyScorer()).result == SearchResult(None, 0.5)
    assert "nothing was drawn or judged" in told[0]
