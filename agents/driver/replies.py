"""Payloads: what lanes are given, and the answers to them, checked, named and written down."""

from __future__ import annotations

from typing import Any, TypeAlias

from o1coder_gym.agents.contracts import check_proposals, check_score, check_transition
from o1coder_gym.agents.records import read_proposals, read_transition, write_proposals, write_transition
from o1coder_gym.queries import Answer
from o1coder_gym.runs.seeds import digest
from o1coder_gym.types import PolicyRequest, Problem, State, Transition

Payload: TypeAlias = PolicyRequest | tuple[State, str] | tuple[Problem, State]
"""A request to the policy, the model or the scorer."""


def check_reply(payload: Payload, reply: Any) -> Answer:
    """Returns what a lane replied if it keeps its contract.

    Raises:
        PolicyError, ConformanceError, ScorerError: When it does not.
    """
    match payload:
        case PolicyRequest():
            return check_proposals(payload, reply)
        case (Problem(), state):
            return check_score(state, reply)
        case (state, _):
            return check_transition(state, reply)


def name_of(payload: Payload) -> str:
    """Returns a digest of what a request asks for."""
    match payload:
        case PolicyRequest(sampling=sampling):
            drawn = [sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens]
            return digest([payload.seed, payload.n, drawn])
        case (Problem(), State() as state):
            return digest(state.to_row())
        case (State() as state, action):
            return digest([state.to_row(), action])


def write_answer(answer: Answer) -> Any:
    """Returns an answer as a JSON-able value."""
    if isinstance(answer, tuple):
        return write_proposals(answer)
    return write_transition(answer) if isinstance(answer, Transition) else answer


def read_answer(payload: Payload, row: Any) -> Answer:
    """Reads what `write_answer` wrote of the answer to a payload."""
    match payload:
        case PolicyRequest():
            return read_proposals(row)
        case (State() as state, _):
            return read_transition(row, state)
        case _:
            return row
