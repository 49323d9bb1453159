"""The seam: what policies, models and scorers return is checked here, once, and nowhere else."""

from __future__ import annotations

import math

from o1coder_gym.errors import ConformanceError, PolicyError, ScorerError
from o1coder_gym.types import PolicyRequest, Proposal, State, Transition

_ROUNDING = 1e-6
"""How far above 0 a log-probability may come out of floating point."""


def check_proposals(request: PolicyRequest, proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """Returns the proposals if there are `request.n` of them and each is a legal one.

    Raises:
        PolicyError: When the count, a token count or a log-probability is out of range.
    """
    where = f"policy, {request.problem.task_id}"
    if len(proposals) != request.n:
        raise PolicyError(f"{where}: got {len(proposals)} proposals, expected {request.n}")
    for proposal in proposals:
        if not isinstance(proposal, Proposal):
            raise PolicyError(f"{where}: got a {type(proposal).__name__}, expected a Proposal")
        if not 0 <= proposal.tokens <= request.sampling.max_tokens:
            raise PolicyError(
                f"{where}: got {proposal.tokens} tokens, expected 0 to {request.sampling.max_tokens}"
            )
        if proposal.finish == "budget":
            raise PolicyError(f"{where}: got finish 'budget'; a policy says 'stop' or 'length'")
        if proposal.logprob is not None and not -math.inf < proposal.logprob <= _ROUNDING:
            raise PolicyError(f"{where}: got log-probability {proposal.logprob}, expected a finite one ≤ 0")
    return tuple(proposals)


def check_transition(state: State, transition: Transition) -> Transition:
    """Returns the transition if it is one step from `state` and ends in at most one way.

    Raises:
        ConformanceError: When it is not.
    """
    where = f"model, {state.problem_id}"
    if not isinstance(transition, Transition):
        raise ConformanceError(f"{where}: got a {type(transition).__name__}, expected a Transition")
    after = transition.state
    if after.problem_id != state.problem_id or after.steps[:-1] != state.steps or not after.steps:
        raise ConformanceError(f"{where}: the next state is not the state and one more step")
    if transition.terminated and transition.truncated:
        raise ConformanceError(f"{where}: a transition is both terminated and truncated")
    return transition


def check_score(state: State, score: float) -> float:
    """Returns the score if it is a number in [0, 1].

    Raises:
        ScorerError: When it is not.
    """
    if not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        raise ScorerError(f"scorer, {state.problem_id}: got {score!r}, expected a number in [0, 1]")
    return float(score)
