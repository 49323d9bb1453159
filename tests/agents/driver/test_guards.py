"""What foreign objects may hand over: made exact where nothing is lost by it, else a typed error."""

import math
from collections.abc import Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from o1coder_gym.agents import Driver, Task, greedy
from o1coder_gym.agents.driver.guards import check_queries, check_reply, check_result
from o1coder_gym.errors import ConformanceError, O1CoderError, PolicyError, ScorerError, UsageError
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    Sampling,
    SearchResult,
    State,
    Step,
    Transition,
    Verdict,
)
from o1coder_gym.types.queries import Advance, Execute, Executed, Propose, Score, Search, execute
from tests.ids import without_address

P, ROOT = Problem("p", "q"), State("p")
AFTER = State("p", (Step(ActionType.DEFINE, "x"),))
PROGRAM = State("p", (Step(ActionType.CODE, "x"),))
REQUEST = PolicyRequest(P, ROOT, 1)


class Zero:
    """A number of somebody else's, as torch has them."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)


class Array:
    """One of these has a shape, and float() would take it."""

    ndim = 1

    def __float__(self) -> float:
        return 0.5


@pytest.mark.parametrize("score", [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2), Zero(0.5), 1, True])
def test_scores_are_made_exact(score: Any) -> None:
    found = check_reply((P, ROOT), score)
    assert type(found) is float
    assert found == float(score)


@pytest.mark.parametrize(
    "score", [None, "0.5", b"1", math.nan, -0.1, 1.5, np.array([0.5]), Array(), [0.5], {}]
)
def test_what_is_no_score_is_a_typed_error(score: Any) -> None:
    with pytest.raises(ScorerError):
        check_reply((P, ROOT), score)


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        ({"tokens": np.int64(5)}, {"tokens": 5}),
        ({"tokens": 5.0}, {"tokens": 5}),
        ({"tokens": Zero(5)}, {"tokens": 5}),
        ({"logprob": np.float64(-0.5)}, {"logprob": -0.5}),
        ({"logprob": Zero(-0.5)}, {"logprob": -0.5}),
        ({"logprob": -1}, {"logprob": -1.0}),
        ({"token_ids": [1, np.int32(2)]}, {"token_ids": (1, 2)}),
        ({"token_ids": np.array([1, 2])}, {"token_ids": (1, 2)}),
        ({"prompt_tokens": np.int64(7)}, {"prompt_tokens": 7}),
    ],
)
def test_proposals_are_made_exact(given: dict[str, Any], exact: dict[str, Any]) -> None:
    base = {"text": "a", "tokens": 3}
    (found,) = check_reply(REQUEST, iter([Proposal(**base | given)]))  # pyright: ignore[reportGeneralTypeIssues]
    assert repr(found) == repr(Proposal(**base | exact))


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "a",
        3,
        [None],
        [Proposal("a", 5.5)],  # pyright: ignore[reportArgumentType]
        [Proposal(None, 5)],  # pyright: ignore[reportArgumentType]
        [Proposal(b"a", 5)],  # pyright: ignore[reportArgumentType]
        [Proposal("a", math.nan)],  # pyright: ignore[reportArgumentType]
        [Proposal("a", np.array([5]))],  # pyright: ignore[reportArgumentType]
        [Proposal("a", 5, math.inf)],
        [Proposal("a", 5, "low")],  # pyright: ignore[reportArgumentType]
        [Proposal("a", 5, finish="done")],  # pyright: ignore[reportArgumentType]
        [Proposal("a", 5, token_ids=(1.5,))],  # pyright: ignore[reportArgumentType]
        [Proposal("a", 5, token_ids=None)],  # pyright: ignore[reportArgumentType]
        [Proposal("a", 5, prompt_tokens=-1)],
        (Proposal("a", 1) for _ in iter(int, 1)),  # without end
        (1 // 0 for _ in range(1)),
    ],
    ids=without_address,
)
def test_what_is_no_reply_of_a_policy_is_a_typed_error(reply: Any) -> None:
    with pytest.raises(PolicyError):
        check_reply(REQUEST, reply)


def test_transitions_are_made_exact() -> None:
    verdict = Verdict(Outcome.PASS, [CaseResult(Outcome.PASS)], np.float32(0.5))  # pyright: ignore[reportArgumentType]
    terms = {"value": np.float64(1.0), "phi": math.nan}
    given = Transition(AFTER, np.float64(1.0), np.bool_(True), 0, "", verdict, terms)  # pyright: ignore[reportArgumentType]
    found = check_reply((ROOT, "x"), given)
    assert isinstance(found, Transition)
    assert found.verdict is not None
    kinds = [type(one) for one in (found.reward, found.terminated, found.truncated, found.verdict.tests)]
    assert kinds == [float, bool, bool, tuple]
    assert {type(value) for value in found.reward_terms.values()} == {float}
    assert check_reply((ROOT, "x"), found) is found


@pytest.mark.parametrize(
    "change",
    [
        {"reward": None},
        {"reward": math.inf},
        {"reward": np.zeros(2)},
        {"terminated": None},
        {"terminated": "yes"},
        {"truncated": 2},
        {"feedback": None},
        {"verdict": "pass"},
        {"verdict": Verdict(Outcome.PASS, ("ok",))},  # pyright: ignore[reportArgumentType]
        {"reward_terms": None},
        {"reward_terms": {"phi": "high"}},
        {"state": ROOT},
        {"state": State("q", AFTER.steps)},
        {"state": None},
    ],
    ids=without_address,
)
def test_what_is_no_transition_is_a_typed_error(change: dict[str, Any]) -> None:
    given = {"state": AFTER, "reward": 0.0, "terminated": False, "truncated": False} | change
    with pytest.raises(ConformanceError):
        check_reply((ROOT, "x"), Transition(**given))


def test_queries_are_made_exact() -> None:
    sampling = Sampling(1, 1, np.int64(5), 64.0)  # pyright: ignore[reportArgumentType]
    queries = (Propose(ROOT, n) for n in (np.int64(2), 2.0))  # pyright: ignore[reportArgumentType]
    assert repr(check_queries("p", queries)) == repr([Propose(ROOT, 2)] * 2)
    (found,) = check_queries("p", [Propose(ROOT, 1, sampling)])
    assert repr(found) == repr(Propose(ROOT, 1, Sampling(1.0, 1.0, 5, 64)))


@pytest.mark.parametrize(
    "turn",
    [
        [],
        (),
        None,
        "x",
        [Propose("x")],  # pyright: ignore[reportArgumentType]
        [Propose(State("q"))],
        [Propose(ROOT, 1.5)],  # pyright: ignore[reportArgumentType]
        [Propose(ROOT, None)],  # pyright: ignore[reportArgumentType]
        [Propose(ROOT, 1, None)],  # pyright: ignore[reportArgumentType]
        [Propose(ROOT, 1, Sampling(max_tokens=0))],
        [Propose(ROOT, 1, Sampling(max_tokens=-5))],
        [Propose(ROOT, 1, Sampling(temperature=math.nan))],
        [Propose(ROOT, 1, Sampling(temperature=-1.0))],
        [Propose(ROOT, 1, Sampling(top_p=0.0))],
        [Propose(ROOT, 1, Sampling(top_k=-1))],
        [Advance(ROOT, None)],  # pyright: ignore[reportArgumentType]
        [Advance(None, "x")],  # pyright: ignore[reportArgumentType]
        [Score(None)],  # pyright: ignore[reportArgumentType]
        [Score(State("q"))],
    ],
    ids=without_address,
)
def test_what_is_no_turn_is_a_typed_error(toy: ModuleType, turn: Any) -> None:
    with pytest.raises(ConformanceError):
        check_queries("p", turn)

    def odd(problem: Problem, root: State, /) -> Search:
        yield turn
        return SearchResult(None)

    found = Driver(toy.ToyModel(), toy.ToyPolicy(), toy.ToyScorer()).run([Task("p", odd), Task("p1", greedy)])
    assert isinstance(found[0].error, ConformanceError)
    assert found[1].error is None


@pytest.mark.parametrize("value", [np.float64(0.5), Zero(0.5), 1, np.int64(0)])
def test_results_are_made_exact(value: Any) -> None:
    found = check_result("p", SearchResult(AFTER, value))
    assert type(found.value) is float


@pytest.mark.parametrize(
    "result",
    [
        None,
        AFTER,
        0.5,
        SearchResult("code"),  # pyright: ignore[reportArgumentType]
        SearchResult(State("q")),
        SearchResult(None, math.nan),
        SearchResult(None, 2.0),
        SearchResult(None, None),  # pyright: ignore[reportArgumentType]
        SearchResult(None, np.array([0.5])),  # pyright: ignore[reportArgumentType]
    ],
    ids=without_address,
)
def test_what_is_no_result_is_a_typed_error(toy: ModuleType, result: Any) -> None:
    def odd(problem: Problem, root: State, /) -> Search:
        yield [Propose(root)]
        return result

    found = toy.one(odd)
    assert isinstance(found.error, ConformanceError)
    assert found.result is None


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, RecursionError, MemoryError])
def test_an_agent_that_wants_to_end_the_process_ends_its_task(
    toy: ModuleType, kind: type[BaseException]
) -> None:
    def odd(problem: Problem, root: State, /) -> Search:
        yield [Propose(root)]
        raise kind

    found = Driver(toy.ToyModel(), toy.ToyPolicy()).run([Task("p", odd), Task("p1", greedy)])
    assert isinstance(found[0].error, O1CoderError)
    assert found[1].error is None


@pytest.mark.parametrize("replies", [None, 3, "xx", (1 // 0 for _ in range(2)), {}])
@pytest.mark.parametrize("seam", ["policy", "model", "scorer"])
def test_a_batch_that_is_no_list_hurts_nobody_else(
    toy: ModuleType, tmp_path: Any, replies: Any, seam: str
) -> None:
    """The tasks of one problem get nonsense; the others go on, and the journal with them."""

    def spoilt(inside: Any, guilty: Any) -> Any:
        def serve(items: Sequence[Any], /) -> Any:
            return replies if any(map(guilty, items)) else inside(items)

        return serve

    def asking(problem: Problem, root: State, /) -> Search:
        (drawn,) = yield [Propose(root)]
        yield [Advance(root, drawn[0].text)]  # pyright: ignore[reportIndexIssue]
        (value,) = yield [Score(root)]
        return SearchResult(None, value)  # pyright: ignore[reportArgumentType]

    policy, model, scorer = toy.ToyPolicy(code=0.0), toy.ToyModel(), toy.ToyScorer()
    if seam == "policy":
        policy.propose = spoilt(policy.propose, lambda request: request.problem.task_id == "p1")
    elif seam == "model":
        model.advance = spoilt(model.advance, lambda pair: pair[0].problem_id == "p1")
    else:
        scorer.score = spoilt(scorer.score, lambda item: item[0].task_id == "p1")
    tasks = [Task(f"p{i}", asking) for i in range(4)]
    with RunFolder.open(tmp_path, {}) as folder:
        found = Driver(model, policy, scorer, journal=folder).run(tasks)
        assert [result.error is None for result in found] == [True, False, True, True]
        assert {row["task"] for row in folder.rows("answers")} >= {"agent p0", "agent p2", "agent p3"}


@pytest.mark.parametrize(
    "reply",
    [
        None,
        (),
        "x",
        Executed(()),
        Executed((CaseResult(Outcome.PASS, "1"),) * 2),
        Executed((None,)),  # pyright: ignore[reportArgumentType]
        Executed((CaseResult("pass", "1"),)),  # pyright: ignore[reportArgumentType]
        Executed((CaseResult(Outcome.PASS, 1),)),  # pyright: ignore[reportArgumentType]
        Executed((CaseResult(Outcome.PASS, "1", None),)),  # pyright: ignore[reportArgumentType]
    ],
    ids=without_address,
)
def test_what_is_no_execution_is_a_typed_error(reply: Any) -> None:
    with pytest.raises(ConformanceError):
        check_reply(Execute(PROGRAM, ("[1]",)), reply)


def test_executions_of_a_batch_are_not_shifted(toy: ModuleType) -> None:
    """A model that gives a reply too many for one task must not give another task that one's."""
    told: dict[str, str | None] = {}

    def running(problem: Problem, root: State, /) -> Search:
        program = root.then(Step(ActionType.CODE, "code 1"))
        (found,) = yield from execute([Execute(program, (problem.task_id,))])
        told[problem.task_id] = found.results[0].got
        return SearchResult(None)

    model = toy.ToyModel()
    inside = model.execute

    def generous(runs: Sequence[Execute], /) -> list[Executed]:
        nobodys = Executed((CaseResult(Outcome.PASS, "nobody's"),))
        return [nobodys, *inside(runs)] if any(run.state.problem_id == "p1" for run in runs) else inside(runs)

    model.execute = generous
    found = Driver(model, toy.ToyPolicy()).run([Task(f"p{i}", running) for i in range(3)])
    assert [result.error is None for result in found] == [True, False, True]
    assert told == {"p0": "p0", "p2": "p2"}


