"""The clauses of the contracts that the conformance kit checks, and the error of a broken one.

What an object can reach: the texts that anybody who holds it could read, by following references.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FrameType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from o1coder_gym.errors import ConformanceError

CLAUSES: Mapping[str, str] = MappingProxyType(
    {
        "env.space": "every observation lies in the observation space",
        "env.info": "info has the documented keys, at reset and at every step",
        "env.json": "info can be written as JSON",
        "env.end": "an episode is terminated exactly when its info has an outcome",
        "env.reward": "a reward is a number within its bounds; NaN only when the judge itself failed",
        "env.success": "is_success is true exactly when the outcome is pass",
        "env.seed": "equal seeds and actions give equal observations, rewards and infos",
        "env.fresh": "no two calls return the same mutable object",
        "env.clone": "a clone and a restored state follow the trajectory of the original",
        "env.parent": "what a clone does leaves the original untouched",
        "env.close": "close may be called again",
        "policy.count": "a request for n actions is answered by n proposals, in order",
        "policy.text": "a proposal is a Proposal that holds text",
        "policy.tokens": "a proposal has 0 to max_tokens tokens",
        "policy.logprob": "a log-probability is None or a finite number of at most 0",
        "policy.seed": "equal requests are answered equally",
        "policy.batch": "an answer does not depend on what else is in the batch",
        "scorer.count": "every item gets one score, in order",
        "scorer.range": "a score is a number in [0, 1]",
        "scorer.pure": "a score does not depend on the batch, its order or earlier calls",
        "agent.generator": "calling an agent gives a generator",
        "agent.query": "an agent yields non-empty lists of Propose, Ask, Advance, Score or Execute",
        "agent.state": "an agent acts in unfinished states it was given, or in one with a note of its own",
        "agent.error": "an agent raises nothing, also when the budget answers it in part",
        "agent.budget": "after BudgetExhausted an agent returns at once",
        "agent.result": "the result is a program that the agent was shown, or none, valued in [0, 1]",
        "agent.seed": "equal answers lead to equal queries and results",
        "hidden": "nothing hidden can be reached from the object or is part of what it returns",
    }
)
"""Clauses by the id that `ConformanceError` names."""


def require(condition: bool, clause: str, detail: str = "") -> None:
    """Raises `ConformanceError` for `clause` unless `condition` holds."""
    if not condition:
        raise broken(clause, detail)


def broken(clause: str, detail: str = "") -> ConformanceError:
    """Returns the error for a clause: its id, its sentence, and what was found."""
    return ConformanceError(f"{clause}: {CLAUSES[clause]}" + (f"; {detail}" if detail else ""))


def require_nothing_hidden(roots: Iterable[Any], hidden: Sequence[str]) -> None:
    """Raises `ConformanceError` when a hidden text can be reached from `roots`."""
    if hidden and (found := find_text(roots, hidden)) is not None:
        raise broken("hidden", f"found {found[:80]!r}")


def find_text(roots: Iterable[Any], needles: Sequence[str]) -> str | None:
    """Returns the first needle that is part of a text reachable from `roots`, None if none is.

    Follows attributes, slots, containers, classes, closures and constants of functions, whatever they are
    called. It stops at modules: what they hold belongs to the process, not to the objects.
    """
    for text in reachable_texts(roots):
        for needle in needles:
            if needle in text:
                return needle
    return None


def reachable_texts(roots: Iterable[Any]) -> Iterator[str]:
    """Yields every text reachable from `roots`; bytes are read as UTF-8."""
    for thing in reachable(roots):
        if isinstance(thing, str):
            yield thing
        elif isinstance(thing, bytes | bytearray):
            yield thing.decode(errors="replace")


def reachable(roots: Iterable[Any]) -> Iterator[Any]:
    """Yields every object reachable from `roots`, themselves included, each once."""
    # By id, and the object kept: a freed id could be reused by another object during the walk.
    seen: dict[int, Any] = {}
    front = list(roots)
    while front:
        thing = front.pop()
        if id(thing) in seen or isinstance(thing, ModuleType):
            continue
        seen[id(thing)] = thing
        yield thing
        front.extend(_parts(thing))


def _parts(thing: Any) -> list[Any]:
    if isinstance(thing, FunctionType):
        constants = thing.__code__.co_consts
        return [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__, constants]
    if isinstance(thing, FrameType):
        return list(thing.f_locals.values())
    return gc.get_referents(thing)
