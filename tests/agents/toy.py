"""A toy decision process and policies for it; a module of its own, so that killed subprocesses use it too.

Actions: ``think X`` is a define step, ``code K`` commits a program that passes K of 4 tests, ``bare X`` one
for which there are no tests, ``broken X`` likewise one that does not load, ``judge down`` one on which the
judge fails; anything else is malformed.
"""

import math
import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from o1coder_gym.agents import Driver, Task, TaskResult, mcts
from o1coder_gym.errors import PolicyError
from o1coder_gym.runs.budget import UNLIMITED, Budget
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    State,
    Step,
    Transition,
    Verdict,
)
from o1coder_gym.types.queries import Execute, Executed


def verdict(passed: int, total: int = 4) -> Verdict:
    """A verdict with the first `passed` tests passed."""
    results = [Outcome.PASS if i < passed else Outcome.WRONG_ANSWER for i in range(total)]
    outcome = Outcome.PASS if passed == total else Outcome.WRONG_ANSWER
    return Verdict(outcome, tuple(CaseResult(result) for result in results))


class ToyModel:
    """The process; counts what it was asked."""

    def __init__(self, max_steps: int = 5) -> None:
        self.max_steps = max_steps
        self.advanced: list[tuple[State, str]] = []

    def problem(self, task_id: str, /) -> Problem:
        return Problem(task_id, "a question")

    def initial(self, task_id: str, /) -> State:
        return State(task_id)

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        self.advanced += pairs
        return [self._one(state, action) for state, action in pairs]

    def execute(self, runs: Sequence[Execute], /) -> list[Executed]:
        """Every program returns its input."""
        return [Executed(tuple(CaseResult(Outcome.PASS, one) for one in run.inputs)) for run in runs]

    def _one(self, state: State, action: str) -> Transition:
        kind, _, rest = action.partition(" ")
        if kind == "code":
            found = verdict(int(rest))
            return Transition(
                state.then(Step(ActionType.CODE, action)), found.pass_ratio, True, False, verdict=found
            )
        if kind in ("bare", "broken"):
            found = Verdict(Outcome.NO_TESTS if kind == "bare" else Outcome.COMPILE_ERROR)
            return Transition(state.then(Step(ActionType.CODE, action)), 0.0, True, False, verdict=found)
        if action == "judge down":
            after = state.then(Step(ActionType.CODE, action))
            return Transition(after, math.nan, True, False, verdict=Verdict(Outcome.INFRASTRUCTURE))
        type_ = ActionType.DEFINE if kind == "think" else ActionType.MALFORMED
        after = state.then(Step(type_, action))
        return Transition(after, 0.0, False, after.depth >= self.max_steps, feedback="go on")


class ToyPolicy:
    """Draws actions at random, by the request's seed alone."""

    def __init__(self, code: float = 0.35, malformed: float = 0.05, seconds: float = 0.0) -> None:
        self.code = code
        self.malformed = malformed
        self.seconds = seconds
        self.batches: list[list[PolicyRequest]] = []
        self.lock = threading.Lock()

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        with self.lock:
            self.batches.append(list(requests))
        time.sleep(self.seconds)
        return [self._draw(request) for request in requests]

    @property
    def requests(self) -> list[PolicyRequest]:
        return [request for batch in self.batches for request in batch]

    def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        generator = random.Random(request.seed)
        return tuple(self._proposal(generator, request.sampling.max_tokens) for _ in range(request.n))

    def _proposal(self, generator: random.Random, max_tokens: int) -> Proposal:
        tokens = min(generator.randrange(20, 90), max_tokens)
        logprob = -generator.random() * tokens
        drawn = generator.random()
        if drawn < self.code:
            return Proposal(f"code {generator.choices(range(5), (6, 4, 3, 2, 1))[0]}", tokens, logprob)
        if drawn < self.code + self.malformed:
            return Proposal(f"mumble {generator.randrange(3)}", tokens, logprob)
        return Proposal(f"think {generator.randrange(6)}", tokens, logprob)


class FixedPolicy:
    """Answers every request with the same actions, in turn; 10 tokens each."""

    def __init__(self, *actions: str, tokens: int = 10) -> None:
        self.actions = actions
        self.tokens = tokens
        self.requests: list[PolicyRequest] = []

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        self.requests += requests
        return [
            tuple(
                Proposal(self.actions[i % len(self.actions)], min(self.tokens, r.sampling.max_tokens), -1.0)
                for i in range(r.n)
            )
            for r in requests
        ]


class WordyPolicy(ToyPolicy):
    """Says how its samples ended; one that `max_tokens` cut is a program that passes nothing."""

    def _proposal(self, generator: random.Random, max_tokens: int) -> Proposal:
        whole = super()._proposal(generator, 1000)
        if whole.tokens <= max_tokens:
            return whole
        return Proposal("code 0", max_tokens, -1.0, finish="length")


class BrokenPolicy(ToyPolicy):
    """Fails whenever one of the requests is for `victim`."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self.victim = victim

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        if any(request.problem.task_id == self.victim for request in requests):
            raise PolicyError(f"{self.victim}: the prompt does not fit the context")
        return super().propose(requests)


class ToyScorer:
    """Scores a state by a number drawn from its text."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        self.batches.append(len(items))
        return [random.Random(repr(state.steps)).random() for _, state in items]


def tasks(count: int = 12, tokens: int | None = 1500, **arguments: Any) -> list[Task]:
    """Tasks of MCTS, each on a problem of its own."""
    agent = partial(mcts, **{"width": 4, **arguments})
    return [Task(f"p{i}", agent, Budget(tokens=tokens)) for i in range(count)]


def answers(results: Sequence[TaskResult]) -> list[Any]:
    """All that is comparable of results: seconds are not."""
    return [
        (r.task.key, r.result, r.usage.tokens, r.usage.calls, r.usage.executions, r.exhausted, str(r.error))
        for r in results
    ]


def one(agent: Any, policy: Any = None, budget: Budget = UNLIMITED, **options: Any) -> TaskResult:
    """The result of a run of one task."""
    policy = policy or ToyPolicy()
    return Driver(ToyModel(), policy, **options).run([Task("p", agent, budget)])[0]
