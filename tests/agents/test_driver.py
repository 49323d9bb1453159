import gc
import math
import threading
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o1coder_gym.agents import Driver, Task, TaskResult, best_of_n, greedy, mcts
from o1coder_gym.budget import UNLIMITED, Budget
from o1coder_gym.errors import (
    BudgetExhausted,
    ConformanceError,
    InfrastructureError,
    O1CoderError,
    PolicyError,
    ScorerError,
    UsageError,
)
from o1coder_gym.queries import Advance, Propose, Score, Search
from o1coder_gym.types import (
    GREEDY,
    ActionType,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Transition,
    Usage,
)


def tasks(count: int = 12, tokens: int | None = 1500, **arguments: Any) -> list[Task]:
    agent = partial(mcts, **arguments) if arguments else mcts
    return [Task(f"p{i}", agent, Budget(tokens=tokens)) for i in range(count)]


def answers(results: Sequence[TaskResult]) -> list[Any]:
    """All that is comparable of results: seconds are not."""
    return [
        (r.task.key, r.result, r.usage.tokens, r.usage.calls, r.usage.executions, r.exhausted, str(r.error))
        for r in results
    ]


def one(
    agent: Any, toy: ModuleType, policy: Any = None, budget: Budget = UNLIMITED, **options: Any
) -> TaskResult:
    policy = policy or toy.ToyPolicy()
    return Driver(toy.ToyModel(), policy, **options).run([Task("p", agent, budget)])[0]


def test_results_come_in_the_order_of_tasks(toy: ModuleType) -> None:
    found = Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks())
    assert [result.task.task_id for result in found] == [f"p{i}" for i in range(12)]


@pytest.mark.parametrize(
    "options",
    [{"live": 1}, {"live": 3}, {"batch_tokens": 1}, {"batch_tokens": 3000}, {"concurrency": 5}],
    ids=str,
)
def test_results_do_not_depend_on_batching(toy: ModuleType, options: dict[str, Any]) -> None:
    expected = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3).run(tasks(parallel=3))
    found = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=3, **options).run(tasks(parallel=3))
    assert answers(found) == answers(expected)


def test_another_seed_gives_other_results(toy: ModuleType) -> None:
    first = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=0).run(tasks())
    second = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=1).run(tasks())
    assert answers(first) != answers(second)
    with_own_seed = [Task(t.task_id, t.agent, t.budget, seed=1) for t in tasks()]
    third = Driver(toy.ToyModel(), toy.ToyPolicy(), seed=0).run(with_own_seed)
    assert [r.result for r in third] == [r.result for r in second]


def test_requests_of_all_agents_leave_together(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    Driver(toy.ToyModel(), policy).run(tasks(count=20, tokens=None, simulations=1))
    assert len(policy.batches[0]) == 20  # of 4 samples each


def test_a_batch_is_bounded_by_tokens(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    # a request is 4 samples of up to 384 tokens = 1536; three make 4608, a fourth would pass 5000
    Driver(toy.ToyModel(), policy, batch_tokens=5000).run(tasks(count=20, tokens=None, simulations=1))
    assert len(policy.batches[0]) == 3
    weights = [sum(r.n * r.sampling.max_tokens for r in batch) for batch in policy.batches]
    assert max(weights) <= 5000


def test_a_policy_that_batches_by_itself_gets_requests_one_by_one(toy: ModuleType) -> None:
    policy = toy.ToyPolicy()
    policy.parallel = 4
    Driver(toy.ToyModel(), policy).run(tasks())
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
    result = one(four, toy, policy, Budget(tokens=800))
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

    result = one(ask, toy, toy.FixedPolicy("think 0"), Budget(calls=2, executions=1))
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
    result = one(greedy, toy, budget=Budget(seconds=0.0))
    assert result.exhausted
    assert result.result == SearchResult(None)
    assert result.usage.calls == 0


def test_the_observer_sees_every_answer_before_the_agent(toy: ModuleType) -> None:
    seen: list[tuple[str, str]] = []
    tokens: list[int] = []

    def observe(task: Task, query: Any, answer: Any, usage: Usage) -> None:
        seen.append((task.task_id, type(query).__name__))
        tokens.append(usage.tokens)

    result = one(greedy, toy, toy.FixedPolicy("think 0", tokens=7), observer=observe)
    assert seen == [("p", "Propose"), ("p", "Advance")] * 5
    assert tokens == [7, 7, 14, 14, 21, 21, 28, 28, 35, 35]
    assert result.usage.tokens == 35


def proposal(**changes: Any) -> Proposal:
    return Proposal(**{"text": "code 4", "tokens": 5, "logprob": -1.0, **changes})


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((), "got 0 proposals, expected 1"),
        ((proposal(), proposal()), "got 2 proposals, expected 1"),
        ((proposal(tokens=-1),), "got -1 tokens"),
        ((proposal(tokens=385),), "got 385 tokens, expected 0 to 384"),
        ((proposal(logprob=0.5),), "log-probability 0.5"),
        ((proposal(logprob=math.nan),), "log-probability nan"),
        ((proposal(logprob=-math.inf),), "log-probability -inf"),
        (("code 4",), "got a str, expected a Proposal"),
    ],
)
def test_a_policy_that_breaks_its_contract_is_told(toy: ModuleType, reply: Any, message: str) -> None:
    class Policy:
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[Any]:
            return [reply for _ in requests]

    error = one(greedy, toy, Policy()).error
    assert isinstance(error, PolicyError)
    assert message in str(error)


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, "high", None])
def test_a_scorer_that_breaks_its_contract_is_told(toy: ModuleType, score: Any) -> None:
    class Scorer:
        def score(self, items: Sequence[tuple[Problem, State]], /) -> list[Any]:
            return [score for _ in items]

    def ask(problem: Problem, root: State, /) -> Search:
        yield [Score(root)]
        return SearchResult(None)

    assert isinstance(one(ask, toy, scorer=Scorer()).error, ScorerError)


