"""Budgets of all that a search computes: prompts, scorer tokens, FLOPs, requests that are sent again."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import Driver, Task, TaskResult, best_of_n, load_agent
from o1coder_gym.agents.driver.cache import CachedScorer
from o1coder_gym.agents.driver.driver import ANSWERS
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.errors import BudgetExhausted, PolicyError, UsageError
from o1coder_gym.runs.budget import Budget, Meter, ModelSizes
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import PolicyRequest, Problem, Proposal, Sampling, Scored, SearchResult, State
from o1coder_gym.types.queries import Advance, Propose, Score, Search
from tests.agents.test_equal_spending import SPENDERS

SIZES = ModelSizes(policy=3, scorer=5)
"""A token of the policy costs 6 FLOPs, one of the scorer 10."""

SCORERS = ["mcts?evaluate=mixed", "puct?evaluate=scored_min&prior=by_score", "beam?rank=by_scorer"]


class Priced:
    """A policy whose prompts have 40 tokens, and `growth` more a step; the first sample says so.

    It says too which samples were cut: the toy never draws fewer than 20 tokens.
    """

    def __init__(self, inner: Any, growth: int = 0) -> None:
        self._inner = inner
        self._growth = growth

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [
            (replace(first, prompt_tokens=40 + self._growth * request.state.depth), *others)
            for request, found in zip(requests, self._inner.propose(requests), strict=True)
            for first, *others in [[replace(p, finish="length") if p.tokens < 20 else p for p in found]]
        ]


class PricedScorer:
    """Reads 25 tokens for any score."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        return [Scored(random.Random(repr(state.steps)).random(), 25) for _, state in items]


def run(toy: ModuleType, agent: Any, budget: Budget, growth: int = 0, **options: Any) -> list[TaskResult]:
    tasks = [Task(f"p{i}", agent, budget) for i in range(4)]
    policy = Priced(toy.ToyPolicy(), growth)
    options = {"sizes": SIZES} | options
    found = Driver(toy.ToyModel(), policy, PricedScorer(), seed=4, **options).run(tasks)
    assert [result.error for result in found] == [None] * 4
    return found


def flops(result: TaskResult) -> int:
    usage = result.usage
    return 6 * (usage.tokens + usage.prompt_tokens) + 10 * usage.scorer_tokens


@pytest.mark.parametrize("spec", [*SPENDERS, *SCORERS])
@pytest.mark.parametrize("limit", [3_001, 20_000])
def test_all_agents_spend_the_same_flops(toy: ModuleType, spec: str, limit: int) -> None:
    # prompts and scores cost the same each time, so that nothing is overdrawn once the first is known;
    # what is left is too little for a prompt and the shortest sample behind it, or for a score
    for result in run(toy, load_agent(spec), Budget(flops=limit)):
        assert result.usage.flops == flops(result)
        assert limit - 6 * (40 + 16) - 10 * 25 < result.usage.flops <= limit


@pytest.mark.parametrize("spec", [*SPENDERS, *SCORERS])
def test_all_agents_spend_the_same_prompt_tokens(toy: ModuleType, spec: str) -> None:
    assert {
        result.usage.prompt_tokens for result in run(toy, load_agent(spec), Budget(prompt_tokens=800))
    } == {800}


@pytest.mark.parametrize("spec", SCORERS)
@pytest.mark.parametrize("limit", [250, 260])
def test_scorer_tokens_are_limited(toy: ModuleType, spec: str, limit: int) -> None:
    for result in run(toy, load_agent(spec), Budget(scorer_tokens=limit)):
        assert result.exhausted
        assert (result.usage.scorer_tokens, result.usage.scores) == (250, 10)


@pytest.mark.parametrize("spec", ["best_of_n?width=8", "beam", "mcts?parallel=4", "self_repair"])
def test_a_prompt_that_grows_overdraws_by_what_it_grew(toy: ModuleType, spec: str) -> None:
    # at most five steps, of 10 tokens each, in a turn of at most 8 requests
    for result in run(toy, load_agent(spec), Budget(flops=9_000), growth=10):
        assert result.usage.flops <= 9_000 + 6 * 8 * 50
    for result in run(toy, load_agent(spec), Budget(prompt_tokens=900), growth=10):
        assert result.usage.prompt_tokens <= 900 + 8 * 50


