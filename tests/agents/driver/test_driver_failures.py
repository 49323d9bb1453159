"""What the driver makes of policies, scorers, models, judges and agents that fail or break their contract."""

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, greedy, load_agent, mcts
from o1coder_gym.agents.choosing import choosing
from o1coder_gym.agents.choosing.adversary import ADVERSARIES, against
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.errors import (
    BudgetExhausted,
    ConformanceError,
    InfrastructureError,
    O1CoderError,
    PolicyError,
    PromptTooLongError,
    ScorerError,
    UsageError,
)
from o1coder_gym.runs.budget import SMALLEST_SAMPLE, Budget
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import (
    ActionType,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Transition,
)
from o1coder_gym.types.queries import Agent, Propose, Score, Search


def proposal(**changes: Any) -> Proposal:
    return Proposal(**{"text": "code 4", "tokens": 5, "logprob": -1.0, **changes})


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((), "got 0 proposals, expected 1"),
        ((proposal(), proposal()), "got 2 proposals, expected 1"),
        ((proposal(tokens=-1),), "tokens is -1, expected at least 0"),
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

    error = toy.one(greedy, Policy()).error
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

    assert isinstance(toy.one(ask, scorer=Scorer()).error, ScorerError)


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

    error = toy.one(ask).error
    assert isinstance(error, UsageError)
    assert "no scorer is given" in str(error)


def test_a_request_that_fails_ends_its_own_task_only(toy: ModuleType) -> None:
    expected = Driver(toy.ToyModel(), toy.ToyPolicy()).run(toy.tasks())
    found = Driver(toy.ToyModel(), toy.BrokenPolicy("p5")).run(toy.tasks())
    assert isinstance(found[5].error, PolicyError)
    assert "does not fit" in str(found[5].error)
    assert toy.answers(found[:5] + found[6:]) == toy.answers(expected[:5] + expected[6:])


DEAD_ENDS = pytest.mark.filterwarnings("ignore:.*such states are dead ends")


class Narrow:
    """A policy whose prompts must not be longer than `room` steps."""

    def __init__(self, toy: ModuleType, room: int) -> None:
        self.inner, self.room, self.calls = toy.ToyPolicy(malformed=0.0), room, 0

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.calls += 1
        if any(request.state.depth > self.room for request in requests):
            raise PromptTooLongError("the prompt has 99 tokens; the context is 9")
        return self.inner.propose(requests)


@DEAD_ENDS
@pytest.mark.parametrize("spec", AGENTS)
def test_a_prompt_that_does_not_fit_is_a_dead_end_and_ends_no_search(toy: ModuleType, spec: str) -> None:
    tasks = [Task(f"p{i}", load_agent(spec), Budget(tokens=1500)) for i in range(6)]
    for room in (0, 1):
        found = Driver(toy.ToyModel(), Narrow(toy, room), toy.ToyScorer()).run(tasks)
        assert [result.error for result in found] == [None] * 6
        for result in found:
            assert result.result is not None
            state = result.result.state
            assert state is None or state.depth <= room + 1
        assert any(result.result is not None and result.result.state for result in found)


@DEAD_ENDS
@pytest.mark.parametrize("spec", ["mcts", "puct", "ab_mcts"])
@pytest.mark.parametrize("tokens", [150, 300, 380])
def test_a_dead_end_near_the_end_of_the_budget_ends_no_search(
    toy: ModuleType, spec: str, tokens: int
) -> None:
    """With less than a whole sample left, as from the start here, an empty sample was cut by no budget."""
    tasks = [Task(f"p{i}", load_agent(spec), Budget(tokens=tokens)) for i in range(6)]
    recorder = Recorder()
    for found in Driver(toy.ToyModel(), Narrow(toy, 0), observer=recorder).run(tasks):
        assert found.usage.tokens > tokens - SMALLEST_SAMPLE
        assert all(sample.tokens for _, sample in recorder.recordings[found.task.key].cut)


def test_the_dead_end_is_worth_nothing_and_costs_no_token_and_is_told_once(
    toy: ModuleType, tmp_path: Path
) -> None:
    policy = Narrow(toy, -1)
    with (
        RunFolder.open(tmp_path, {}) as folder,
        pytest.warns(UserWarning, match="the prompt has 99 tokens; the context is 9; such states") as told,
    ):
        result = toy.one(partial(mcts, width=3, simulations=1), policy, journal=folder)
    assert len(told) == 1
    assert (result.usage.tokens, result.usage.calls, result.usage.executions) == (0, 3, 0)
    root, end = result.result.tree.nodes
    assert (end.state.steps[-1].type, end.value, end.count, end.finish) == (
        ActionType.MALFORMED,
        0.0,
        3,
        "length",
    )
    assert (root.visits, root.mean) == (1, 0.0)
    with RunFolder.open(tmp_path, {}, resume=True) as folder:
        again = Narrow(toy, -1)
        assert toy.one(partial(mcts, width=3, simulations=1), again, journal=folder).usage.calls == 3
    assert again.calls == 0


