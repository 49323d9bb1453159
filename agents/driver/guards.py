"""Guards: checks and normalises, once, what agents, policies, models and scorers return.

Users write these objects. Numbers of numpy or torch, lists for tuples and integral floats are converted where
nothing is lost; everything else is a typed error, which ends its own task and no other.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeAlias, TypeVar, get_args

from o1coder_gym.errors import ConformanceError, O1CoderError, PolicyError, ScorerError
from o1coder_gym.types import (
    CaseResult,
    Finish,
    Outcome,
    Parting,
    PolicyRequest,
    Problem,
    Proposal,
    Sampling,
    Scored,
    SearchResult,
    State,
    Transition,
    Verdict,
)
from o1coder_gym.types.queries import (
    MOST_INPUTS,
    Advance,
    Answer,
    Ask,
    Execute,
    Executed,
    Propose,
    Query,
    Score,
)

Payload: TypeAlias = PolicyRequest | tuple[State, str] | tuple[Problem, State] | Execute
"""A request to the policy, the model or the scorer."""

T = TypeVar("T")

_ROUNDING = 1e-6
"""Largest log-probability accepted: rounding of a softmax can exceed 0 by this much."""

_MOST_QUERIES = 100_000
"""Queries of one turn; a generator of more is taken for one without an end."""

_FINISHES = frozenset(get_args(Finish)) - {"budget"}


class _Odd(Exception):
    """Raised for an unexpected value; the message names both the value and what was expected."""


def check_reply(payload: Payload, reply: Any) -> Answer:
    """Checks and normalises the reply of a lane.

    Raises:
        PolicyError, ConformanceError, ScorerError: When it breaks the contract.
    """
    match payload:
        case PolicyRequest():
            where = f"policy, {payload.problem.task_id}"
            return _guarded(PolicyError, where, lambda: _proposals(payload, reply))
        case Execute(state, inputs):
            where = f"model, {state.problem_id}"
            return _guarded(ConformanceError, where, lambda: _executed(len(inputs), reply))
        case (Problem(), State() as state):
            return _guarded(ScorerError, f"scorer, {state.problem_id}", lambda: _score(reply))
        case (State() as state, _):
            where = f"model, {state.problem_id}"
            return _guarded(ConformanceError, where, lambda: _transition(state, reply))


def check_queries(problem_id: str, queries: Any) -> list[Query]:
    """Checks and normalises a turn of an agent.

    Raises:
        ConformanceError: When the turn is empty, or holds a query that nobody can answer.
    """
    return _guarded(ConformanceError, problem_id, lambda: _queries(problem_id, queries))


def check_result(problem_id: str, result: Any) -> SearchResult:
    """Checks and normalises the result of an agent.

    Raises:
        ConformanceError: When it is not a result of this problem.
    """
    return _guarded(ConformanceError, problem_id, lambda: _result(problem_id, result))


def _guarded(error: type[O1CoderError], where: str, check: Callable[[], T]) -> T:
    """Runs a check; an exception inside the checked object becomes an error of that object."""
    try:
        return check()
    except _Odd as odd:
        raise error(f"{where}: {odd}") from None
    except Exception as odd:  # properties, iterators and operators of foreign objects may raise anything
        raise error(f"{where}: cannot be read: {type(odd).__name__}: {odd}") from odd


def _queries(problem_id: str, queries: Any) -> list[Query]:
    if not isinstance(queries, Iterable):
        raise _Odd(f"the agent failed: TypeError: a {_kind(queries)} is not a list of queries")
    # Read once, here: a lazy sequence could give other queries to whoever reads it a second time.
    turn = [_query(problem_id, query) for query in islice(queries, _MOST_QUERIES + 1)]
    if not turn:
        raise _Odd("the agent yielded an empty list of queries")
    if len(turn) > _MOST_QUERIES:
        raise _Odd(f"the agent yielded more than {_MOST_QUERIES:,} queries in one turn")
    return turn


def _query(problem_id: str, query: Any) -> Query:
    if isinstance(query, Ask):
        _text("a question", query.question)
        return Ask(query.question, _whole("n", query.n, 1), _sampling(query.sampling))
    if not isinstance(query, Propose | Advance | Score | Execute):
        raise _Odd(f"the agent asked for {query!r:.200}, which is not a query")
    state = query.state
    # Not isinstance: a subclass could hash or compare as it likes, and states are keys everywhere.
    if type(state) is not State or state.problem_id != problem_id:
        raise _Odd(f"the agent asked about {state!r:.200}, which is not a state of this problem")
    if isinstance(query, Propose):
        n, sampling = _whole("n", query.n, 1), _sampling(query.sampling)
        same = n is query.n and sampling is query.sampling
        return query if same else Propose(state, n, sampling)
    if isinstance(query, Advance):
        _text("an action", query.action)
    if isinstance(query, Execute):
        _executable(query)
    return query


def _executable(query: Execute) -> None:
    if query.state.code is None:
        raise _Odd("the agent asked to execute a state without a program")
    if type(query.inputs) is not tuple or not 1 <= len(query.inputs) <= MOST_INPUTS:
        raise _Odd(f"got inputs {query.inputs!r:.200}, expected a tuple of 1 to {MOST_INPUTS}")
    for given in query.inputs:
        _text("an input", given)
    if type(query.surroundings) is not int or query.surroundings < 0:
        raise _Odd(f"got surroundings {query.surroundings!r:.200}, expected a number from 0")


def _executed(inputs: int, given: Any) -> Executed:
    if not isinstance(given, Executed):
        raise _Odd(f"got a {_kind(given)}, expected an Executed")
    results = _cases(given.results)
    if len(results) != inputs:
        raise _Odd(f"got {len(results)} results of {inputs} inputs")
    return given if results is given.results else Executed(results)


_EXACT = (float, float, int, int)


def _sampling(sampling: Any) -> Sampling:
    if not isinstance(sampling, Sampling):
        raise _Odd(f"got a {_kind(sampling)}, expected a Sampling")
    # Samplings go into the digests of requests, where 1 and 1.0 are written differently.
    numbers = (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens)
    exact = sampling
    if tuple(map(type, numbers)) != _EXACT:
        exact = Sampling(
            _real("temperature", sampling.temperature),
            _real("top_p", sampling.top_p),
            _whole("top_k", sampling.top_k, 0),
            _whole("max_tokens", sampling.max_tokens, 1),
        )
    within = 0.0 <= exact.temperature < math.inf and 0.0 < exact.top_p <= 1.0
    if not within or exact.top_k < 0 or exact.max_tokens < 1:
        raise _Odd(f"got {exact}, expected temperature ≥ 0, top_p in (0, 1], top_k ≥ 0, max_tokens ≥ 1")
    return exact


def _result(problem_id: str, result: Any) -> SearchResult:
    if not isinstance(result, SearchResult):
        raise _Odd(f"the agent returned a {_kind(result)}, expected a SearchResult")
    # The answer is judged on hidden tests by this state: one of another problem would be judged as if it were
    # its.
    state = result.state
    if state is not None and (type(state) is not State or state.problem_id != problem_id):
        raise _Odd(f"the agent returned {state!r:.200}, which is not a state of this problem")
    partings = result.partings
    if type(partings) is not tuple or not all(isinstance(one, Parting) for one in partings):
        raise _Odd(f"the agent returned partings {partings!r:.80}, expected a tuple of Parting")
    value = _share(result.value)
    return result if value is result.value else replace(result, value=value)


def _proposals(request: PolicyRequest, proposals: Any) -> tuple[Proposal, ...]:
    if proposals is None or isinstance(proposals, str | bytes):
        raise _Odd(f"got a {_kind(proposals)}, expected a tuple of proposals")
    found = tuple(islice(proposals, request.n + 1))  # a generator may have no end
    if len(found) != request.n:
        more = " or more" if len(found) > request.n and not hasattr(proposals, "__len__") else ""
        raise _Odd(f"got {len(found)}{more} proposals, expected {request.n}")
    return tuple(map(_proposal, found))


def _proposal(given: Any) -> Proposal:
    if not isinstance(given, Proposal):
        raise _Odd(f"got a {_kind(given)}, expected a Proposal")
    # Proposals are written to the journal as JSON and read again: what JSON cannot carry would break a
    # resume.
    _text("a proposal", given.text)
    tokens = _whole("tokens", given.tokens, 0)  # more than were asked for are settled as they are
    if given.finish not in _FINISHES:
        raise _Odd(f"got finish {given.finish!r:.80}; a policy says 'stop' or 'length'")
    logprob = given.logprob
    if logprob is not None:
        logprob = logprob if type(logprob) is float else _real("a log-probability", logprob)
        if not -math.inf < logprob <= _ROUNDING:
            raise _Odd(f"got log-probability {logprob}, expected a finite one ≤ 0")
    ids = given.token_ids
    if type(ids) is not tuple or not all(type(token) is int for token in ids):
        ids = tuple(_whole("a token id", token, 0) for token in ids)
    prompt = _whole("prompt_tokens", given.prompt_tokens, 0)
    cached = _whole("cached_tokens", given.cached_tokens, 0)
    exact = (tokens, logprob, ids, prompt, cached)
    was = (given.tokens, given.logprob, given.token_ids, given.prompt_tokens, given.cached_tokens)
    # Nearly all objects are exact already: the same one is returned, and nothing is allocated.
    if all(map(operator.is_, exact, was)):
        return given
    return replace(
        given, tokens=tokens, logprob=logprob, token_ids=ids, prompt_tokens=prompt, cached_tokens=cached
    )


def _transition(state: State, given: Any) -> Transition:
    if not isinstance(given, Transition):
        raise _Odd(f"got a {_kind(given)}, expected a Transition")
    after = given.state
    if type(after) is not State or after.problem_id != state.problem_id:
        raise _Odd("the next state is not one of this problem")
    # s_{t+1} = s_t ∘ a_t: trees and journals rebuild states from their last steps.
    if not after.steps or after.steps[:-1] != state.steps:
        raise _Odd("the next state is not the state and one more step")
    terminated, truncated = _flag("terminated", given.terminated), _flag("truncated", given.truncated)
    # Agents read `done` and then bootstrap or not; both flags at once would say both.
    if terminated and truncated:
        raise _Odd("a transition is both terminated and truncated")
    _text("feedback", given.feedback)
    verdict = None if given.verdict is None else _verdict(given.verdict)
    reward, terms = _reward("the reward", given.reward), _terms(given.reward_terms)
    exact = (terminated, truncated, reward, verdict)
    was = (given.terminated, given.truncated, given.reward, given.verdict)
    if all(map(operator.is_, exact, was)) and terms is given.reward_terms:
        return given
    return Transition(after, reward, terminated, truncated, given.feedback, verdict, terms)


def _terms(terms: Any) -> Mapping[str, float]:
    if not isinstance(terms, Mapping):
        raise _Odd(f"got a {_kind(terms)} of reward terms, expected a mapping")
    # The fast path: all terms of our own model are floats already.
    if all(type(value) is float and not math.isinf(value) for value in terms.values()):
        return terms
    return {str(name): _reward(f"term {name}", value) for name, value in terms.items()}


def _reward(name: str, value: Any) -> float:
    """Reads a reward: finite, or NaN if it is unknown."""
    number = value if type(value) is float else _real(name, value)
    if math.isinf(number):
        raise _Odd(f"{name} is {number}, expected a finite number, or NaN")
    return number


def _verdict(verdict: Any) -> Verdict:
    if not isinstance(verdict, Verdict):
        raise _Odd(f"got a {_kind(verdict)}, expected a Verdict")
    _text("a verdict's error", verdict.error)
    seconds, tests = _reward("cpu_s", verdict.cpu_s), _cases(verdict.tests)
    if seconds is verdict.cpu_s and tests == verdict.tests and not math.isnan(seconds):
        return verdict
    return replace(verdict, cpu_s=0.0 if math.isnan(seconds) else seconds, tests=tests)


def _cases(results: Iterable[Any]) -> tuple[CaseResult, ...]:
    found = tuple(results)
    for one in found:
        if not isinstance(one, CaseResult) or not isinstance(one.outcome, Outcome):
            raise _Odd(f"got {one!r:.80} among the tests, which is not a CaseResult")
        _text("a test's error", one.error)
        if one.got is not None:
            _text("what a test got", one.got)
    return found


def _score(value: Any) -> float:
    """Reads a score, and its cost if the scorer reports one."""
    if not isinstance(value, Scored):
        return _share(value)
    tokens = _whole("tokens", value.tokens, 0)
    return Scored(_share(float(value)), tokens) if tokens else _share(float(value))


def _share(value: Any) -> float:
    number = value if type(value) is float else _real("a value", value)
    if not 0.0 <= number <= 1.0:
        raise _Odd(f"got {number!r}, expected a number in [0, 1]")
    return number


def _whole(name: str, value: Any, least: float) -> int:
    """Reads an integer: a Python, numpy or torch one, or a float without a fractional part."""
    # Not isinstance: a bool is an int to Python, and True as a number of tokens would be written as true.
    if type(value) is not int:
        number = _real(name, value)
        if not number.is_integer():
            raise _Odd(f"{name} is {value!r:.80}, expected a whole number")
        value = operator.index(value) if hasattr(value, "__index__") else int(number)
    if value < least:
        raise _Odd(f"{name} is {value}, expected at least {least}")
    return value


def _real(name: str, value: Any) -> float:
    """Reads a number; refuses an array of one element, for other shapes would have no clear meaning."""
    if value is None or isinstance(value, str | bytes | bytearray) or getattr(value, "ndim", 0):
        raise _Odd(f"{name} is {value!r:.80}, expected a number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Odd(f"{name} is {value!r:.80}, expected a number") from None


def _flag(name: str, value: Any) -> bool:
    if type(value) is bool:
        return value
    if _real(name, value) not in (0.0, 1.0):
        raise _Odd(f"{name} is {value!r:.80}, expected true or false")
    return bool(value)


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _Odd(f"{name} is a {_kind(value)}, expected text")


def _kind(value: Any) -> str:
    return type(value).__name__