def test_the_meter_by_hand() -> None:
    meter = Meter(Budget(flops=3_000), sizes=SIZES)
    first = meter.reserve_samples(2, 100)  # 1,200 of 3,000; how long the prompt is nobody knows
    assert first is not None
    assert (first.n, first.max_tokens, first.prompt_tokens) == (2, 100, 0)
    meter.settle_samples(first, tokens=120, calls=2, prompt_tokens=80, cached_tokens=7)
    assert meter.usage.flops == 6 * (120 + 80)  # 1,800 left: what was shown of the prompt before is free
    second = meter.reserve_samples(9, 100, 1)  # behind the prompt's last token there is room for 299
    assert second is not None
    assert (second.n, second.max_tokens, second.prompt_tokens) == (2, 100, 1)
    assert meter.reserve_score() == 0  # 594 left
    assert meter.reserve_score() is None  # the first score goes alone
    meter.settle_samples(second, tokens=200, calls=2, prompt_tokens=80)
    meter.settle_score(0, tokens=9)
    assert meter.usage.flops == 6 * 200 + 6 * 280 + 10 * 9  # 2,970: no score of 90 is paid any more
    assert meter.reserve_score() is None
    last = meter.reserve_samples(1, 16, 1)  # FLOPs are spent to the last token
    assert last is not None
    assert (last.max_tokens, meter.owed) == (4, 0)
    meter.settle_samples(last, tokens=4, calls=1, prompt_tokens=3)
    assert meter.owed == 2  # 3,012 of 3,000


@pytest.mark.parametrize("unit", ["prompt_tokens", "scorer_tokens", "flops"])
@pytest.mark.parametrize("limit", [-1, float("nan")])
def test_a_limit_that_is_none_is_refused(unit: str, limit: Any) -> None:
    with pytest.raises(UsageError, match=unit):
        Budget(**{unit: limit})


def test_nothing_is_bought_for_nothing(toy: ModuleType) -> None:
    for unit in ("prompt_tokens", "flops"):
        (result, *_) = run(toy, load_agent("mcts"), Budget(**{unit: 0}))
        assert (result.usage.calls, result.exhausted) == (0, True)
    (result, *_) = run(toy, load_agent("mcts"), Budget(calls=5, flops=float("inf")))
    assert result.usage.calls == 5