def test_what_was_found_before_a_failure_is_kept(toy: ModuleType) -> None:
    class Failing(toy.ToyPolicy):
        def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
            if len(self.batches) == 20:
                raise PolicyError("the prompt does not fit the context")
            return super().propose(requests)

    result = toy.one(partial(mcts, parallel=3), Failing())
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

    found = Driver(toy.ToyModel(), Dying()).run(toy.tasks())
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

    error = toy.one(silent).error
    assert isinstance(error, ConformanceError)
    assert "returned a NoneType" in str(error)


@pytest.mark.parametrize("query", ["what?", None, Propose(State("p"), 0), 1.0])
def test_an_agent_must_ask_proper_questions(toy: ModuleType, query: Any) -> None:
    def odd(problem: Problem, root: State, /) -> Search:
        yield [query]
        return SearchResult(None)

    assert isinstance(toy.one(odd).error, ConformanceError)


def test_an_agent_must_yield_a_list(toy: ModuleType) -> None:
    def odd(problem: Problem, root: State, /) -> Any:
        yield 3

    assert "the agent failed: TypeError" in str(toy.one(odd).error)


@pytest.mark.parametrize(
    "wrapped", [lambda agent: agent, choosing, partial(against, adversary=ADVERSARIES["mutation"])]
)
def test_a_failing_agent_is_told_with_its_line(wrapped: Callable[[Agent], Agent], toy: ModuleType) -> None:
    def odd(problem: Problem, root: State, /) -> Search:
        yield [Propose(root)]
        raise KeyError("lost")

    line = odd.__code__.co_firstlineno + 2
    assert str(toy.one(wrapped(odd)).error).endswith(
        f"the agent failed: KeyError: 'lost' (test_driver_failures.py, line {line})"
    )


def test_an_agent_must_be_a_generator(toy: ModuleType) -> None:
    def odd(problem: Problem, root: State, /) -> Any:
        return SearchResult(None)

    assert "the agent failed: TypeError" in str(toy.one(odd).error)


def test_an_agent_may_not_go_on_after_its_budget(toy: ModuleType) -> None:
    def stubborn(problem: Problem, root: State, /) -> Search:
        while True:
            try:
                yield [Propose(root)]
            except BudgetExhausted:
                continue

    error = toy.one(stubborn, budget=Budget(calls=2)).error
    assert isinstance(error, ConformanceError)
    assert "went on after its budget" in str(error)


def test_an_agent_that_ignores_exhaustion_has_no_answer(toy: ModuleType) -> None:
    def plain(problem: Problem, root: State, /) -> Search:
        while True:
            yield [Propose(root)]

    result = toy.one(plain, budget=Budget(calls=2))
    assert (result.result, result.exhausted, result.error) == (None, True, None)
    assert result.usage.calls == 2


@pytest.mark.parametrize("parallel", [0, -1, None, 1.5, "two"])
def test_what_takes_no_call_at_a_time_is_refused_and_waited_for_by_nobody(
    toy: ModuleType, parallel: Any
) -> None:
    lame, model = toy.ToyPolicy(), toy.ToyModel()
    lame.parallel = model.parallel = parallel
    with pytest.raises(UsageError, match=r"ToyPolicy\.parallel must be a whole number of at least 1, got"):
        toy.one(greedy, lame)
    with pytest.raises(UsageError, match=r"ToyModel\.parallel"):
        Driver(model, toy.ToyPolicy()).run([Task("p", greedy)])
    own = [Task("p", greedy, policy=lame), Task("r", greedy), Task("s", greedy, policy=toy.ToyPolicy())]
    errors = [found.error for found in Driver(toy.ToyModel(), toy.ToyPolicy()).run(own)]
    assert [type(error) for error in errors] == [UsageError, type(None), type(None)]


def test_a_turn_without_an_end_ends_its_task(toy: ModuleType) -> None:
    def endless(problem: Problem, root: State, /) -> Search:
        yield (Propose(root) for _ in count())  # pyright: ignore[reportReturnType]
        return SearchResult(None)

    found = toy.one(endless)
    assert "more than 100,000 queries in one turn" in str(found.error)
    assert found.usage.calls == 0
