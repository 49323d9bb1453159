"""Results of a search, and what it spent."""

from __future__ import annotations

import operator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from o1coder_gym.types.states import State


class Scored(float):
    """A score that says what it cost: a float with the number of tokens that the scorer read for it.

    Attributes:
        tokens: Of the whole chain up to the state, ≥ 0, whatever of it was kept: equal scores cost the same.
    """

    tokens: int

    def __new__(cls, value: float, tokens: int = 0) -> Scored:
        """Args: the score, in [0, 1], and its tokens."""
        scored = super().__new__(cls, value)
        scored.tokens = tokens
        return scored


_COUNTED_SINCE = frozenset({"scores", "retries", "scorer_tokens", "flops"})
"""Costs that the rows of the first versions do not have."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources spent on a search; instances add field by field.

    Attributes:
        tokens: Generated (completion) tokens, the unit of equal budgets.
        prompt_tokens: Prompt tokens that the search had not shown its policy before, whatever its engine
            kept of others; of a prompt that is shown again, the last one. 0 where a backend cannot tell.
        cached_tokens: The rest of all prompts, once a query.
        calls: Actions sampled (a request for n actions counts n).
        executions: Programs judged; an answer from a cache counts too, or equal budgets would not be equal.
        seconds: Wall-clock seconds.
        scores: States scored by the step scorer.
        retries: Requests sent again, alone, because the batch that they were in had failed.
        scorer_tokens: Tokens that the step scorer read.
        flops: FLOPs of policy and scorer, see `runs.budget.Budget`; 0 where the policy's size is not known.
    """

    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    calls: int = 0
    executions: int = 0
    seconds: float = 0.0
    scores: int = 0
    retries: int = 0
    scorer_tokens: int = 0
    flops: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Adds field by field."""
        return Usage(*map(operator.add, self._costs(), other._costs()))

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict: what earlier versions did not count only where it is not 0."""
        row = asdict(self)
        return {name: cost for name, cost in row.items() if cost or name not in _COUNTED_SINCE}

    def _costs(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Parting:
    """An input on which the candidate programs of a search disagree.

    Attributes:
        input: Literal of an argument list, or a standard input.
        outputs: The distinct outputs, each with the terminal states whose programs produce it.
        right: The output taken as correct; None if undecided.
        confidence: Share of the votes for `right`, in [0, 1].
    """

    input: str
    outputs: tuple[tuple[str, tuple[State, ...]], ...]
    right: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The final result of a search.

    Attributes:
        state: The chosen terminal state; None if the agent committed no code.
        value: The agent's own estimate of its value, in [0, 1], from public or generated tests only.
        tree: The finished search tree; None for agents that keep none.
        partings: Distinguishing inputs found by an adversary, in order.
    """

    state: State | None
    value: float = 0.0
    tree: Any = field(default=None, compare=False)
    partings: tuple[Parting, ...] = field(default=(), compare=False)

    @property
    def code(self) -> str | None:
        """The chosen program."""
        return self.state.code if self.state else None
