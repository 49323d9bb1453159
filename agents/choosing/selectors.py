"""Selectors: they choose a search's answer among the programs that it submitted to the judge.

A selector wraps any agent, also a user's own. It records the answers of the search, keeps every program and
its verdict, and chooses at the end: by the tests that the search may see, from one execution matrix, at no
cost beyond what the search has paid.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from o1coder_gym.agents.driver.recordings import Recording
from o1coder_gym.agents.search.leaf_values import Aggregate, scores_of_states
from o1coder_gym.errors import BudgetExhausted
from o1coder_gym.rewards import end_value, standing
from o1coder_gym.runs.context import ALONE, SearchContext, begin
from o1coder_gym.tcg.checking.agreement import Same
from o1coder_gym.tcg.checking.question_comparison import same_of
from o1coder_gym.tcg.checking.selection import Score, matrix_of
from o1coder_gym.types import Outcome, Problem, Proposal, SearchResult, State, Transition, Verdict
from o1coder_gym.types.queries import Agent, Answer, Part, Search

Action: TypeAlias = tuple[State, str]


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a search submitted to the judge.

    Attributes:
        state: The terminal state that holds it.
        verdict: On the tests that the search may see.
        value: In [0, 1]; None where the judge failed, and where there are no tests.
        samples: Number of samples that led to it by this path, ≥ 1.
        mean_logprob: Mean log-probability per token of its path, −inf if not known.
    """

    state: State
    verdict: Verdict
    value: float | None
    samples: int
    mean_logprob: float


def judged_programs(recording: Recording) -> list[Program]:
    """Returns the programs that a recorded search submitted to the judge, in order."""
    drawn: dict[Action, list[Proposal]] = {}
    for (state, _), proposals in recording.samples.items():
        for proposal in proposals:
            drawn.setdefault((state, proposal.text), []).append(proposal)
    # Sum of log-probabilities and tokens from the root to each state. Transitions are in order, parents
    # first.
    paths: dict[State, tuple[float, int]] = {}
    found = []
    for (state, action), after in recording.transitions.items():
        equal = drawn.get((state, action), [])
        before, length = paths.get(state, (0.0, 0))
        # Equal samples have one text and so one path; the first one's tokens and log-probability stand for
        # all.
        for first in equal[:1]:  # none for a step of the agent's own
            before += float("-inf") if first.logprob is None else first.logprob
            length += first.kept_tokens
        logprob, tokens = paths.setdefault(after.state, (before, length))
        if after.verdict is not None:
            mean = logprob / max(tokens, 1)
            found.append(Program(after.state, after.verdict, end_value(after), max(1, len(equal)), mean))
    return found


Between: TypeAlias = Callable[[Sequence[Answer]], Part[None]]
"""Asks for something of its own after a turn of a search, whose answers it is given."""


def _nothing(_: Sequence[Answer]) -> Part[None]:
    yield from ()


def watched(
    search: Search, recording: Recording, between: Between = _nothing, last: Between = _nothing
) -> Search:
    """Runs a search unchanged and records its answers.

    Args:
        search: What is run.
        recording: Where its answers are kept.
        between: Asks after each turn; the search is not shown the answers.
        last: Its queries are issued once after the search has ended, without answers; skipped if the budget
            was exhausted by then.
    """
    exhausted = False
    try:
        queries = next(search)
        while True:
            try:
                queries = [*queries]  # read twice, and an agent may yield a generator
                answers = yield queries
                for query, answer in zip(queries, answers, strict=True):
                    recording.add(query, answer)
                yield from between(answers)
            except BudgetExhausted as error:
                exhausted = True
                # The search may still answer; its answer is kept where nobody else can choose one.
                queries = search.throw(error)
                continue
            queries = search.send(answers)
    except StopIteration as end:
        if not exhausted:
            with suppress(BudgetExhausted):
                yield from last(())
        return end.value
    finally:
        search.close()


