"""Budget sweep: the answers of an agent under smaller budgets, replayed from one run with the largest.

A run is recorded by an observer; then the agent is replayed from the recording with a smaller budget,
at no cost. It gets the same samples, as many as the smaller budget pays for in full, and is thrown
`BudgetExhausted` where the budget ends. As in the driver, the sample that the budget would have cut costs
what was left, and the agent does not get it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.driver.session import UNPAID_TURNS
from o1coder_gym.agents.driver.tasks import Task
from o1coder_gym.errors import BudgetExhausted, ConformanceError
from o1coder_gym.queries import Advance, Answer, Execute, Executed, Propose, Query, Score
from o1coder_gym.runs.budget import SMALLEST_SAMPLE, UNKNOWN_SIZES, Budget, ModelSizes
from o1coder_gym.types import Problem, Proposal, Sampling, SearchResult, State, Transition, Usage


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome of an agent under a smaller budget.

    Attributes:
        result: Its answer.
        usage: What it spends; no seconds.
        programs: The terminal states whose programs were judged on the way, in order.
        cut: Whether the budget cut a sample.
        exhausted: Whether the budget ended the search.
    """

    result: SearchResult
    usage: Usage
    programs: list[State]
    cut: bool = False
    exhausted: bool = False


def answer_within(
    task: Task,
    problem: Problem,
    root: State,
    recording: Recording,
    budget: Budget,
    *,
    seed: int = 0,
    sizes: ModelSizes = UNKNOWN_SIZES,
) -> Replay:
    """Returns what the agent of a recorded task answers within a smaller budget, and what it spends.

    Args:
        task: The task that was recorded.
        problem: Its problem.
        root: Where its search started.
        recording: What it was answered.
        budget: What is spent at most; seconds cannot be replayed and are ignored. Prompts cost what they
            did in the recorded run.
        seed: That of the driver which ran the task; a task's own comes first.
        sizes: Weights of policy and scorer, of which FLOPs are computed.

    Raises:
        ConformanceError: When the agent makes further queries after `BudgetExhausted`.
    """
    teller = _Teller(recording, budget, sizes)
    search = task.begin(problem, root, seed)
    try:
        queries = next(search)
        while (answers := teller.answer(queries)) is not None:
            queries = search.send(answers)
        search.throw(BudgetExhausted(f"{task.key}: the budget is spent"))
    except StopIteration as end:
        found = end.value
    except BudgetExhausted:
        found = SearchResult(None)
    else:
        raise ConformanceError(f"{task.key}: the agent went on after its budget was exhausted")
    return Replay(found, teller.usage, teller.told.programs(), teller.cut, teller.exhausted)


