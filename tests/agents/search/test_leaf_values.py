"""A step scorer in search: aggregates by hand; each use changes what it should, by one argument."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, load_agent
from o1coder_gym.agents.search.leaf_values import AGGREGATES
from o1coder_gym.envs.conformance import check_agent
from o1coder_gym.errors import UnknownNameError
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import ActionType, Problem, SearchResult, State


class Written:
    """Scores a step by what is written in it: ``think 3`` is worth 0.3, ``code 1`` 0.1; keeps what it saw."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign
        self.seen: list[State] = []

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        self.seen += [state for _, state in items]
        values = [int(state.steps[-1].text.split()[-1]) / 10 for _, state in items]
        return [value if self.sign > 0 else 1.0 - value for value in values]


def solve(toy: ModuleType, spec: str, scorer: Any, *, policy: Any = None, tokens: int = 2000) -> SearchResult:
    driver = Driver(toy.ToyModel(), policy or toy.ToyPolicy(), scorer, seed=5)
    (done,) = driver.run([Task("p", load_agent(spec), Budget(tokens=tokens), name=spec)])
    assert done.error is None
    assert done.result is not None
    return done.result


@pytest.mark.parametrize(
    ("name", "expected"), [("last", 0.25), ("min", 0.25), ("product", 0.1), ("mean", 1.55 / 3)]
)
def test_aggregates_by_hand(name: str, expected: float) -> None:
    assert AGGREGATES[name]([0.8, 0.5, 0.25]) == pytest.approx(expected)


def test_min_is_not_last() -> None:
    assert (AGGREGATES["min"]([0.2, 0.9]), AGGREGATES["last"]([0.2, 0.9])) == (0.2, 0.9)


@pytest.mark.parametrize("name", AGGREGATES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_scorer_chooses_the_answer(toy: ModuleType, name: str, sign: float) -> None:
    scorer = Written(sign)
    found = solve(toy, f"best_of_n:n=12,select=prm_{name}", scorer, policy=toy.ToyPolicy(malformed=0.0))
    assert found.state is not None
    ends = {state for state in scorer.seen if state.code is not None}
    assert len(ends) > 3
    aggregate = AGGREGATES[name]

    def opinion(state: State) -> float:
        values = [int(step.text.split()[-1]) / 10 for step in state.steps]
        return aggregate([value if sign > 0 else 1 - value for value in values])

    assert opinion(found.state) == pytest.approx(max(map(opinion, ends)))


def test_tests_come_first_where_they_are_named_first(toy: ModuleType) -> None:
    against = Written(-1.0)
    alone = solve(toy, "best_of_n:n=12,select=prm_last", against)
    after = solve(toy, "best_of_n:n=12,select=tests,select=prm_last", against)
    assert alone.value < after.value
    assert after.value == solve(toy, "best_of_n:n=12", None).value


def test_steps_that_cannot_be_read_are_never_asked(toy: ModuleType) -> None:
    scorer = Written()
    specs = ("best_of_n:n=8,select=prm_min", "beam:rank=by_scorer_mean", "mcts:evaluate=scored_min")
    for spec in specs:
        solve(toy, spec, scorer, policy=toy.ToyPolicy(malformed=0.3))
    assert scorer.seen
    assert all(state.steps[-1].type is not ActionType.MALFORMED for state in scorer.seen if state.steps)


@pytest.mark.parametrize(
    "spec",
    [
        "mcts:evaluate=scored",
        "mcts:evaluate=scored_min",
        "mcts:evaluate=mixed",
        "mcts:evaluate=mixed_mean",
        "mcts:evaluate=scored_product",
        "puct:prior=by_score",
        "puct:prior=by_score,evaluate=scored_mean",
        "beam:rank=by_scorer",
        "beam:rank=by_scorer_product",
        "diverse_beam:rank=by_scorer_min",
        "best_of_n:select=prm_min",
        "mcts:select=prm_last",
    ],
)
def test_each_use_is_one_argument_and_keeps_the_contract(toy: ModuleType, spec: str) -> None:
    check_agent(load_agent(spec), toy.ToyModel(), toy.ToyPolicy(), task_ids=["q"], scorer=toy.ToyScorer())
    scorer = toy.ToyScorer()
    solve(toy, spec, scorer, policy=toy.ToyPolicy(code=0.1, malformed=0.0))
    assert sum(scorer.batches) > 0
    off = toy.ToyScorer()
    solve(toy, spec.partition(":")[0], off)
    assert sum(off.batches) == 0


def test_path_scores_are_asked_once_per_node(toy: ModuleType) -> None:
    scorer = Written()
    solve(toy, "mcts:evaluate=scored_min,simulations=20", scorer)
    assert len(scorer.seen) == len(set(scorer.seen))


def test_an_unknown_selector_is_named() -> None:
    with pytest.raises(UnknownNameError, match="prm_min"):
        load_agent("best_of_n:select=prm_median")
