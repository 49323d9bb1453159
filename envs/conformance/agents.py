"""The part of the conformance kit that checks search agents: a small driver that plays them by the book."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from o1coder_gym.envs.conformance.clauses import broken, require, require_nothing_hidden
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.runs.context import ALONE, begin
from o1coder_gym.types import ActionType, PolicyRequest, Problem, SearchResult, State, Transition
from o1coder_gym.types.protocols import Model, Policy, StepScorer
from o1coder_gym.types.queries import Advance, Agent, Answer, Ask, Execute, Executed, Propose, Query, Score

CUTS = (0, 1, 2, 3, 5, 9)
"""Turns after which the budget ends a search."""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What a search agent did while it was checked; it broke no clause.

    Attributes:
        problems: How many it was checked on.
        searches: How often it was started, with a whole budget or one that was cut.
        queries: Number of queries by the name of their type, e.g. ``{"Propose": 134, "Advance": 118}``.
        programs: Programs that it submitted to the judge.
        answers: Searches that ended with a program.
    """

    problems: int
    searches: int
    queries: Mapping[str, int]
    programs: int
    answers: int

    def __str__(self) -> str:
        """Says it in a line."""
        asked = ", ".join(f"{count} {name}" for name, count in self.queries.items())
        return (
            f"no clause broken in {self.searches} searches of {self.problems} problems: "
            f"asked {asked or 'nothing'}, {self.programs} programs judged, {self.answers} answers"
        )


def check_agent(
    agent: Agent,
    model: Model,
    policy: Policy,
    scorer: StepScorer | None = None,
    *,
    task_ids: Sequence[str],
    hidden: Sequence[str] = (),
    turns: int = 60,
) -> AgentReport:
    """Checks a search agent, with budgets that end it early and answer it in part.

    Args:
        agent: The agent.
        model: A model, e.g. a `ReasoningModel`.
        policy: Answers `Propose`; the same request should get the same answer.
        scorer: Answers `Score`; None answers 0.5.
        task_ids: Problems of the model, at least one.
        hidden: Texts that must not be reachable from the agent, what it is given and what it returns.
        turns: Turns after which an agent gets `BudgetExhausted`.

    Returns:
        What it did; ``print(check_agent(…))`` says it in a line.

    Raises:
        ConformanceError: For the first clause that does not hold.
    """
    plays: list[Minutes] = []
    for task_id in task_ids:
        game = Game(agent, model, policy, scorer, model.problem(task_id))
        # Twice: equal answers must lead to equal queries, or a journal could not be replayed.
        first, second = game.play(turns), game.play(turns)
        require(first.queries == second.queries, "agent.seed", "it asked differently the second time")
        same = (first.result.state, first.result.value) == (second.result.state, second.result.value)
        require(same, "agent.seed", "it answered differently the second time")
        plays += [first, second]
        # Each cut also answered in part: a budget may pay for some queries of the last turn and mask the
        # rest.
        for cut in CUTS:
            plays += [game.play(cut), game.play(cut, short=True)]
        require_nothing_hidden([agent, model, policy, scorer, first], hidden)
    asked = Counter(type(query).__name__ for play in plays for turn in play.queries for query in turn)
    return AgentReport(
        problems=len(task_ids),
        searches=len(plays),
        queries=dict(asked.most_common()),
        programs=sum(len(play.programs) for play in plays),
        answers=sum(play.result.state is not None for play in plays),
    )