@dataclass(slots=True)
class _Teller:
    """Answers from a recording within a budget. Mutable; `over` after a sample was refused or cut."""

    recording: Recording
    budget: Budget
    sizes: ModelSizes
    usage: Usage = field(default_factory=Usage)
    longest_prompt: int = 0
    longest_scored: int = 0
    unscored: bool = False
    told: Recording = field(default_factory=Recording)
    over: bool = False
    cut: bool = False
    exhausted: bool = False
    idle: int = 0
    drawn: dict[tuple[State, Sampling], int] = field(default_factory=dict)

    def answer(self, queries: Sequence[Query]) -> list[Answer] | None:
        """Returns the answers of a turn, or None if nothing that costs could be paid."""
        before = self._paid()
        answers = [self._one(query) for query in queries]
        self.idle = self.idle + 1 if self._paid() == before else 0
        served = [
            _served(query, answer)
            for query, answer in zip(queries, answers, strict=True)
            if isinstance(query, Propose | Advance | Execute)
        ]
        unpaid = self.unscored or (bool(served) and not any(served))
        self.exhausted = unpaid or self.idle > UNPAID_TURNS
        return None if self.exhausted else answers

    def _paid(self) -> float:
        """As `Meter.paid`."""
        units = self.budget.units or ("tokens", "executions")
        return sum(getattr(self.usage, unit) for unit in units)

    def _one(self, query: Query) -> Answer:
        if isinstance(query, Propose):
            return self._samples(query)
        if isinstance(query, Advance):
            return self._transition(query)
        if isinstance(query, Execute):
            return self._executed(query)
        return self._score(query)

    def _samples(self, query: Propose) -> tuple[Proposal, ...]:
        place = query.state, query.sampling
        # The recording has all samples of a place in order; this replay takes the next n, as the driver drew
        # them.
        start = self.drawn.get(place, 0)
        taken: list[Proposal] = []
        for proposal in self.recording.samples.get(place, [])[start : start + query.n]:
            # Once a sample did not fit, none after it is drawn: the driver would have cut that one and
            # stopped.
            self.over = self.over or not self._draw(proposal, query.sampling.max_tokens)
            if self.over:
                break
            taken.append(proposal)
        self.drawn[place] = start + len(taken)
        return tuple(taken)

    def _draw(self, proposal: Proposal, max_tokens: int) -> bool:
        """Pays for a sample; returns whether the budget reaches to its end."""
        left = self._tokens_left()
        if left < min(max_tokens, SMALLEST_SAMPLE):
            return False  # the driver would not begin it
        overlong = proposal.tokens > max_tokens  # of a server that ignores the limit: paid for as it was sent
        tokens = proposal.tokens if overlong else int(min(left, proposal.tokens))
        paid = self._pay(self._price(proposal, tokens))
        self.longest_prompt = max(self.longest_prompt, proposal.prompt_tokens)
        self.cut = paid and (proposal.finish == "budget" or left < proposal.tokens)
        return paid and not self.cut

    def _tokens_left(self) -> float:
        """Returns the tokens of one more sample at most, behind a prompt as long as the longest so far."""
        limits, usage, prompt = self.budget, self.usage, self.longest_prompt
        if limits.prompt_tokens is not None and limits.prompt_tokens - usage.prompt_tokens < max(prompt, 1):
            return 0
        left = math.inf if limits.tokens is None else limits.tokens - usage.tokens
        if limits.flops is not None and limits.flops < math.inf:
            of_flops = (limits.flops - usage.flops - self.sizes.flops(prompt)) // self.sizes.flops(1)
            left = min(left, max(0, of_flops))
        return left

    def _price(self, proposal: Proposal, tokens: int) -> Usage:
        return Usage(
            tokens=tokens,
            prompt_tokens=proposal.prompt_tokens,
            cached_tokens=proposal.cached_tokens,
            calls=1,
            flops=self.sizes.flops(tokens + proposal.prompt_tokens),
        )

    def _score(self, query: Score) -> float:
        """Pays for a score; one that the budget does not reach to ends the search, as in the driver."""
        score = self.recording.scores.get(query.state)
        limits, usage, guess = self.budget, self.usage, max(self.longest_scored, 1)
        left = math.inf if limits.scorer_tokens is None else limits.scorer_tokens - usage.scorer_tokens
        price = self.sizes.flops(0, guess)
        if left < guess or (limits.flops is not None and price and limits.flops - usage.flops < price):
            score = None
        self.unscored = self.unscored or score is None
        if score is None or self.unscored:
            return 0.0
        tokens = getattr(score, "tokens", 0)
        self.longest_scored = max(self.longest_scored, tokens)
        self.usage += Usage(scores=1, scorer_tokens=tokens, flops=self.sizes.flops(0, tokens))
        return score

    def _transition(self, query: Advance) -> Transition:
        found = self.recording.transitions.get((query.state, query.action))
        if found is None or not self._pay(Usage(executions=int(found.verdict is not None))):
            return Transition(query.state, math.nan, False, True, "the budget is spent")
        self.told.add(query, found)
        return found

    def _executed(self, query: Execute) -> Executed:
        place = query.state, query.inputs
        known, asked = self.recording.executions.get(place, []), len(self.told.executions.get(place, []))
        # An agent may repeat an execution to see noise: the k-th repetition gets the k-th recorded result.
        if asked >= len(known) or not self._pay(Usage(executions=1)):
            return Executed(())
        self.told.add(query, known[asked])
        return known[asked]

    def _pay(self, cost: Usage) -> bool:
        after = self.usage + cost
        limits = self.budget
        for spent, limit in (
            (after.calls, limits.calls),
            (after.executions, limits.executions),
        ):
            if limit is not None and spent > limit:
                return False
        self.usage = after
        return True


def _served(query: Query, answer: Answer) -> bool:
    """Whether an answer has anything for the agent."""
    if isinstance(answer, Transition):
        return answer.state is not query.state
    return bool(answer.results if isinstance(answer, Executed) else answer)
