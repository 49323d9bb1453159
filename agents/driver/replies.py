"""Requests and answers in the journal: digests of requests, and `read_answer(write_answer(a)) == a`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from o1coder_gym.agents.driver.guards import Payload
from o1coder_gym.runs.seeds import digest
from o1coder_gym.types import (
    ActionType,
    CaseResult,
    Outcome,
    PolicyRequest,
    Problem,
    Proposal,
    Scored,
    State,
    Step,
    Transition,
    Verdict,
)
from o1coder_gym.types.queries import Answer, Execute, Executed


def name_of(payload: Payload) -> str:
    """Returns a digest of a request, 16 hex digits."""
    match payload:
        case Execute(state, inputs, surroundings):
            # as the name of an execution was before there were other surroundings
            return digest([state.to_row(), list(inputs), *([surroundings] if surroundings else [])])
        case PolicyRequest(sampling=sampling):
            # Problem and state are in the seed already, which `derive_seed` makes of them.
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
    if isinstance(answer, Executed):
        return [[one.outcome.value, one.got, one.error] for one in answer.results]
    if isinstance(answer, Transition):
        return write_transition(answer)
    return write_score(answer) if isinstance(answer, float) else answer


def write_score(score: float) -> Any:
    """Returns a score as JSON, with its cost in tokens if the score has one; `read_score` is the inverse."""
    return [float(score), score.tokens] if isinstance(score, Scored) else float(score)


def read_score(row: Any) -> float:
    """Reads what `write_score` wrote."""
    return Scored(*row) if isinstance(row, list) else float(row)


def read_answer(payload: Payload, row: Any) -> Answer:
    """Reads what `write_answer` wrote of the answer to a payload."""
    match payload:
        case Execute():
            return Executed(tuple(CaseResult(Outcome(outcome), got, error) for outcome, got, error in row))
        case PolicyRequest():
            return read_proposals(row)
        case (State() as state, _):
            return read_transition(row, state)
        case _:
            return read_score(row) if isinstance(row, list) else row


def write_proposals(proposals: Sequence[Proposal]) -> list[list[Any]]:
    """Returns one JSON-able list per proposal."""
    return [
        [p.text, p.tokens, p.logprob, list(p.token_ids), p.finish, p.prompt_tokens, p.cached_tokens]
        for p in proposals
    ]


def read_proposals(row: Sequence[Sequence[Any]]) -> tuple[Proposal, ...]:
    """Reads what `write_proposals` wrote."""
    return tuple(
        # Rows of earlier versions end before the prompt's tokens: the defaults of `Proposal` stand for them.
        Proposal(text, tokens, logp, tuple(ids), end, *prompt)
        for text, tokens, logp, ids, end, *prompt in row
    )


def write_transition(transition: Transition) -> dict[str, Any]:
    """Returns a JSON-able dict; of the state only the last step, NaN as null.

    Author and finish are left out: the session finds them again from the samples.
    """
    # The state before is known to whoever reads the row: it is part of the request. So rows do not grow with
    # depth.
    step = transition.state.steps[-1]
    return {
        "step": [int(step.type), step.text],
        # JSON has no NaN; a masked or missing reward must come back as the NaN that it was.
        "reward": _null_if_nan(transition.reward),
        "terminated": transition.terminated,
        "truncated": transition.truncated,
        "feedback": transition.feedback,
        "verdict": write_verdict(transition.verdict) if transition.verdict else None,
        "terms": {name: _null_if_nan(value) for name, value in transition.reward_terms.items()},
    }


def read_transition(row: Mapping[str, Any], state: State) -> Transition:
    """Reads what `write_transition` wrote of an action taken in `state`."""
    kind, text = row["step"]
    return Transition(
        state=state.then(Step(ActionType(kind), text)),
        reward=_nan_if_null(row["reward"]),
        terminated=row["terminated"],
        truncated=row["truncated"],
        feedback=row["feedback"],
        verdict=read_verdict(row["verdict"]) if row["verdict"] else None,
        reward_terms={name: _nan_if_null(value) for name, value in row["terms"].items()},
    )


def write_verdict(verdict: Verdict) -> dict[str, Any]:
    """Returns a JSON-able dict."""
    return {
        "outcome": verdict.outcome.value,
        "tests": [[test.outcome.value, test.got, test.error] for test in verdict.tests],
        "cpu_s": verdict.cpu_s,
        "error": verdict.error,
    }


def read_verdict(row: Mapping[str, Any]) -> Verdict:
    """Reads what `write_verdict` wrote."""
    tests = tuple(CaseResult(Outcome(outcome), got, error) for outcome, got, error in row["tests"])
    return Verdict(Outcome(row["outcome"]), tests, row["cpu_s"], row["error"])


def _null_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nan_if_null(value: float | None) -> float:
    return math.nan if value is None else value
