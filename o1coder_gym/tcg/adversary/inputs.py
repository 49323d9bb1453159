"""Attackers: they propose inputs on which programs may differ, most promising first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest
from typing import Protocol

from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.tcg.adversary.corners import corner_inputs
from o1coder_gym.tcg.inputs.known import Arguments, known_arguments, known_stdin
from o1coder_gym.tcg.inputs.proposals import propose_inputs, propose_wider_inputs
from o1coder_gym.tcg.inputs.stdin import propose_stdin
from o1coder_gym.tcg.reading.literals import read_literal, write_literal
from o1coder_gym.tcg.reading.parsing import parse_tests
from o1coder_gym.types import Problem, TestCase
from o1coder_gym.types.protocols import TestGenerator

_HINTS = 8
"""Programs whose constants and signatures are used; more say little that is new."""
_GUESSED = 4
"""Inputs from whose edges corner cases are made, where a question shows none."""
_FIRST, _GROWTH, _MOST = 32, 2, 512
"""Inputs of the first batch, how much longer each next one is, and the longest."""


class Attacker(Protocol):
    """Proposes inputs of a problem, endlessly or until it runs out."""

    def __call__(self, problem: Problem, programs: Sequence[str], seed: int, /) -> Iterator[tuple[str, ...]]:
        """Yields batches.

        Args:
            problem: The question.
            programs: Those to be parted; what they mention may part them.
            seed: Fixes the draw.
        """
        ...


def by_mutation(problem: Problem, programs: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
    """Proposes mutations of the question's inputs, with constants of the programs (no model).

    Half of a batch are draws, equal parts of each program's view: its constants, the characters that it
    compares with, its signature; and, where inputs are shown, a part without the shape that they share. The
    other half are corner cases.
    """
    views = programs[:_HINTS]
    corners = corner_inputs(_shown_calls(problem, views, seed), views, problem.prompt, seed)
    size = _FIRST
    # Growing batches: most programs differ on the first few inputs, the rest justify fewer, larger batches.
    for turn in range(1 << 20):
        edges = tuple(islice(corners, size // 2))
        # Another seed each turn; the same would propose the same inputs.
        drawn = _draw(problem, views, size - len(edges), derive_stream(seed, "attack", turn))
        if not drawn:
            return
        yield tuple(dict.fromkeys(_mixed((drawn, edges))))
        size = min(_GROWTH * size, _MOST)


def by_generator(generator: TestGenerator, tests: int = 16) -> Attacker:
    """Returns an attacker that asks a test generator, e.g. a language model; its outputs do not count."""

    def propose(problem: Problem, programs: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
        made = generator.generate(problem, tests, None, seed)
        if found := _inputs_of(problem, made.tests):
            yield found

    return propose


def known_inputs(problem: Problem) -> tuple[str, ...]:
    """Returns the inputs that a question and its public tests show, as texts."""
    calls = (write_literal(list(arguments)) for arguments in known_arguments(problem))
    return (*calls, *known_stdin(problem))


def written_inputs(problem: Problem, drafts: Sequence[str]) -> tuple[str, ...]:
    """Returns the inputs of the tests that a language model wrote; its outputs do not count."""
    return _inputs_of(
        problem, tuple(test for text in drafts for test in parse_tests(text, problem.entry_point).tests)
    )


def _inputs_of(problem: Problem, tests: tuple[TestCase, ...]) -> tuple[str, ...]:
    return known_inputs(replace(problem, prompt="", public_tests=tests))


def both(first: Attacker, second: Attacker) -> Attacker:
    """Returns an attacker whose batches come from two in turn."""

    def propose(problem: Problem, programs: Sequence[str], seed: int) -> Iterator[tuple[str, ...]]:
        pairs = zip_longest(first(problem, programs, seed), second(problem, programs, seed), fillvalue=())
        yield from (batch for batch in chain.from_iterable(pairs) if batch)

    return propose


def _shown_calls(problem: Problem, programs: Sequence[str], seed: int) -> Sequence[Arguments]:
    """Returns the calls that a question shows; if it shows none, calls that its signature allows."""
    if problem.entry_point is None:
        return ()
    if shown := known_arguments(problem):
        return shown
    guesses = propose_inputs(problem, next(iter(programs), None), 4 * _GUESSED, seed)
    return [tuple(read_literal(text)) for texts in guesses[:1] for text in texts[:_GUESSED]]


def _draw(problem: Problem, programs: Sequence[str], size: int, seed: int) -> tuple[str, ...]:
    """Returns inputs of several draws, mixed."""
    if problem.entry_point is None:
        return tuple(propose_stdin(problem, size, seed))
    views = [*programs] or [None]
    # Rounded up, and cut to `size` at the end.
    share = -(-size // len(views))
    # Of its own for each view: equal draws of like views would be dropped as repetitions.
    drawn = [
        _mixed(propose_inputs(problem, view, share, derive_stream(seed, "view", place)))
        for place, view in enumerate(views)
    ]
    if known_inputs(problem):
        drawn.append(_mixed(propose_wider_inputs(problem, views[0], max(share // 2, 4), seed)))
    return tuple(islice(dict.fromkeys(_mixed(drawn)), size))


def _mixed(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Returns the first of each group, then the second of each, and so on."""
    turns = chain.from_iterable(zip_longest(*groups))
    return tuple(one for one in turns if one is not None)