@dataclass(slots=True)
class Minutes:
    """What happened in one search. Mutable while it runs."""

    result: SearchResult = field(default_factory=lambda: SearchResult(None))
    queries: list[list[Query]] = field(default_factory=list)
    open_states: set[State] = field(default_factory=set)
    programs: set[State] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Game:
    """An agent on a problem, with everything that answers it."""

    agent: Agent
    model: Model
    policy: Policy
    scorer: StepScorer | None
    problem: Problem

    def play(self, turns: int, *, short: bool = False) -> Minutes:
        """Runs so many turns of a search; if `short`, the budget pays only for the start of the last one."""
        root = self.model.initial(self.problem.task_id)
        seen = Minutes(open_states={root})
        search: Any = begin(self.agent, self.problem, root, ALONE)
        require(inspect.isgenerator(search), "agent.generator", f"got a {type(search).__name__}")
        try:
            queries = _resume(lambda: next(search))
            for turn in range(turns):
                answers = self._answers(_checked(queries, seen), seen, short and turn == turns - 1)
                queries = _resume(lambda answers=answers: search.send(answers))
            _resume(lambda: search.throw(BudgetExhausted("the budget is over")))
        except StopIteration as end:
            seen.result = _checked_result(end.value, seen)
            return seen
        raise broken("agent.budget", "it asked on")

    def _answers(self, queries: Sequence[Query], seen: Minutes, short: bool) -> list[Answer]:
        if not short:
            return [self._answer(query, seen) for query in queries]
        first, *others = queries
        if isinstance(first, Propose | Ask):
            first = replace(first, n=1)
        return [self._answer(first, seen), *map(_unpaid, others)]

    def _answer(self, query: Query, seen: Minutes) -> Answer:
        match query:
            case Propose(state, n, sampling):
                request = PolicyRequest(self.problem, state, n, sampling, seed=len(seen.queries))
                return self.policy.propose([request])[0]
            case Ask(question, n, sampling):
                root, seed = State(self.problem.task_id), len(seen.queries)
                request = PolicyRequest(self.problem, root, n, sampling, seed, question)
                return self.policy.propose([request])[0]
            case Advance(state, action):
                return self._advance(state, action, seen)
            case Execute():
                (executed,) = getattr(self.model, "execute", _cannot)([query])
                return executed
            case Score(state):
                return self.scorer.score([(self.problem, state)])[0] if self.scorer else 0.5

    def _advance(self, state: State, action: str, seen: Minutes) -> Transition:
        (transition,) = self.model.advance([(state, action)])
        if transition.verdict is not None:
            seen.programs.add(transition.state)
        elif not transition.done:
            seen.open_states.add(transition.state)
        return transition


def _checked(queries: Any, seen: Minutes) -> list[Query]:
    if isinstance(queries, Query):
        raise broken("agent.query", f"got {queries!r:.200}; wrap a single query in a list")
    if not isinstance(queries, Sequence) or isinstance(queries, str) or not queries:
        raise broken("agent.query", f"got {queries!r:.200}")
    for query in queries:
        require(isinstance(query, Query), "agent.query", f"got {query!r:.200}")
        require(not isinstance(query, Propose | Ask) or query.n >= 1, "agent.query", "asked for no proposals")
        if isinstance(query, Score | Ask):
            continue
        if isinstance(query, Execute):
            require(query.state in seen.programs, "agent.state", f"got {query.state!r:.200}")
            continue
        require(_is_open(query.state, seen), "agent.state", f"got {query.state!r:.200}")
    seen.queries.append(list(queries))
    return list(queries)


def _is_open(state: State, seen: Minutes) -> bool:
    """Whether a state was given and is unfinished, or is such a one with a note of the agent's own."""
    if state in seen.open_states:
        return True
    *before, note = state.steps or (None,)
    noted = note is not None and note.type in (ActionType.DEFINE, ActionType.REFINE)
    return noted and State(state.problem_id, tuple(before)) in seen.open_states


def _resume(step: Callable[[], Any]) -> Any:
    """Lets the agent continue; whatever it raises is its own fault."""
    try:
        return step()
    except StopIteration:
        raise
    except BudgetExhausted as error:
        raise broken("agent.budget", "it did not catch it") from error
    except Exception as error:
        raise broken("agent.error", repr(error)) from error


def _unpaid(query: Query) -> Answer:
    """Returns what a driver answers to a query that the budget cannot pay."""
    match query:
        case Propose() | Ask():
            return ()
        case Advance(state):
            return Transition(state, math.nan, terminated=False, truncated=True)
        case Score():
            return 0.5
        case Execute():
            return Executed(())


def _cannot(queries: Sequence[Execute]) -> list[Executed]:
    """Answers for a model that cannot execute programs."""
    return [Executed(()) for _ in queries]


def _checked_result(result: Any, seen: Minutes) -> SearchResult:
    require(isinstance(result, SearchResult), "agent.result", f"got a {type(result).__name__}")
    require(0.0 <= result.value <= 1.0, "agent.result", f"valued {result.value}")
    known = result.state is None or result.state in seen.programs
    require(known, "agent.result", "its program was never advanced to")
    return result
