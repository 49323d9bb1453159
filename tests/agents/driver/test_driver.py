import gc
import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.agents import Driver, Task, best_of_n, greedy, mcts
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.errors import (
    BudgetExhausted,
    UsageError,
)
from o1coder_gym.runs.budget import Budget
from o1coder_gym.types import (
    GREEDY,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    Sampling,
    SearchResult,
    State,
    Transition,
    Usage,
)
from o1coder_gym.types.queries import Advance, Propose, Score, Search


def test_results_come_in_the_order_of_tasks(toy: ModuleType) -> None:
    found = Driver(toy.ToyModel(), toy.ToyPolicy()).run(toy.tasks())
    assert [result.task.task_id for result in found] == [f"p{i}" for i in range(12)]


@pytest.mark.parametrize(
    "options",
    [{"live": 1}, {"live": 3}, {"batch_tokens": 1}, {"batch_tokens": 3000}, {"concurrency": 5}],
    ids=str,
)
def test_results_do_not_depend_on_batching(toy: ModuleType, options: dict[str, Any]) -> None:
    expected = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3).run(toy.tasks(parallel=3))
    found = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3, **options).run(toy.tasks(parallel=3))
    assert toy.answers(found) == toy.answers(expected)


def test_another_seed_gives_other_results(toy: ModuleType) -> None:
    first = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=0).run(toy.tasks())
    second = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=1).run(toy.tasks())
    assert toy.answers(first) != toy.answers(second)
    with_own_seed = [Task(t.task_id, t.agent, t.budget, seed=1) for t in toy.tasks()]
    third = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=0).run(with_own_seed)
    assert [r.result for r in third] == [r.result for r in second]


