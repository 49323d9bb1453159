import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, best_of_n, greedy, mcts
from o1coder_gym.agents.driver.cache import CachedPolicy, CachedScorer
from o1coder_gym.errors import JournalError, PolicyError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import (
    GREEDY,
    CallTest,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    StdioTest,
)

REQUEST = PolicyRequest(Problem("p", "q"), State("p"), n=2, seed=7)


def test_an_equal_request_is_answered_once(toy: ModuleType) -> None:
    inside = toy.ToyPolicy()
    policy = CachedPolicy(inside)
    first = policy.propose([REQUEST, REQUEST])
    assert first[0] == first[1]
    assert policy.propose([REQUEST]) == first[:1]
    assert inside.requests == [REQUEST]
    assert policy.hits == 2


@pytest.mark.parametrize(
    "change",
    [
        {"n": 3},
        {"seed": 8},
        {"sampling": GREEDY},
        {"problem": Problem("p", "another")},
        {"problem": Problem("p", "q", public_tests=(CallTest("[1]", "2"),))},
        {"problem": Problem("p", "q", public_tests=(StdioTest("1", "2"),))},
        {"problem": Problem("p", "q", "f")},
        {"problem": Problem("p", "q", meta={"split": "test"})},
        {"state": State("r")},
        {"question": "Why?"},
    ],
    ids=str,
)
def test_another_request_is_not(toy: ModuleType, change: dict[str, Any]) -> None:
    inside = toy.ToyPolicy()
    policy = CachedPolicy(inside)
    policy.propose([REQUEST])
    policy.propose([replace(REQUEST, **change)])
    assert len(inside.requests) == 2


def test_it_outlives_the_process(toy: ModuleType, tmp_path: Path) -> None:
    with RunFolder.open(tmp_path, {"policy": "toy"}) as folder:
        first = CachedPolicy(toy.ToyPolicy(), folder).propose([REQUEST])
    inside = toy.ToyPolicy()
    with RunFolder.open(tmp_path, {"policy": "toy"}, resume=True) as folder:
        assert CachedPolicy(inside, folder).propose([REQUEST]) == first
    assert inside.requests == []


def test_a_cache_changes_neither_results_nor_what_they_cost(toy: ModuleType) -> None:
    tasks = [
        Task("p", agent, Budget(tokens=1500), name=agent.__name__) for agent in (mcts, best_of_n, greedy)
    ]
    plain = Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks)
    policy = CachedPolicy(toy.ToyPolicy())
    for _ in range(2):
        cached = Driver(toy.ToyModel(), policy).run(tasks)
        assert [r.result for r in cached] == [r.result for r in plain]
        assert [r.usage.tokens for r in cached] == [r.usage.tokens for r in plain]
    assert policy.hits > 0


def test_a_state_is_scored_once(toy: ModuleType, tmp_path: Path) -> None:
    items = [
        (REQUEST.problem, State("p")),
        (REQUEST.problem, State("r")),
        (Problem("p", "another"), State("p")),
    ]
    inside = toy.ToyScorer()
    with RunFolder.open(tmp_path, {"scorer": "toy"}) as folder:
        scorer = CachedScorer(inside, folder)
        first = scorer.score([*items, items[0]])
        assert scorer.score(items[:1]) == first[:1] == first[3:]
    assert inside.batches == [3]
    assert scorer.hits == 2
    with RunFolder.open(tmp_path, {"scorer": "toy"}, resume=True) as folder:
        assert CachedScorer(inside, folder).score(items) == first[:3]
    assert inside.batches == [3]


def test_a_state_is_scored_anew_for_other_public_tests(toy: ModuleType) -> None:
    inside = toy.ToyScorer()
    scorer = CachedScorer(inside)
    for tests in ((), (CallTest("[1]", "2"),), (CallTest("[1]", "3"),), ()):
        scorer.score([(Problem("p", "q", public_tests=tests), State("p"))])
    assert inside.batches == [1, 1, 1]