def test_tasks_that_cannot_run_are_refused_before_anything_runs(toy: ModuleType) -> None:
    class Model(toy.ToyModel):
        def problem(self, task_id: str, /) -> Problem:
            if task_id == "nobody's":
                raise UsageError("unknown task 'nobody's'")
            return super().problem(task_id)

    for tasks in ([Task("p", greedy), Task("nobody's", greedy)], [Task("p", greedy), Task("p", greedy)]):
        policy = toy.ToyPolicy()
        with pytest.raises(UsageError):
            Driver(Model(), policy).run(tasks)
        with pytest.raises(UsageError):
            list(Driver(Model(), policy).stream(tasks))
        assert policy.batches == []


def test_an_unknown_task_that_is_drawn_later_ends_itself_alone(toy: ModuleType) -> None:
    class Model(toy.ToyModel):
        def problem(self, task_id: str, /) -> Any:
            if task_id == "p1":
                raise KeyError(task_id)
            return None if task_id == "p2" else super().problem(task_id)

    found = list(Driver(Model(), toy.ToyPolicy()).stream(Task(f"p{i}", greedy) for i in range(5)))
    assert {result.task.task_id: result.error is None for result in found} == {
        "p0": True,
        "p1": False,
        "p2": False,
        "p3": True,
        "p4": True,
    }
