"""Where the judge merges calls, a slow program holds up its own search alone; equal ones are judged once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from o1coder_gym.agents import best_of_n
from o1coder_gym.agents.driver.driver import Driver
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.errors import InfrastructureError
from o1coder_gym.types import (
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    Submission,
    Verdict,
)

NAMES = ("slow", "one", "two", "three")
PROBLEMS = [Problem(name, "Do it.", "f") for name in NAMES]
PASS = Verdict(Outcome.PASS, (CaseResult(Outcome.PASS),))


class Waiting:
    """A judge of many callers, on which programs called slow wait for the others."""

    parallel = 4

    def __init__(self, needed: int) -> None:
        """Args: other programs that have to be judged before a slow one is."""
        self.judged: list[str] = []
        self._needed = needed
        self._others = Event()

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        for one in submissions:
            if "slow" in one.code:
                assert self._others.wait(30), "the others wait for the slow one"
            self.judged.append(one.code)
            if len(self.judged) == self._needed:
                self._others.set()
        return [PASS] * len(submissions)


class Writing:
    """Writes a thought, then the name of the problem as a program."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        return [(self._proposal(request),) * request.n for request in requests]

    def _proposal(self, request: PolicyRequest) -> Proposal:
        if not request.state.steps and request.problem.task_id != "slow":
            return Proposal("### Step 1 (define)\nThink.\n", 2)
        number = len(request.state.steps) + 1
        return Proposal(f"### Step {number} (code)\n```python\n{request.problem.task_id} = 1\n```\n", 4)


def test_others_go_on_and_end_first() -> None:
    judge = Waiting(3)
    driver = Driver(ReasoningModel(PROBLEMS, judge), Writing())
    tasks = [Task(name, partial(best_of_n, n=1)) for name in NAMES]
    found = [finished.task.task_id for finished in driver.stream(tasks)]
    assert found[-1] == "slow"
    assert sorted(found) == sorted(NAMES)
    assert judge.judged[-1] == "slow = 1"


class Held(Waiting):
    """Judges when it is told to."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: Future[None] = Future()
        self.answer: Future[list[Verdict]] = Future()

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        self.judged += [one.code for one in submissions]
        self.asked.set_result(None)
        return self.answer.result(30)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def steps(*codes: str) -> list[tuple[State, str]]:
    return [(State("one"), f"### Step 1 (code)\n```python\n{code}\n```\n") for code in codes]


def test_a_program_that_is_being_judged_is_not_judged_again(threads: ThreadPoolExecutor) -> None:
    judge = Held()
    model = ReasoningModel(PROBLEMS, judge)
    first = threads.submit(model.advance, steps("x = 1", "x = 1"))
    judge.asked.result(30)
    second = threads.submit(model.advance, steps("x = 1"))
    judge.answer.set_result([PASS])
    assert first.result(30)[0] == second.result(30)[0]
    assert model.advance(steps("x = 1")) == second.result()
    assert judge.judged == ["x = 1"]


def test_after_a_failure_of_the_judge_the_next_call_tries_again() -> None:
    judge = Held()
    model = ReasoningModel(PROBLEMS, judge)
    judge.answer.set_exception(InfrastructureError("no zygote"))
    with pytest.raises(InfrastructureError, match="no zygote"):
        model.advance(steps("x = 1"))
    judge.asked, judge.answer = Future(), Future()
    judge.answer.set_result([PASS])
    assert model.advance(steps("x = 1"))[0].verdict == PASS
    assert judge.judged == ["x = 1"] * 2
