"""Proposes inputs for a function: known ones first, then mutations and draws from inferred domains."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from typing import Any, TypeAlias

from o1coder_gym.tcg.inputs.domains import Domain
from o1coder_gym.tcg.inputs.inference import domain_of_annotation, infer_domain
from o1coder_gym.tcg.inputs.known import (
    Arguments,
    Parameter,
    compared_characters,
    constants,
    known_arguments,
    named_characters,
    parameters,
)
from o1coder_gym.tcg.inputs.preconditions import Restore, find_preconditions
from o1coder_gym.tcg.inputs.widening import with_characters, without_shape
from o1coder_gym.tcg.reading.literals import write_literal
from o1coder_gym.types import Problem

Proposer: TypeAlias = Callable[[Problem, str | None, int, int], tuple[tuple[str, ...], ...]]
"""Proposes inputs; see `propose_inputs`."""
Widen: TypeAlias = Callable[[Domain], Domain]
"""Changes an inferred domain."""

MAX_LITERAL = 2000
"""Longest literal of an input, in characters; longer ones say little more and cost more."""

_GUESSES = 12
_RELATED = 0.15
"""Share of the calls in which one argument is made a part of another: draws seldom are."""
_FALLBACK_ANNOTATIONS = ("int", "str", "List[int]", "List[str]", "List[List[int]]", "float", "Dict[str, int]")
_NAMES = {
    "int": ("n", "k", "num", "number", "x", "y", "i", "a", "b", "m", "limit", "size"),
    "str": ("s", "string", "text", "word", "sentence", "txt", "message"),
    "List[int]": ("lst", "arr", "nums", "numbers", "values", "list", "array", "l"),
    "List[List[int]]": ("grid", "matrix"),
    "List[str]": ("words", "strings"),
}


def propose_inputs(
    problem: Problem, reference: str | None, size: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Proposes inputs of a function.

    Args:
        problem: A function problem.
        reference: A solution; its constants and its signature are used, it is not run.
        size: How many inputs to propose.
        seed: Fixes the draw.

    Returns:
        Groups of distinct inputs, each the literal of a list of arguments, small ones first. Known inputs
        make one group. Where none is known each group is a guess what types the parameters have.
    """
    characters = compared_characters(reference or "")

    def widen(domain: Domain) -> Domain:
        return with_characters(domain, characters)

    return _propose(problem, reference, size, seed, widen, problem.prompt)


