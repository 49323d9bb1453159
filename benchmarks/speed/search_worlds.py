"""Worlds without a language model, for measuring search alone.

`Endless` has fresh steps wherever it is asked and no end; `RandomTree` is a finite tree with noisy ends;
`LatencyPolicy` is an engine that takes its time. `play` answers a search directly, without a driver.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from o1coder_gym.runs.seeds import derive_seed
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    SearchResult,
    State,
    Step,
    Transition,
    Verdict,
)
from o1coder_gym.types.queries import Advance, Answer, Propose, Query, Score, Search

Reply = Callable[[Query], Answer]


@dataclass(frozen=True, slots=True)
class Played:
    """A search that was played: its result, and the CPU seconds that the search itself took."""

    result: SearchResult
    seconds: float


def play(search: Search, reply: Reply, watch: Callable[[float], None] | None = None) -> Played:
    """Answers a search one query at a time; the CPU time that the answers take does not count.

    Args:
        search: A started agent.
        reply: Answers a query.
        watch: Told after every turn how many CPU seconds the search took so far.
    """
    clock = time.thread_time
    seconds = 0.0
    started = clock()
    try:
        queries = next(search)
        while True:
            seconds += clock() - started
            if watch is not None:
                watch(seconds)
            answers = [reply(query) for query in queries]
            started = clock()
            queries = search.send(answers)
    except StopIteration as end:
        return Played(end.value, seconds + clock() - started)


class Endless:
    """Every step is new, no episode ends, values are random."""

    def __init__(self, seed: int = 0, max_depth: int = 10**9) -> None:
        """Args: seed of the values, depth at which code is committed."""
        self._names = itertools.count()
        self._random = random.Random(seed)
        self._max_depth = max_depth

    def __call__(self, query: Query) -> Answer:
        """Answers a query."""
        if isinstance(query, Propose):
            return tuple(Proposal(str(next(self._names)), 50, -20.0) for _ in range(query.n))
        if isinstance(query, Advance):
            if query.state.depth + 1 < self._max_depth:
                return Transition(query.state.then(Step(ActionType.DEFINE, query.action)), 0.0, False, False)
            after = query.state.then(Step(ActionType.CODE, query.action))
            return Transition(after, 0.0, True, False, verdict=_verdict(self._random.randrange(5), 4))
        return self._random.random()


class RandomTree:
    """A finite random tree: B branches, D steps; an end's tests tell its true value with noise.

    The true value of an end is σ of the sum of its steps' qualities, each drawn from N(0, 1); the
    verdict has 8 tests, each passed with that probability. Fixed by the seed, whoever asks.
    """

    def __init__(self, seed: int, branches: int = 4, depth: int = 4) -> None:
        """Args: seed of the tree, B, D."""
        self._seed = seed
        self._branches = branches
        self._depth = depth
        self._counts: dict[State, int] = {}

    def true_value(self, state: State | None) -> float:
        """Returns the true value of an end in [0, 1], 0 for none."""
        if state is None:
            return 0.0
        total = sum(self._draw(state.steps[: i + 1]).gauss(0.0, 1.0) for i in range(len(state.steps)))
        return 1.0 / (1.0 + math.exp(-total))

    def __call__(self, query: Query) -> Answer:
        """Answers a query."""
        if isinstance(query, Propose):
            count = self._counts.get(query.state, 0)
            self._counts[query.state] = count + 1
            generator = random.Random(derive_seed(self._seed, query.state, count))
            return tuple(
                Proposal(str(generator.randrange(self._branches)), 50, -20.0) for _ in range(query.n)
            )
        if isinstance(query, Advance):
            return self._advance(query.state, query.action)
        assert isinstance(query, Score), f"{query} has no answer in this world"
        return self.true_value(query.state)

    def _advance(self, state: State, action: str) -> Transition:
        if state.depth + 1 < self._depth:
            return Transition(state.then(Step(ActionType.DEFINE, action)), 0.0, False, False)
        after = state.then(Step(ActionType.CODE, action))
        generator = self._draw(after.steps)
        generator.gauss(0.0, 1.0)
        value = self.true_value(after)
        return Transition(
            after, 0.0, True, False, verdict=_verdict(sum(generator.random() < value for _ in range(8)), 8)
        )

    def _draw(self, steps: Sequence[Step]) -> random.Random:
        return random.Random(f"{self._seed}/" + "/".join(step.text for step in steps))


class LatencyPolicy:
    """An engine that sleeps: seconds a call, and seconds a token of the longest sample of its batch.

    Attributes:
        batches: What it was asked, in order.
        busy_s: Seconds that it was at work.
    """

    def __init__(
        self, call_s: float = 0.0, token_s: float = 0.0, parallel: int = 1, code: float = 0.3
    ) -> None:
        """Args: latencies, calls that may be in flight at once, share of actions that commit code."""
        self.parallel = parallel
        self.batches: list[list[PolicyRequest]] = []
        self.busy_s = 0.0
        self._call_s = call_s
        self._token_s = token_s
        self._code = code
        self._lock = threading.Lock()

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples actions by the requests' seeds."""
        started = time.perf_counter()
        replies = [self._draw(request) for request in requests]
        longest = max(proposal.tokens for reply in replies for proposal in reply)
        time.sleep(max(0.0, self._call_s + longest * self._token_s - (time.perf_counter() - started)))
        with self._lock:
            self.batches.append(list(requests))
            self.busy_s += time.perf_counter() - started
        return replies

    def _draw(self, request: PolicyRequest) -> tuple[Proposal, ...]:
        generator = random.Random(request.seed)
        return tuple(self._proposal(generator) for _ in range(request.n))

    def _proposal(self, generator: random.Random) -> Proposal:
        tokens = generator.randrange(40, 120)
        kind = "code" if generator.random() < self._code else "think"
        return Proposal(f"{kind} {generator.getrandbits(32)}", tokens, -20.0)


class LatencyModel:
    """The process that goes with `LatencyPolicy`; programs pass tests at random."""

    def __init__(self, max_steps: int = 8) -> None:
        """Args: step limit."""
        self._max_steps = max_steps

    def problem(self, task_id: str, /) -> Problem:
        """Returns a problem of that name."""
        return Problem(task_id, "a question")

    def initial(self, task_id: str, /) -> State:
        """Returns its root."""
        return State(task_id)

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        """Takes actions."""
        return [self._one(state, action) for state, action in pairs]

    def _one(self, state: State, action: str) -> Transition:
        if action.startswith("code"):
            after = state.then(Step(ActionType.CODE, action))
            return Transition(after, 0.0, True, False, verdict=_verdict(hash(action) % 4, 4))
        after = state.then(Step(ActionType.DEFINE, action))
        return Transition(after, 0.0, False, after.depth >= self._max_steps)


def _verdict(passed: int, total: int) -> Verdict:
    results = [Outcome.PASS if i < passed else Outcome.WRONG_ANSWER for i in range(total)]
    outcome = Outcome.PASS if passed == total else Outcome.WRONG_ANSWER
    return Verdict(outcome, tuple(CaseResult(result) for result in results))