def test_requests_of_all_agents_leave_together(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    Driver(toy.ToyModel(), policy).run(toy.tasks(count=20, tokens=None, simulations=1))
    assert len(policy.batches[0]) == 20  # of 4 samples each


def test_a_batch_is_bounded_by_tokens(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    # a request is 4 samples of up to 384 tokens = 1536; three make 4608, a fourth would pass 5000
    Driver(toy.ToyModel(), policy, batch_tokens=5000).run(toy.tasks(count=20, tokens=None, simulations=1))
    assert len(policy.batches[0]) == 3
    weights = [sum(r.n * r.sampling.max_tokens for r in batch) for batch in policy.batches]
    assert max(weights) <= 5000


def test_a_policy_that_batches_by_itself_gets_requests_one_by_one(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    policy.parallel = 4
    Driver(toy.ToyModel(), policy).run(toy.tasks())
    assert {len(batch) for batch in policy.batches} == {1}


def test_concurrent_requests_are_in_flight_at_the_same_time(toy: ModuleType) -> None:
    everyone = threading.Barrier(4, timeout=10)

    class Meeting(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if requests[0].state.depth == 0:
                everyone.wait()  # breaks unless four threads come here together
            return super().propose(requests)

    found = Driver(toy.ToyModel(), Meeting(), concurrency=4).run([Task(f"p{i}", greedy) for i in range(4)])
    assert all(result.error is None for result in found)


def test_policy_and_judge_work_at_the_same_time(toy: ModuleType) -> None:
    judging, proposing = threading.Event(), threading.Event()

    class Model(toy.ToyModel):
        def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
            judging.set()
            assert proposing.wait(10)  # the policy is called while the model is busy
            return super().advance(pairs)

    class Policy(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if requests[0].problem.task_id == "p1":
                assert judging.wait(10)
                proposing.set()
            return super().propose(requests)

    driver = Driver(Model(), Policy(), batch_tokens=1)
    assert all(r.error is None for r in driver.run([Task("p0", greedy), Task("p1", greedy)]))


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.none() | st.integers(0, 1500),
    calls=st.none() | st.integers(0, 25),
    executions=st.none() | st.integers(0, 6),
    parallel=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_a_budget_is_never_exceeded(
    toy: ModuleType, tokens: int | None, calls: int | None, executions: int | None, parallel: int, seed: int
) -> None:
    budget = Budget(tokens, calls, executions)
    agent = partial(mcts, parallel=parallel, simulations=12)
    policy, model = toy.ToyPolicy(), toy.ToyModel()
    result = Driver(model, policy, seed=seed).run([Task("p", agent, budget)])[0]
    assert result.error is None
    asked = policy.requests
    assert result.usage.tokens <= (math.inf if tokens is None else tokens)
    assert sum(r.n for r in asked) == result.usage.calls <= (math.inf if calls is None else calls)
    judged = sum(action.startswith(("code", "judge")) for _, action in model.advanced)
    assert judged == result.usage.executions <= (math.inf if executions is None else executions)


def test_a_request_that_the_budget_cuts_is_topped_up(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "think 1", "think 2", "think 3", tokens=20)

    def four(problem: Problem, root: State, /) -> Search:
        (drawn,) = yield [Propose(root, 4)]
        assert isinstance(drawn, tuple)
        return SearchResult(None, len(drawn) / 10)

    # 800 tokens pay for 2 × 384 at worst; 40 are used, so 760 are left, and so on: 2 + 1 + 1
    result = toy.one(four, policy, Budget(tokens=800))
    assert result.result == SearchResult(None, 0.4)
    assert [(r.n, r.sampling.max_tokens) for r in policy.requests] == [(2, 384), (1, 384), (1, 384)]
    assert len({r.seed for r in policy.requests}) == 3


def test_a_turn_that_is_paid_in_part_is_answered_in_part(toy: ModuleType) -> None:
    seen: list[Any] = []

    def ask(problem: Problem, root: State, /) -> Search:
        seen.append((yield [Propose(root, 2), Propose(root, 1)]))
        seen.append((yield [Advance(root, "code 1"), Advance(root, "code 2")]))
        try:
            yield [Advance(root, "code 3")]
        except BudgetExhausted:
            seen.append("exhausted")
        return SearchResult(None)

    result = toy.one(ask, toy.FixedPolicy("think 0"), Budget(calls=2, executions=1))
    proposals, transitions, end = seen
    assert [len(drawn) for drawn in proposals] == [2, 0]
    paid, masked = transitions
    assert paid.verdict.passed == 1
    assert math.isnan(masked.reward)
    assert masked.truncated
    assert masked.state == State("p")
    assert end == "exhausted"
    assert result.exhausted


def test_time_ends_a_search(toy: ModuleType) -> None:
    result = toy.one(greedy, budget=Budget(seconds=0.0))
    assert result.exhausted
    assert result.result == SearchResult(None)
    assert result.usage.calls == 0


def test_the_observer_sees_every_answer_before_the_agent(toy: ModuleType) -> None:
    seen: list[tuple[str, str]] = []
    tokens: list[int] = []

    def observe(task: Task, query: Any, answer: Any, usage: Usage) -> None:
        seen.append((task.task_id, type(query).__name__))
        tokens.append(usage.tokens)

    result = toy.one(greedy, toy.FixedPolicy("think 0", tokens=7), observer=observe)
    assert seen == [("p", "Propose"), ("p", "Advance")] * 5
    assert tokens == [7, 7, 14, 14, 21, 21, 28, 28, 35, 35]
    assert result.usage.tokens == 35


def test_scores_of_all_agents_are_one_batch(toy: ModuleType) -> None:
    def ask(problem: Problem, root: State, /) -> Search:
        (score,) = yield [Score(root)]
        assert isinstance(score, float)
        return SearchResult(None, score)

    scorer = toy.ToyScorer()
    Driver(toy.ToyModel(), toy.ToyPolicy(), scorer).run([Task(f"p{i}", ask) for i in range(9)])
    assert scorer.batches == [9]


def test_two_tasks_of_one_name_are_refused(toy: ModuleType) -> None:
    with pytest.raises(UsageError, match="two tasks"):
        Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p", greedy), Task("p", greedy)])


@pytest.mark.parametrize("option", ["live", "batch_tokens", "concurrency"])
def test_options_below_one_are_refused(toy: ModuleType, option: str) -> None:
    zero: dict[str, Any] = {option: 0}
    with pytest.raises(UsageError, match=option):
        Driver(toy.ToyModel(), toy.ToyPolicy(), **zero)


def test_results_stream_as_they_come(toy: ModuleType) -> None:
    drawn: list[str] = []

    def endless() -> Any:
        for i in range(10**9):
            drawn.append(f"p{i}")
            yield Task(f"p{i}", greedy)

    stream = Driver(toy.ToyModel(), toy.ToyPolicy(), live=4).stream(endless())
    first = [next(stream) for _ in range(6)]  # pyright: ignore[reportArgumentType]
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len({result.task.task_id for result in first}) == 6
    assert len(drawn) < 20


def test_no_thread_stays_behind(toy: ModuleType) -> None:
    before = threading.active_count()
    Driver(toy.ToyModel(), toy.ToyPolicy(), concurrency=3).run(toy.tasks())
    for thread in threading.enumerate():
        if thread.name.startswith("o1coder-"):
            thread.join(10)
    assert threading.active_count() <= before


def test_greedy_sampling_reaches_the_policy(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "code 4")
    toy.one(greedy, policy)
    assert {request.sampling for request in policy.requests} == {GREEDY}


def test_an_infrastructure_failure_is_masked(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("judge down")
    result = toy.one(partial(best_of_n, n=2), policy)
    assert result.result is not None
    assert result.result.code == "judge down"
    found = toy.one(partial(mcts, simulations=4, width=2), toy.FixedPolicy("judge down", "code 1")).result
    assert found is not None
    assert found.code == "code 1"
    masked = next(node for node in found.tree.nodes if node.verdict is Outcome.INFRASTRUCTURE)
    assert (masked.visits, masked.value, masked.closed) == (0, None, True)
    assert found.tree.root.mean == 0.25


def test_finished_searches_are_let_go(toy: ModuleType) -> None:
    def alive() -> int:
        gc.collect()
        return sum(type(thing).__name__ == "Session" for thing in gc.get_objects())

    before = alive()
    Driver(toy.ToyModel(), toy.ToyPolicy()).run(toy.tasks())
    for thread in threading.enumerate():
        if thread.name.startswith("o1coder-"):
            thread.join(10)  # it may still hold the last batch
    assert alive() <= before


class Overlong:
    """Sends 400 tokens, whatever it is asked for."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [tuple(Proposal("think 0", 400, -1.0) for _ in range(one.n)) for one in requests]


def four_times(problem: Problem, root: State, /) -> Search:
    drawn: list[Any] = []
    with suppress(BudgetExhausted):
        for _ in range(4):
            (found,) = yield [Propose(root, 1, Sampling(max_tokens=200))]
            drawn += cast(tuple[Proposal, ...], found)
    return SearchResult(None, len(drawn) / 10)


@pytest.mark.parametrize(
    ("budget", "taken", "spent"),
    [(1000, 2, 1200), (400, 1, 400), (399, 0, 400), (None, 4, 1600)],
    ids=["in the middle", "to the token", "at once", "without a limit"],
)
def test_what_a_server_sends_beyond_max_tokens_is_counted_as_it_was_sent(
    toy: ModuleType, budget: int | None, taken: int, spent: int
) -> None:
    task = Task("p", four_times, Budget(tokens=budget))
    (result,) = Driver(toy.ToyModel(), Overlong()).run([task])
    assert result.error is None
    assert result.result == SearchResult(None, taken / 10)
    assert (result.usage.tokens, result.usage.calls) == (spent, spent // 400)

    recorder, model = Recorder(), toy.ToyModel()
    whole = Task("p", four_times)
    Driver(model, Overlong(), observer=recorder).run([whole])
    recording, problem = recorder.recordings[whole.key], model.problem("p")
    replay = answer_within(whole, problem, model.initial("p"), recording, Budget(tokens=budget))
    assert (replay.result, replay.usage.tokens) == (result.result, spent)
