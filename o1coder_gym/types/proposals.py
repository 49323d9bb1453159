"""Actions that a policy samples, and how they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from o1coder_gym.types.states import Problem, State


@dataclass(frozen=True, slots=True)
class Sampling:
    """How actions are drawn from a policy.

    Attributes:
        temperature: 0 is greedy decoding.
        top_p: Nucleus mass in (0, 1].
        top_k: Only the k most likely tokens are candidates; 0 means all of them.
        max_tokens: Upper bound of generated tokens per action.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 50
    max_tokens: int = 384


GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0)


Finish: TypeAlias = Literal["stop", "length", "budget"]
"""Why a sample ended.

``"stop"``: at a step boundary or at the end of the model's text. ``"length"``: at the limit of the
sampling itself or of the context; a failure of the policy like any other. ``"budget"``: at a limit below
the one that was asked for: the budget ended it, not the policy. Such a sample is charged and recorded,
but never taken, judged or learned from.
"""


Author: TypeAlias = Literal["policy", "agent"]
"""Who wrote a step: the policy, as a sample, or the search itself, as a note to the policy."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One action sampled by a policy.

    Attributes:
        text: The whole action as `ReasoningModel.advance` takes it, header included.
        tokens: Number of generated tokens, the unit of budgets; ≥ 0, more than asked for where a server
            ignores ``max_tokens``.
        logprob: Sum of the log-probabilities of the `kept_tokens`, ≤ 0, under the model's own
            distribution (temperature 1, no truncation); None where a backend cannot tell.
        token_ids: The tokens of `text` behind its opening, empty where a backend does not expose them.
        finish: Why it ended; policies say ``"stop"`` or ``"length"``, the driver knows the budget.
        prompt_tokens: Prompt tokens that its engine computed; with `cached_tokens` the length of the prompt
            at the first sample of a request, which is what a search pays by. 0 where a backend cannot tell.
        cached_tokens: Prompt tokens whose computation was reused, also from other searches: no price.
        sampled_ids: All tokens that were sampled, also those that only showed where the action or the text
            ends, which training must learn too; empty where a backend does not expose them.
        sampled_logprobs: Of `sampled_ids`, as `logprob`.
    """

    text: str
    tokens: int
    logprob: float | None = None
    token_ids: tuple[int, ...] = ()
    finish: Finish = "stop"
    prompt_tokens: int = field(default=0, compare=False)
    cached_tokens: int = field(default=0, compare=False)
    sampled_ids: tuple[int, ...] = field(default=(), compare=False, repr=False)
    sampled_logprobs: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def kept_tokens(self) -> int:
        """Tokens that `logprob` sums over: `token_ids`, or all of them where a backend exposes no ids.

        Tokens that only showed where the action ends are generated and paid for, but are not part of it; a
        mean over them too would favour short actions.
        """
        return len(self.token_ids) or self.tokens


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """A request for `n` actions in one state.

    Attributes:
        problem: The question that `state` belongs to.
        state: The state to act in.
        n: Number of actions, ≥ 1; sampled in one call.
        sampling: Sampling parameters.
        seed: Determines the samples on exact backends, independently of the rest of the batch.
        question: Asked in place of the next step (`queries.Ask`); the answers are plain text. None asks for
            steps.
        history: Which proposals the last steps of `state` were taken from, oldest first; None for a step
            that was not sampled. A policy then shows its model those very tokens, which the text alone does
            not tell. It may be empty.
    """

    problem: Problem
    state: State
    n: int = 1
    sampling: Sampling = Sampling()
    seed: int = 0
    question: str | None = None
    history: tuple[Proposal | None, ...] = field(default=(), repr=False)