class Gated:
    """Answers when it is let go; fails the first time if asked to."""

    def __init__(self, failing: bool = False) -> None:
        self.gate, self.asked, self.failing = threading.Event(), threading.Event(), failing
        self.requests: list[PolicyRequest] = []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.requests += requests
        self.asked.set()
        assert self.gate.wait(10)
        if self.failing and requests[0].seed == REQUEST.seed:
            self.failing = False
            raise PolicyError("gone")
        return [(Proposal(str(request.seed), 1),) * request.n for request in requests]


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("failing", [False, True])
def test_equal_requests_in_flight_are_computed_once(threads: int, failing: bool) -> None:
    inside = Gated(failing)
    policy = CachedPolicy(inside)
    with ThreadPoolExecutor(threads + 1) as pool:
        first = pool.submit(policy.propose, [REQUEST])
        assert inside.asked.wait(10)
        others = [pool.submit(policy.propose, [REQUEST, replace(REQUEST, seed=8)]) for _ in range(threads)]
        inside.gate.set()
        if failing:
            assert isinstance(first.exception(10), PolicyError)
        answers = [other.result(10) for other in others]
    assert answers == [[(Proposal("7", 1),) * 2, (Proposal("8", 1),) * 2]] * threads
    # one that failed is asked again by one of those that waited
    assert sorted(request.seed for request in inside.requests) == [7] * (1 + failing) + [8]


def within_seconds(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls it in a thread that may hang without keeping the tests from ending."""
    found: Future[Any] = Future()

    def work() -> None:
        try:
            found.set_result(function(*arguments))
        except BaseException as error:  # raised again in the test's thread
            found.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return found.result(10)


class Odd:
    """Answers once with what it is told to; later as it should."""

    def __init__(self, answer: Any) -> None:
        self.answers = iter([answer])

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[Any]:
        return [next(self.answers, (Proposal("sound", 1),) * request.n) for request in requests]


@pytest.mark.parametrize(
    "answer", [None, (), (Proposal("one", 1),), "text", (Proposal("x", -1),) * 2], ids=str
)
def test_what_breaks_the_contract_is_asked_again(tmp_path: Path, answer: Any) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        policy = CachedPolicy(Odd(answer), folder)
        assert within_seconds(policy.propose, [REQUEST]) == [answer]  # for the driver to name its fault
        assert within_seconds(policy.propose, [REQUEST]) == [(Proposal("sound", 1),) * 2]


def test_a_disk_that_is_full_blocks_no_later_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        policy = CachedPolicy(Odd((Proposal("lost", 1),) * 2), folder)
        with monkeypatch.context() as full:
            full.setattr(folder, "append", lambda *_: (_ for _ in ()).throw(JournalError("full")))
            with pytest.raises(JournalError):
                within_seconds(policy.propose, [REQUEST])
        assert within_seconds(policy.propose, [REQUEST]) == [(Proposal("sound", 1),) * 2]


@pytest.mark.parametrize("folders", [0, 1])
def test_a_lazy_answer_is_there_for_the_next_who_asks(tmp_path: Path, folders: int) -> None:
    with RunFolder.open(tmp_path, {}) as folder:
        policy = CachedPolicy(Odd(Proposal(f"{place}", 1) for place in range(2)), *[folder][:folders])
        answers = [policy.propose([REQUEST]) for _ in range(2)]
    assert answers == [[(Proposal("0", 1), Proposal("1", 1))]] * 2


def test_requests_that_cross_do_not_wait_for_each_other_for_ever() -> None:
    inside = Gated()
    inside.gate.set()
    policy = CachedPolicy(inside)
    pairs = [[replace(REQUEST, seed=a), replace(REQUEST, seed=b)] for a in range(8) for b in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(policy.propose, pairs, timeout=20))
    assert [[answer[0].text for answer in one] for one in found] == [
        [str(request.seed) for request in pair] for pair in pairs
    ]
    assert len(inside.requests) == 8
    assert policy.hits == 128 - 8
