"""Budget sweep: the answers of an agent under smaller budgets, replayed from one run with the largest.

A run is recorded by an observer; then the agent is replayed from the recording with a smaller budget,
at no cost. It gets the same samples, as many as the smaller budget pays for in full, and is thrown
`BudgetExhausted` where the budget ends. As in the driver, the sample that the budget would have cut costs
what was left, and the agent does not get it. Prompts cost what they add to those of the replayed search, so
that a recording has the same answers whoever else used the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from o1coder_gym.agents.driver.guards import check_queries, check_result
from o1coder_gym.agents.driver.prompts import Prompts
from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.driver.session import UNPAID_TURNS, agent_failure
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.errors import BudgetExhausted, ConformanceError, O1CoderError, UsageError
from o1coder_gym.runs.budget import UNKNOWN_SIZES, Budget, Meter, ModelSizes
from o1coder_gym.types import Problem, Proposal, Sampling, SearchResult, State, Transition, Usage
from o1coder_gym.types.queries import Advance, Answer, Ask, Execute, Executed, Propose, Query, Score, Search

RunPrograms: TypeAlias = Callable[[Sequence[Execute]], Sequence[Executed]]
"""Runs programs on inputs, as `ReasoningModel.execute` does."""


def _not_recorded(queries: Sequence[Execute]) -> Sequence[Executed]:
    raise UsageError("a smaller budget runs a program that the recorded one did not; give run_programs")


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome of an agent under a smaller budget.

    Attributes:
        result: Its answer; empty where it failed.
        usage: Its cost, without seconds.
        programs: The terminal states whose programs were judged on the way, in order.
        cut: Whether the budget cut a sample.
        exhausted: Whether the budget ended the search.
        error: How the agent failed, as it would have with this budget; None if it did not.
    """

    result: SearchResult
    usage: Usage
    programs: list[State]
    cut: bool = False
    exhausted: bool = False
    error: O1CoderError | None = None


def answer_within(
    task: Task,
    problem: Problem,
    root: State,
    recording: Recording,
    budget: Budget,
    *,
    seed: int = 0,
    sizes: ModelSizes = UNKNOWN_SIZES,
    run_programs: RunPrograms = _not_recorded,
) -> Replay:
    """Returns what the agent of a recorded task answers, and spends, within a smaller budget.

    Args:
        task: The task that was recorded.
        problem: Its problem.
        root: Where its search started.
        recording: The answers that it received.
        budget: What is spent at most; seconds cannot be replayed and are ignored.
        seed: That of the driver which ran the task; a task's own comes first.
        sizes: Weights of policy and scorer, of which FLOPs are computed.
        run_programs: Answers an `Execute` that was not recorded: where a budget ends, an agent may run the
            few programs that it has, which the larger budget never ran by themselves. Without it such a
            query ends the search with an error.
    """
    # The agent is run again, not simulated: it is deterministic given its answers, so it decides as it would
    # have with the smaller budget.
    teller = _Teller(recording, budget, sizes, run_programs)
    found, search, error = SearchResult(None), None, None
    try:
        search = task.begin(problem, root, seed)
        found = _played(task, problem, search, teller)
    except BudgetExhausted:
        pass
    except O1CoderError as failure:
        error = failure
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # a foreign agent's failure ends its own row only, as in the driver
        error = agent_failure(task, search, failure)
    return Replay(found, teller.meter.usage, teller.told.programs(), teller.cut, teller.exhausted, error)


def _played(task: Task, problem: Problem, search: Search, teller: _Teller) -> SearchResult:
    """Plays a search with a teller's answers; what the agent yields and returns is read as by the driver."""
    name = problem.task_id
    try:
        queries = check_queries(name, next(search))
        while (answers := teller.answer(queries)) is not None:
            queries = check_queries(name, search.send(answers))
        # An agent answers by returning (StopIteration) or lets the exception through; a further query breaks
        # the contract.
        search.throw(BudgetExhausted(f"{task.key}: the budget is spent"))
    except StopIteration as end:
        return check_result(name, end.value)
    raise ConformanceError(f"{task.key}: the agent went on after its budget was exhausted")


