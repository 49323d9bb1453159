from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, best_of_n, greedy, mcts
from o1coder_gym.agents.driver.cache import CachedPolicy, CachedScorer
from o1coder_gym.runs.budget import Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import (
    GREEDY,
    PolicyRequest,
    Problem,
    State,
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
        {"state": State("r")},
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