def propose_wider_inputs(
    problem: Problem, reference: str | None, size: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Proposes inputs without the shape that the known ones share: the question may be about just that.

    Args and result are those of `propose_inputs`.
    """
    compared, named = compared_characters(reference or ""), named_characters(reference or "")

    def widen(domain: Domain) -> Domain:
        return without_shape(with_characters(domain, compared), named)

    return _propose(problem, reference, size, seed, widen, "")


def _propose(
    problem: Problem, reference: str | None, size: int, seed: int, widen: Widen, question: str
) -> tuple[tuple[str, ...], ...]:
    rng = random.Random(seed)
    source = reference or ""
    special = constants(source)
    calls = known_arguments(problem, reference)
    if calls:
        models = [_CallModel(group, special, widen, question) for group in _by_arity(calls)]
        return (_literals(_near_known(calls, models, rng), size, len(calls)),)
    # Nothing is shown: each guess of types is a group of its own, and running them tells which one fits.
    guesses = _from_signature(problem, source, special, widen, rng)
    share = max(size // 4, 1)
    return tuple(_literals(guess, share, 0) for guess in guesses)


def _literals(stream: Iterator[Arguments], size: int, known: int) -> tuple[str, ...]:
    """Returns the first `size` different inputs; gives up on a small space after 4 × `size` draws.

    The first `known` keep their place, the others follow in the order of their size.
    """
    found: dict[str, int] = {}
    # Mutations of a small domain repeat; without the bound it would draw for ever.
    for arguments in islice(stream, 4 * size):
        try:
            text = write_literal(list(arguments))
        except ValueError:
            continue
        if len(text) <= MAX_LITERAL:
            found.setdefault(text, _size(arguments))
        if len(found) == size:
            break
    texts = list(found)
    # Small first: an input on which a program hangs takes those after it along (`execution.observe`).
    return (*texts[:known], *sorted(texts[known:], key=lambda text: (found[text], len(text))))


def _size(value: Any) -> int:
    """Returns a rough measure of a program's running time on a value."""
    match value:
        case int() | float():
            return int(min(abs(value), 1e18))
        case dict():
            return _size(list(value.items()))
        case list() | tuple() | set() | frozenset():
            return len(value) + max(map(_size, value), default=0)
        case str() | bytes():
            return len(value)
    return 0


def _near_known(
    calls: Sequence[Arguments], models: Sequence[_CallModel], rng: random.Random
) -> Iterator[Arguments]:
    """Yields the known calls, then mutations of them and of mutations."""
    yield from calls
    while True:
        yield from rng.choice(models).draw(rng)


def _by_arity(calls: Sequence[Arguments]) -> list[list[Arguments]]:
    groups: dict[int, list[Arguments]] = {}
    for call in calls:
        groups.setdefault(len(call), []).append(call)
    return list(groups.values())


class _CallModel:
    """Domains and preconditions of calls with one number of arguments; grows a pool of calls."""

    def __init__(
        self, calls: Sequence[Arguments], special: Sequence[object], widen: Widen, question: str
    ) -> None:
        self._domains = [widen(infer_domain(column, special)) for column in zip(*calls, strict=True)]
        self._preconditions: list[Restore] = find_preconditions(calls, question)
        self._pool = list(calls)

    def draw(self, rng: random.Random) -> Iterator[Arguments]:
        """Yields one new call, or none where it could not be made to satisfy the preconditions."""
        fresh = rng.random() < 0.3
        base = rng.choice(self._pool)
        touched = range(len(base)) if fresh else [rng.randrange(len(base)) for _ in range(rng.randint(1, 2))]
        call = list(base)
        for index in touched:
            domain = self._domains[index]
            call[index] = domain.sample(rng) if fresh else domain.mutate(call[index], rng)
        related = _related(tuple(call), rng) if rng.random() < _RELATED else tuple(call)
        restored = self._restore(related)
        if restored is not None:
            self._pool.append(restored)
            yield restored

    def _restore(self, call: Arguments) -> Arguments | None:
        try:
            for restore in self._preconditions:
                call = restore(call)
        except (TypeError, IndexError):
            return None
        return call


def _related(call: Arguments, rng: random.Random) -> Arguments:
    """Makes one argument a part or an item of another of its type; the call as it is where none fits."""
    parts = [
        (index, part)
        for index, value in enumerate(call)
        for other, whole in enumerate(call)
        if index != other
        for part in _parts_like(value, whole, rng)
    ]
    if not parts:
        return call
    index, part = rng.choice(parts)
    return (*call[:index], part, *call[index + 1 :])


def _parts_like(value: Any, whole: Any, rng: random.Random) -> Iterator[Any]:
    """Yields a slice as long as `value`, and an item, where they are of its type."""
    if not isinstance(whole, list | tuple | str) or not whole:
        return
    parts = [] if isinstance(whole, str) else [rng.choice(whole)]
    if isinstance(value, type(whole)):
        start = rng.randint(0, max(len(whole) - len(value), 0))
        parts.append(whole[start : start + len(value)])
    yield from (part for part in parts if _type(part) == _type(value))


def _type(value: Any) -> tuple[object, ...]:
    """Returns the type of a value and those of its items, however deep."""
    if isinstance(value, list | tuple | set | frozenset):
        return (type(value), frozenset(map(_type, value)))
    if isinstance(value, dict):
        return (dict, frozenset(map(_type, value)), frozenset(map(_type, value.values())))
    return (type(value),)


def _from_signature(
    problem: Problem, source: str, special: Sequence[object], widen: Widen, rng: random.Random
) -> list[Iterator[Arguments]]:
    """Returns streams of calls, one for each guess at the types of the parameters, likely ones first."""
    name = problem.entry_point or ""
    found = parameters(source, name) or parameters(problem.prompt, name) or []
    choices = [_guesses(parameter, special) for parameter in found if not parameter.optional]
    ranked = sorted(product(*map(enumerate, choices)), key=lambda guess: sum(rank for rank, _ in guess))
    return [_draws([widen(domain) for _, domain in guess], rng) for guess in ranked[:_GUESSES] if guess]


def _draws(domains: Sequence[Domain], rng: random.Random) -> Iterator[Arguments]:
    while True:
        yield tuple(domain.sample(rng) for domain in domains)


def _guesses(parameter: Parameter, special: Sequence[object]) -> list[Domain]:
    domain = domain_of_annotation(parameter.annotation, special)
    if domain is not None:
        return [domain]
    named = [kind for kind, names in _NAMES.items() if parameter.name.lower() in names]
    kinds = dict.fromkeys((*named, *_FALLBACK_ANNOTATIONS))
    guesses = (domain_of_annotation(kind, special) for kind in kinds)
    return [guess for guess in guesses if guess is not None]