class _Teller:
    """Answers from a recording within a budget. Mutable.

    Attributes:
        meter: Pays for each answer as in the driver, one after the other; its clock stands still.
        told: The answers that the replayed agent received.
        over: Whether a sample was refused or cut.
        cut: Whether one was cut.
        exhausted: Whether the budget ended the search.
    """

    def __init__(
        self, recording: Recording, budget: Budget, sizes: ModelSizes, run_programs: RunPrograms
    ) -> None:
        """Starts with nothing spent."""
        # A clock that stands still: replaying takes no time that a limit of seconds should count.
        self.meter = Meter(budget, lambda: 0.0, sizes)
        self.told = Recording()
        self.over = self.cut = self.exhausted = False
        self._recording = recording
        self._run_programs = run_programs
        self._prompts = Prompts()
        self._unscored = False
        self._idle = 0
        self._drawn: dict[tuple[State | str, Sampling], int] = {}

    def answer(self, queries: Sequence[Query]) -> list[Answer] | None:
        """Returns the answers of a turn, or None if the budget paid for none of them."""
        # The same two ends as in `Session`: nothing paid in a turn, or too many turns without a payment.
        before = self.meter.paid
        answers = [self._one(query) for query in queries]
        for query, answer in zip(queries, answers, strict=True):
            self._prompts.remember(query, answer)
        self._idle = self._idle + 1 if self.meter.paid == before else 0
        served = [
            _served(query, answer)
            for query, answer in zip(queries, answers, strict=True)
            if isinstance(query, Propose | Ask | Advance | Execute)
        ]
        unpaid = self._unscored or (bool(served) and not any(served))
        self.exhausted = unpaid or self._idle > UNPAID_TURNS
        return None if self.exhausted else answers

    def _one(self, query: Query) -> Answer:
        if isinstance(query, Propose):
            return self._samples(query, self._recording.samples.get((query.state, query.sampling), []))
        if isinstance(query, Ask):
            return self._samples(query, self._recording.answers.get((query.question, query.sampling), []))
        if isinstance(query, Advance):
            return self._transition(query)
        if isinstance(query, Execute):
            return self._executed(query)
        return self._score(query)

    def _samples(self, query: Propose | Ask, recorded: Sequence[Proposal]) -> tuple[Proposal, ...]:
        place = query.question if isinstance(query, Ask) else query.state, query.sampling
        # The recording has all samples of a place in order; this replay takes the next n, as the driver drew
        # them.
        start = self._drawn.get(place, 0)
        taken: list[Proposal] = []
        for proposal in recorded[start : start + query.n]:
            # Once a sample did not fit, none after it is drawn: the driver would have cut that one and
            # stopped.
            self.over = self.over or not self._pays(query, proposal, prompted=bool(taken))
            if self.over:
                break
            taken.append(proposal)
        self._drawn[place] = start + len(taken)
        return tuple(taken)

    def _pays(self, query: Propose | Ask, proposal: Proposal, *, prompted: bool) -> bool:
        """Pays for a sample, the first of a query with its prompt; returns whether the budget covers it."""
        # One sample at a time: the driver may grant several at once, but pays for them in this order all the
        # same.
        max_tokens = query.sampling.max_tokens
        grant = self.meter.reserve_samples(1, max_tokens, 0 if prompted else self._prompts.least)
        if grant is None:
            return False
        new, shown = (0, 0) if prompted else self._prompts.show(query, proposal)
        overlong = proposal.tokens > max_tokens  # of a server that ignores the limit: paid for as it was sent
        cut = grant.max_tokens < max_tokens and grant.max_tokens < proposal.tokens
        self.meter.settle_samples(
            grant,
            proposal.tokens if overlong else min(grant.max_tokens, proposal.tokens),
            1,
            prompt_tokens=new,
            cached_tokens=shown,
        )
        self.cut = cut or proposal.finish == "budget" or self.meter.overdrawn or self.meter.owed > 0
        return not self.cut

    def _transition(self, query: Advance) -> Transition:
        # As in the driver every step reserves an execution, and one without a program gives it back: where no
        # program could be judged any more no step is taken, and nothing is spent on the next one.
        granted = self.meter.reserve_executions(1)
        # Not recorded: the larger budget ended before it, so the smaller one would not have paid for it
        # either.
        found = self._recording.transitions.get((query.state, query.action)) if granted else None
        self.meter.settle_executions(granted, int(found is not None and found.verdict is not None))
        if found is None:
            return Transition(query.state, math.nan, False, True, "the budget is spent")
        self.told.add(query, found)
        return found

    def _executed(self, query: Execute) -> Executed:
        known, asked = self._recording.executions.get(query, []), len(self.told.executions.get(query, []))
        granted = self.meter.reserve_executions(1)
        self.meter.settle_executions(granted, granted)
        if not granted:
            return Executed(())
        # An agent may repeat an execution to see noise: the k-th repetition gets the k-th recorded result.
        (found,) = known[asked : asked + 1] or self._run_programs([query])
        self.told.add(query, found)
        return found

    def _score(self, query: Score) -> float:
        """Pays for a score; one that the budget does not cover ends the search, as in the driver."""
        score = self._recording.scores.get(query.state)
        tokens = getattr(score, "tokens", 0)
        granted = None if score is None or self._unscored else self.meter.reserve_score(tokens)
        if score is None or granted is None:
            self._unscored = True
            return 0.0
        self.meter.settle_score(granted, tokens)
        return score


def _served(query: Query, answer: Answer) -> bool:
    """Whether an answer contains anything for the agent."""
    if isinstance(answer, Transition) and isinstance(query, Advance):
        return answer.state is not query.state
    return bool(answer.results if isinstance(answer, Executed) else answer)