class Hasty:
    """Fails each first call of more than one request."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        if len(requests) > 1:
            raise PolicyError("too many")
        return self._inner.propose(requests)


def test_a_spoilt_batch_costs_nobody_anything(toy: ModuleType, tmp_path: Path) -> None:
    def search(policy: Any, **options: Any) -> list[TaskResult]:
        tasks = [Task(f"p{i}", load_agent("mcts"), Budget(flops=9_000)) for i in range(3)]
        return Driver(toy.ToyModel(), Priced(policy), PricedScorer(), sizes=SIZES, **options).run(tasks)

    with RunFolder.open(tmp_path, {}) as folder:
        found = search(Hasty(toy.ToyPolicy()), journal=folder)
    unspoilt = search(toy.ToyPolicy())
    assert all(result.usage.retries for result in found)
    assert [(one.result, one.usage.flops) for one in found] == [
        (one.result, one.usage.flops) for one in unspoilt
    ]
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        again = search(Hasty(toy.ToyPolicy()), journal=folder)
    assert [replace(one.usage, seconds=0.0) for one in again] == [
        replace(one.usage, seconds=0.0) for one in found
    ]


def test_the_journal_has_what_scores_cost(toy: ModuleType, tmp_path: Path) -> None:
    agent = load_agent("mcts?evaluate=mixed")
    with RunFolder.open(tmp_path, {}) as folder:
        found = run(toy, agent, Budget(flops=9_000), journal=folder)
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        size = (tmp_path / f"{ANSWERS}.jsonl").stat().st_size
        again = run(toy, agent, Budget(flops=9_000), journal=folder)
    assert (tmp_path / f"{ANSWERS}.jsonl").stat().st_size == size  # nothing was asked again
    assert [(one.result, one.usage.flops) for one in again] == [
        (one.result, one.usage.flops) for one in found
    ]


def test_a_cache_keeps_what_scores_cost(tmp_path: Path) -> None:
    item = Problem("p", "a question"), State("p")
    with RunFolder.open(tmp_path, {}) as folder:
        (fresh,) = CachedScorer(PricedScorer(), folder).score([item])
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        (kept,) = CachedScorer(PricedScorer(), folder).score([item])
    assert isinstance(kept, Scored)
    assert (kept, kept.tokens) == (fresh, 25)


def test_flops_of_a_model_of_no_known_size_are_refused(toy: ModuleType) -> None:
    budget = Budget(flops=1e9)
    driver = Driver(toy.ToyModel(), toy.ToyPolicy())
    with pytest.raises(UsageError, match="is unknown"):
        driver.run([Task("p", best_of_n, budget)])
    (result,) = driver.stream(iter([Task("p", best_of_n, budget)]))  # no list: its own task ends
    assert isinstance(result.error, UsageError)
    sized = Driver(toy.ToyModel(), toy.ToyPolicy(), sizes=SIZES)
    with pytest.raises(UsageError, match="is unknown"):
        sized.run([Task("p", best_of_n, budget, policy=toy.ToyPolicy())])


def test_a_score_that_cannot_be_paid_ends_the_search(toy: ModuleType) -> None:
    told: list[Any] = []

    def agent(problem: Problem, root: State, /) -> Search:
        try:
            yield [Score(root)]
            told.append((yield [Propose(root, 2), Score(root)]))
        except BudgetExhausted:
            return SearchResult(None)
        raise AssertionError

    recorder = Recorder()
    found = run(toy, agent, Budget(scorer_tokens=30), observer=recorder)
    assert not told
    assert all(result.exhausted and result.usage.calls == 2 for result in found)
    assert all(len(one.proposals) == 2 for one in recorder.recordings.values())  # paid for, so they are shown


def test_programs_of_a_turn_without_its_score_are_shown(toy: ModuleType) -> None:
    def agent(problem: Problem, root: State, /) -> Search:
        with pytest.raises(BudgetExhausted):
            yield [Advance(root, "code 4"), Score(root)]
        return SearchResult(None)

    recorder = Recorder()
    run(toy, agent, Budget(scorer_tokens=0), observer=recorder)
    assert all(len(one.programs()) == 1 for one in recorder.recordings.values())


@pytest.mark.parametrize("growth", [0, 10])
@pytest.mark.parametrize("unit", ["flops", "prompt_tokens"])
def test_a_smaller_budget_is_read_off_a_larger_one(toy: ModuleType, unit: str, growth: int) -> None:
    agent, model = partial(best_of_n, n=30, sampling=Sampling(max_tokens=20)), toy.ToyModel()
    recorder = Recorder()
    largest = Budget(**{unit: 4_000})
    (whole, *_) = run(toy, agent, largest, growth, observer=recorder)
    recording = recorder.recordings[whole.task.key]
    for limit in range(0, 4_000, 400):
        budget = Budget(**{unit: limit})
        (expected, *_) = run(toy, agent, budget, growth)
        replay = answer_within(
            whole.task, model.problem("p0"), model.initial("p0"), recording, budget, seed=4, sizes=SIZES
        )
        assert replay.result == expected.result
        assert replay.usage == replace(expected.usage, seconds=0.0)


@pytest.mark.parametrize("spec", SCORERS)
def test_scores_are_paid_in_a_smaller_budget_too(toy: ModuleType, spec: str) -> None:
    agent, model, recorder = load_agent(spec), toy.ToyModel(), Recorder()
    (whole, *_) = run(toy, agent, Budget(flops=30_000), observer=recorder)
    recording = recorder.recordings[whole.task.key]
    for budget in (Budget(flops=9_000), Budget(scorer_tokens=100)):
        replay = answer_within(
            whole.task, model.problem("p0"), model.initial("p0"), recording, budget, seed=4, sizes=SIZES
        )
        assert replay.exhausted
        assert replay.usage.scores or budget.flops  # a beam that is narrow enough ranks nothing
        assert replay.usage.flops <= (budget.flops or 30_000)
        assert replay.usage.scorer_tokens <= (budget.scorer_tokens or 30_000)


@pytest.mark.parametrize(
    ("budget", "keys"),
    [
        (Budget(tokens=5), {"tokens", "calls", "executions", "seconds"}),
        (Budget(flops=5.0), {"tokens", "calls", "executions", "seconds", "flops"}),
        (Budget(prompt_tokens=0), {"tokens", "calls", "executions", "seconds", "prompt_tokens"}),
    ],
)
def test_rows_of_earlier_budgets_stay_as_they_were(budget: Budget, keys: set[str]) -> None:
    assert set(budget.to_row()) == keys
    assert Budget(**budget.to_row()) == budget