@pytest.mark.parametrize(
    "wrong",
    [
        Transition(State("p"), 0.0, False, False),
        Transition(State("q", (Step(ActionType.DEFINE, "x"),)), 0.0, False, False),
        Transition(State("p", (Step(ActionType.DEFINE, "x"),)), 0.0, True, True),
        "done",
    ],
)
def test_a_model_that_breaks_its_contract_is_told(toy: ModuleType, wrong: Any) -> None:
    class Model(toy.ToyModel):
        def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Any]:
            return [wrong for _ in pairs]

    found = Driver(Model(), toy.ToyPolicy()).run([Task("p", greedy)])[0]
    assert isinstance(found.error, ConformanceError)


def test_the_wrong_number_of_replies_is_a_typed_error(toy: ModuleType) -> None:
    class Policy:
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[Any]:
            return []

    found = Driver(toy.ToyModel(), Policy()).run([Task("p0", greedy), Task("p1", greedy)])
    assert [str(result.error) for result in found] == ["policy: got 0 replies to 1 requests"] * 2


def test_scores_need_a_scorer(toy: ModuleType) -> None:
    def ask(problem: Problem, root: State, /) -> Search:
        yield [Score(root)]
        return SearchResult(None)

    error = one(ask, toy).error
    assert isinstance(error, UsageError)
    assert "no scorer is given" in str(error)


def test_scores_of_all_agents_are_one_batch(toy: ModuleType) -> None:
    def ask(problem: Problem, root: State, /) -> Search:
        (score,) = yield [Score(root)]
        assert isinstance(score, float)
        return SearchResult(None, score)

    scorer = toy.ToyScorer()
    Driver(toy.ToyModel(), toy.ToyPolicy(), scorer).run([Task(f"p{i}", ask) for i in range(9)])
    assert scorer.batches == [9]


def test_a_request_that_fails_ends_its_own_task_only(toy: ModuleType) -> None:
    expected = Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks())
    found = Driver(toy.ToyModel(), toy.BrokenPolicy("p5")).run(tasks())
    assert isinstance(found[5].error, PolicyError)
    assert "does not fit" in str(found[5].error)
    assert answers(found[:5] + found[6:]) == answers(expected[:5] + expected[6:])


