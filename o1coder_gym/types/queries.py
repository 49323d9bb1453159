"""The queries that a search agent can yield, and the answers that the driver sends back.

An agent is a generator: it yields a list of queries and receives the list of their answers, in
order. It never holds a policy, a scorer or a judge, so that the driver can batch, meter, journal
and replay for a thousand agents at once.

Inside an agent, `answers = yield from propose(...)` gives typed answers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, cast

from o1coder_gym.types import CaseResult, Problem, Proposal, Sampling, SearchResult, State, Transition


@dataclass(frozen=True, slots=True)
class Propose:
    """Asks the policy for `n` actions in `state`. Answer: a tuple of at most `n` `Proposal`.

    Fewer than `n` come back only if the budget was too small for the request; a sample truncated by the
    budget is paid for, but not returned.
    """

    state: State
    n: int = 1
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks the policy's language model a question outside the process. Answer: as for `Propose`.

    The answers are plain text and no steps; they cost tokens and samples as steps do.

    Attributes:
        question: All that the model is shown; neither the problem nor a state is added to it.
        n: Answers, ≥ 1.
        sampling: Sampling parameters.
    """

    question: str
    n: int = 1
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Advance:
    """Asks the model to take `action` in `state`. Answer: a `Transition`."""

    state: State
    action: str


MOST_INPUTS = 64
"""Largest number of inputs of one `Execute`, which is charged like the judging of one program."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Runs the program of a terminal state on inputs, in order and in one process. Answer: `Executed`.

    It costs one execution; where the program ends its process early, another one goes on behind that input.
    No outputs are expected, so the answer reveals nothing about correctness.

    Attributes:
        state: Ends in code.
        inputs: 1 to `MOST_INPUTS` literals of argument lists, or standard inputs.
        surroundings: 0 for those that programs are judged in; each number above stands for others, with
            another date, other random numbers and other objects in memory, in which noise shows.
    """

    state: State
    inputs: tuple[str, ...]
    surroundings: int = 0


@dataclass(frozen=True, slots=True)
class Executed:
    """The outputs of a program on the inputs of an `Execute`.

    Attributes:
        results: One per input, whose ``got`` is the output as a canonical literal or as text, or None if
            there is none; of a result only what the question's public asserts compare, such as its truth.
            Empty if the budget was exhausted.
    """

    results: tuple[CaseResult, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Asks the step scorer for the value of `state`. Answer: a float in [0, 1]; see `types.Scored`."""

    state: State


Query: TypeAlias = Propose | Ask | Advance | Score | Execute
Answer: TypeAlias = tuple[Proposal, ...] | Transition | float | Executed
Search: TypeAlias = Generator[Sequence[Query], list[Answer], SearchResult]


class Agent(Protocol):
    """A search strategy: call it on a problem and its root, drive the generator it returns.

    An agent with a keyword ``context`` also receives a `runs.context.SearchContext`. When the budget ends,
    the driver throws `BudgetExhausted` into the generator at a yield; the agent returns its best result.
    """

    def __call__(self, problem: Problem, root: State, /) -> Search:
        """Starts a search."""
        ...


T = TypeVar("T")
Part: TypeAlias = Generator[Sequence[Query], list[Answer], T]
"""A part of a search that returns a T."""
Turns: TypeAlias = Part[None]
"""A part of a search that returns nothing."""


def propose(queries: Sequence[Propose]) -> Part[list[tuple[Proposal, ...]]]:
    """Asks the policy; a tuple is shorter than requested only if the budget cut it."""
    return cast("list[tuple[Proposal, ...]]", (yield queries))


def ask(queries: Sequence[Ask]) -> Part[list[tuple[Proposal, ...]]]:
    """Asks the policy's language model questions; as with `propose`, the budget may cut answers."""
    return cast("list[tuple[Proposal, ...]]", (yield queries))


def advance(queries: Sequence[Advance]) -> Part[list[Transition]]:
    """Takes actions."""
    return cast("list[Transition]", (yield queries))


def score(states: Sequence[State]) -> Part[list[float]]:
    """Asks the step scorer; numbers in [0, 1]."""
    return cast("list[float]", (yield [Score(state) for state in states]))


def execute(queries: Sequence[Execute]) -> Part[list[Executed]]:
    """Runs programs on inputs."""
    return cast("list[Executed]", (yield queries))
