from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from o1coder_gym.agents import AGENTS, Driver, Task, TaskResult, best_of_n, load_agent
from o1coder_gym.agents.driver.recordings import Recorder
from o1coder_gym.agents.driver.sweep import answer_within
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.types import Problem, Sampling, SearchResult, State, Usage
from o1coder_gym.types.queries import Advance, Propose, Search


def record(toy: ModuleType, agent: Any, budget: Budget = UNLIMITED) -> tuple[TaskResult, Recorder]:
    recorder = Recorder()
    driver = Driver(toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer(), observer=recorder)
    (result,) = driver.run([Task("p", agent, budget)])
    assert result.error is None
    return result, recorder


def within(
    toy: ModuleType, result: TaskResult, recorder: Recorder, budget: Budget
) -> tuple[SearchResult, Usage]:
    model = toy.ToyModel()
    recording = recorder.recordings[result.task.key]
    replay = answer_within(result.task, model.problem("p"), model.initial("p"), recording, budget)
    assert all(program in recording.programs() for program in replay.programs)
    assert replay.result.state is None or replay.result.state in replay.programs
    return replay.result, replay.usage


@pytest.mark.parametrize("spec", [*AGENTS, "mcts:parallel=4,evaluate=scored", "puct:prior=by_score"])
def test_with_the_whole_budget_it_is_the_same_answer(toy: ModuleType, spec: str) -> None:
    whole, recorder = record(toy, load_agent(spec))
    found, usage = within(toy, whole, recorder, UNLIMITED)
    assert found == whole.result
    assert usage == replace(whole.usage, seconds=0.0)


@pytest.mark.parametrize("spec", [*AGENTS, "mcts:parallel=4,evaluate=scored"])
def test_a_smaller_budget_is_kept(toy: ModuleType, spec: str) -> None:
    whole, recorder = record(toy, load_agent(spec), Budget(tokens=3000))
    for limit in (0, 500, 1500):
        _, usage = within(toy, whole, recorder, Budget(tokens=limit))
        assert usage.tokens <= limit
    assert within(toy, whole, recorder, Budget(calls=3))[1].calls <= 3
    assert within(toy, whole, recorder, Budget(executions=1))[1].executions <= 1
    assert within(toy, whole, recorder, Budget(tokens=0))[1] == Usage()


def test_it_equals_a_run_with_that_budget(toy: ModuleType) -> None:
    # one sample a request and no sample that a budget could shorten: the two must agree exactly
    agent = partial(best_of_n, n=20, sampling=Sampling(max_tokens=20))
    whole, recorder = record(toy, agent, Budget(tokens=1000))
    for tokens in range(0, 1001, 20):
        expected, _ = record(toy, agent, Budget(tokens=tokens))
        found, usage = within(toy, whole, recorder, Budget(tokens=tokens))
        assert found == expected.result
        assert (usage.tokens, usage.calls) == (expected.usage.tokens, expected.usage.calls)


@pytest.mark.parametrize("spec", ["greedy", "best_of_n", "self_repair", "beam", "mcts", "mcts:parallel=4"])
@pytest.mark.parametrize("executions", [0, 1, 3])
def test_where_no_program_can_be_judged_nothing_more_is_spent(
    toy: ModuleType, spec: str, executions: int
) -> None:
    agent, budget = load_agent(spec), Budget(tokens=3000, executions=executions)
    whole, recorder = record(toy, agent, replace(budget, executions=8))
    expected, _ = record(toy, agent, budget)
    assert within(toy, whole, recorder, budget) == (expected.result, replace(expected.usage, seconds=0.0))


def test_its_programs_are_those_paid_for(toy: ModuleType) -> None:
    whole, recorder = record(toy, partial(best_of_n, n=20))
    recording, model = recorder.recordings[whole.task.key], toy.ToyModel()
    assert recording.programs()
    for executions in range(len(recording.programs()) + 1):
        budget = Budget(executions=executions)
        replay = answer_within(whole.task, model.problem("p"), model.initial("p"), recording, budget)
        assert replay.programs == recording.programs()[: len(replay.programs)]
        assert len(replay.programs) <= executions


def brittle(problem: Problem, root: State, /) -> Search:
    """Divides by what it was answered, minus one."""
    count = 0
    with suppress(BudgetExhausted):
        while True:
            yield [Propose(root)]
            count += 1
    return SearchResult(None, 1 / (count - 1) - 1 / (count - 1))


def stubborn(problem: Problem, root: State, /) -> Search:
    for _ in range(5):
        try:
            yield [Propose(root)]
        except BudgetExhausted:
            continue
    return SearchResult(None)


def forgetful(problem: Problem, root: State, /) -> Search:
    """Has an answer only where it was answered."""
    try:
        for _ in range(5):
            yield [Propose(root)]
    except BudgetExhausted:
        return None  # pyright: ignore[reportReturnType]
    return SearchResult(None)


def leaving(problem: Problem, root: State, /) -> Search:
    try:
        for _ in range(5):
            yield [Propose(root)]
    except BudgetExhausted:
        raise SystemExit(3) from None
    return SearchResult(None)


def odd(problem: Problem, root: State, /) -> Search:
    """Asks for nothing that exists once it is short of answers."""
    for asked in range(5):
        answers = yield [Propose(root, 2)]
        if len(answers[0]) < 2:  # pyright: ignore[reportArgumentType]
            yield [asked]  # pyright: ignore[reportReturnType]
    return SearchResult(None)


@pytest.mark.parametrize(
    ("agent", "calls", "told"),
    [
        (brittle, 1, "ZeroDivisionError"),
        (stubborn, 2, "went on"),
        (forgetful, 2, "NoneType"),
        (leaving, 0, "SystemExit"),
        (odd, 3, "not a query"),
    ],
)
def test_an_agent_that_fails_within_a_smaller_budget_fails_alone(
    toy: ModuleType, agent: Any, calls: int, told: str
) -> None:
    whole, recorder = record(toy, agent, Budget(calls=20))
    recording, model = recorder.recordings[whole.task.key], toy.ToyModel()
    replay = answer_within(whole.task, model.problem("p"), model.initial("p"), recording, Budget(calls=calls))
    assert told in str(replay.error)
    assert replay.result == SearchResult(None)
    assert replay.usage.calls <= calls


def generous(problem: Problem, root: State, /) -> Search:
    """Turns that are no lists, numbers of numpy and whole ones with a point: the driver takes them."""
    best = None
    with suppress(BudgetExhausted):
        while True:
            (drawn,) = yield (query for query in [Propose(root, 2.0)])  # pyright: ignore
            (found,) = yield iter([Advance(root, drawn[0].text)])  # pyright: ignore
            best = found.state if found.verdict else best  # pyright: ignore
    return SearchResult(best, np.float32(0.5))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("limit", [Budget(calls=4), Budget(tokens=300), Budget(executions=2)])
def test_what_the_driver_reads_is_read_in_a_replay_too(toy: ModuleType, limit: Budget) -> None:
    whole, recorder = record(toy, generous, Budget(tokens=2000))
    found, usage = within(toy, whole, recorder, limit)
    assert type(found.value) is float
    assert usage.calls > 0
