"""Protocols for user-supplied components; `envs/conformance` checks an object against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from o1coder_gym.types.proposals import PolicyRequest, Proposal
from o1coder_gym.types.states import Problem, State
from o1coder_gym.types.tests import GeneratedTests
from o1coder_gym.types.transitions import Transition
from o1coder_gym.types.verdicts import Submission, Verdict


@runtime_checkable
class Policy(Protocol):
    """π_θ: samples reasoning steps."""

    def propose(self, requests: Sequence[PolicyRequest], /) -> list[tuple[Proposal, ...]]:
        """Samples `request.n` actions for each request, in one batch.

        A request with a `question` (`queries.Ask`) asks for plain text; a policy without a language model may
        answer with a step.

        Returns:
            One tuple of exactly `request.n` proposals per request, in order. No proposal has more
            tokens than `request.sampling.max_tokens`.

        Raises:
            PolicyError: When the backend fails, or a prompt does not fit its context.
        """
        ...


LONGEST_ACTION = 1 << 20
"""Largest number of tokens of one action of an acting agent, unless a token budget is smaller."""


@runtime_checkable
class ActingAgent(Protocol):
    """Acts in `O1Coder/Code-v0` and similar environments: maps an observation to the text of a step.

    An agent under a token budget has an attribute ``tokens``, the number of tokens generated so far; the cost
    of an action is the increase of it during `act`.
    """

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any], /) -> str:
        """Returns an action that depends on the arguments alone: runs are resumed by replaying actions."""
        ...


@runtime_checkable
class StepScorer(Protocol):
    """ρ_PRM: scores the last step of a state given the steps before it."""

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Scores states in one batch.

        Returns:
            One number in [0, 1] per item, in order. A `types.Scored` also says how many tokens were read
            for it, and an attribute ``parameters`` how many weights read them: budgets of scorer tokens and
            FLOPs count these.
        """
        ...


@runtime_checkable
class TestGenerator(Protocol):
    """γ_TCG: generates test cases."""

    def generate(
        self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
    ) -> GeneratedTests:
        """Generates up to `n` test cases; with `reference`, outputs come from running it (mode A)."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Runs untrusted programs against tests."""

    def evaluate(self, submissions: Sequence[Submission], /) -> list[Verdict]:
        """Judges a batch; one verdict per submission, in order.

        A program's failure is a verdict. A failure of the judge itself is the outcome
        `INFRASTRUCTURE`, never a failed test.
        """
        ...


@runtime_checkable
class Model(Protocol):
    """The decision process as a pure, batched function (AlphaZero's sense of 'model')."""

    def initial(self, task_id: str, /) -> State:
        """Returns s_0 of a problem.

        Raises:
            UnknownNameError: When there is no such problem.
        """
        ...

    def problem(self, task_id: str, /) -> Problem:
        """Returns the problem that a state's `problem_id` names."""
        ...

    def advance(self, pairs: Sequence[tuple[State, str]], /) -> list[Transition]:
        """Takes one action in each state; the committed programs are judged in one batch."""
        ...