def test_what_was_found_before_a_failure_is_kept(toy: ModuleType) -> None:
    class Failing(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if len(self.batches) == 20:
                raise PolicyError("the prompt does not fit the context")
            return super().propose(requests)

    result = one(partial(mcts, parallel=3), toy, Failing())
    assert isinstance(result.error, PolicyError)
    assert result.result is not None
    assert result.result.code is not None
    assert not result.exhausted
    assert all(node.unobserved == 0 for node in result.result.tree.nodes)


@pytest.mark.parametrize("kind", [ConnectionResetError, SystemExit])
def test_an_engine_that_dies_ends_every_task_with_a_typed_error(
    toy: ModuleType, kind: type[BaseException]
) -> None:
    class Dying(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if len(self.batches) == 2:
                raise kind("the server went away")
            return super().propose(requests)

    found = Driver(toy.ToyModel(), Dying()).run(tasks())
    assert len(found) == 12
    broken = [result.error for result in found if result.error is not None]
    assert broken
    assert all(isinstance(error, PolicyError) for error in broken)
    assert isinstance(broken[0].__cause__, kind)


def test_an_engine_that_hangs_is_given_up(toy: ModuleType) -> None:
    release = threading.Event()

    class Hanging(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            release.wait(20)
            return super().propose(requests)

    driver = Driver(toy.ToyModel(), Hanging(), timeout_s=0.05, batch_tokens=1)
    found = driver.run([Task("p0", greedy), Task("p1", greedy)])
    release.set()
    assert [type(result.error) for result in found] == [PolicyError, PolicyError]
    assert "no answer within 0.05 s" in str(found[0].error)


def test_a_judge_that_fails_is_an_infrastructure_error(toy: ModuleType) -> None:
    class Model(toy.ToyModel):
        def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
            raise OSError("no zygote")

    found = Driver(Model(), toy.ToyPolicy()).run([Task("p", greedy)])[0]
    assert isinstance(found.error, InfrastructureError)


def test_an_agent_that_fails_ends_its_own_task_only(toy: ModuleType) -> None:
    def buggy(problem: Problem, root: State, /) -> Search:
        yield [Propose(root)]
        raise ZeroDivisionError("oops")

    found = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p0", buggy), Task("p1", greedy)])
    assert isinstance(found[0].error, O1CoderError)
    assert "ZeroDivisionError: oops" in str(found[0].error)
    assert found[1].error is None


def test_an_agent_that_fails_while_it_is_ended_ends_its_own_task_only(toy: ModuleType) -> None:
    def buggy(problem: Problem, root: State, /) -> Any:
        try:
            yield ["what?"]
        finally:
            raise ZeroDivisionError("oops")

    found = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p0", buggy), Task("p1", greedy)])
    assert isinstance(found[0].error, ConformanceError)
    assert found[1].error is None


def test_an_agent_must_return_a_result(toy: ModuleType) -> None:
    def silent(problem: Problem, root: State, /) -> Any:
        yield [Propose(root)]

    error = one(silent, toy).error
    assert isinstance(error, ConformanceError)
    assert "returned a NoneType" in str(error)


@pytest.mark.parametrize("query", ["what?", None, Propose(State("p"), 0), 1.0])
def test_an_agent_must_ask_proper_questions(toy: ModuleType, query: Any) -> None:
    def odd(problem: Problem, root: State, /) -> Search:
        yield [query]
        return SearchResult(None)

    assert isinstance(one(odd, toy).error, ConformanceError)


def test_an_agent_must_yield_a_list(toy: ModuleType) -> None:
    def odd(problem: Problem, root: State, /) -> Any:
        yield 3

    assert "the agent failed: TypeError" in str(one(odd, toy).error)


def test_an_agent_must_be_a_generator(toy: ModuleType) -> None:
    def odd(problem: Problem, root: State, /) -> Any:
        return SearchResult(None)

    assert "the agent failed: TypeError" in str(one(odd, toy).error)


def test_an_agent_may_not_go_on_after_its_budget(toy: ModuleType) -> None:
    def stubborn(problem: Problem, root: State, /) -> Search:
        while True:
            try:
                yield [Propose(root)]
            except BudgetExhausted:
                continue

    error = one(stubborn, toy, budget=Budget(calls=2)).error
    assert isinstance(error, ConformanceError)
    assert "went on after its budget" in str(error)


def test_an_agent_that_ignores_exhaustion_has_no_answer(toy: ModuleType) -> None:
    def plain(problem: Problem, root: State, /) -> Search:
        while True:
            yield [Propose(root)]

    result = one(plain, toy, budget=Budget(calls=2))
    assert (result.result, result.exhausted, result.error) == (None, True, None)
    assert result.usage.calls == 2


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
    Driver(toy.ToyModel(), toy.ToyPolicy(), concurrency=3).run(tasks())
    for thread in threading.enumerate():
        if thread.name.startswith("o1coder-"):
            thread.join(10)
    assert threading.active_count() <= before


def test_greedy_sampling_reaches_the_policy(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("think 0", "code 4")
    one(greedy, toy, policy)
    assert {request.sampling for request in policy.requests} == {GREEDY}


def test_an_infrastructure_failure_is_masked(toy: ModuleType) -> None:
    policy = toy.FixedPolicy("judge down")
    result = one(partial(best_of_n, n=2), toy, policy)
    assert result.result is not None
    assert result.result.code == "judge down"
    found = one(partial(mcts, simulations=4, width=2), toy, toy.FixedPolicy("judge down", "code 1")).result
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
    Driver(toy.ToyModel(), toy.ToyPolicy()).run(tasks())
    for thread in threading.enumerate():
        if thread.name.startswith("o1coder-"):
            thread.join(10)  # it may still hold the last batch
    assert alive() <= before