def choosing(agent: Agent, *scores: Score) -> Agent:
    """Returns the agent, with selectors that choose its answer among the programs found: self-validation.

    Args:
        agent: Searches; its own answer is used only where it found no program.
        scores: Of `tcg.checking.selection.SCORES`, or your own; a later one breaks ties. Samples of the same
            program count as often as they were drawn. Further ties go to the higher value on the tests,
            then to the higher mean log-probability per token, then to the earlier program.
    """
    return _choosing(agent, None, scores)


def choosing_by_scorer(agent: Agent, aggregate: Aggregate, *scores: Score) -> Agent:
    """Returns the agent, with a step scorer that chooses its answer among the programs found.

    Args:
        agent: Searches; its own answer is used only where it found no program.
        aggregate: From the scores of a path's steps to one number.
        scores: Selectors that come before it, as in `choosing`; without one the scorer decides alone, and
            no test has a say unless its scores are equal.
    """
    return _choosing(agent, aggregate, scores)


def _choosing(agent: Agent, aggregate: Aggregate | None, scores: Sequence[Score]) -> Agent:
    def search(problem: Problem, root: State, /, *, context: SearchContext = ALONE) -> Search:
        recording = Recording()
        found = SearchResult(None)
        opinions: dict[State, float] = {}

        def score(answers: Sequence[Answer]) -> Part[None]:
            # Between turns, not at the end: once the budget is exhausted no query is answered any more.
            if aggregate is not None:
                fresh = [state for state in dict.fromkeys(_programs(answers)) if state not in opinions]
                steps = yield from scores_of_states(fresh)
                opinions.update(zip(fresh, map(aggregate, steps), strict=True))

        with suppress(BudgetExhausted):  # an agent that does not answer to it has found programs too
            found = yield from watched(begin(agent, problem, root, context), recording, score)
        public, same = len(problem.public_tests), same_of(problem)
        chosen = choose_program(judged_programs(recording), public, scores, opinions, same=same)
        if chosen is None:
            return found
        return SearchResult(chosen.state, chosen.value or 0.0, found.tree)

    return search


def _programs(answers: Iterable[Answer]) -> Iterator[State]:
    """Yields the programs among some answers."""
    for answer in answers:
        if isinstance(answer, Transition) and answer.verdict is not None:
            yield answer.state


def choose_program(
    programs: Sequence[Program],
    public: int,
    scores: Sequence[Score],
    opinions: Mapping[State, float] = MappingProxyType({}),
    *,
    same: Same = operator.eq,
) -> Program | None:
    """Returns the program of the highest scores; None if there is none.

    Args:
        programs: Judged on the same tests; those on which the judge failed come last.
        public: How many of the tests are public; they come first.
        scores: Of the execution matrix, one row per sample.
        opinions: Of the step scorer, by state; they break ties of `scores`.
        same: Which outputs are one, `question_comparison.same_of` the problem.
    """
    # Only if the judge failed on all of them is one of those the answer.
    known = [one for one in programs if one.verdict.outcome is not Outcome.INFRASTRUCTURE]
    judged = known or list(programs)
    if not judged:
        return None
    # A program drawn k times is k rows: agreement and dual scores weigh by frequency.
    rows = [place for place, program in enumerate(judged) for _ in range(program.samples)]
    tests = max(len(program.verdict.tests) for program in judged)
    matrix = matrix_of([judged[place].verdict for place in rows], min(public, tests), same=same)
    columns = [dict(zip(rows, score(matrix), strict=True)) for score in scores]

    def merits(place: int) -> tuple[float, ...]:
        program = judged[place]
        opinion = opinions.get(program.state, 0.0)
        return (
            *(column[place] for column in columns),
            opinion,
            standing(program.value, program.verdict.outcome),
            program.mean_logprob,
            -place,
        )

    return judged[max(range(len(judged)), key=merits)]


def codes(programs: Iterable[Program]) -> list[str]:
    """Returns the distinct sources of programs, in order."""
    return list(dict.fromkeys(code for program in programs if (code := program.state.code) is not None))
