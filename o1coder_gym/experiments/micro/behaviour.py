"""The behaviour of a pipeline: its outputs on a fixed, wide set of inputs.

Two questions may differ in every word and ask for one function ("sort them, return the sum" and "return the
sum"), so problems are told apart by what they compute.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import Any

from o1coder_gym.experiments.micro.operations import Pipeline
from o1coder_gym.runs.provenance import content_hash


def _probes() -> tuple[tuple[int, ...], ...]:
    generator = random.Random(20)
    # Filters and maps work value by value: over every value in reach, singletons tell all of them apart.
    singletons = [(value,) for value in (*range(-40, 41), -1000, 1000)]
    # Sorting, reversing and the ends need orders, duplicates and lengths.
    drawn = [_draw(generator, length) for length in range(2, 13) for _ in range(16)]
    repeated = [tuple(generator.choices(_draw(generator, 3), k=length)) for length in range(4, 24)]
    long = [_draw(generator, length) for length in range(20, 61, 5)]
    # The most telling first: comparisons end at the first difference.
    return (*drawn, *repeated, *long, *singletons, ())


def _draw(generator: random.Random, length: int) -> tuple[int, ...]:
    return tuple(generator.randint(-30, 30) for _ in range(length))


PROBES: tuple[tuple[int, ...], ...] = _probes()
"""The inputs: empty, every value from −40 to 40 alone, short, long, with duplicates, in any order."""


def outputs(pipeline: Pipeline) -> Iterator[Any]:
    """Yields a pipeline's output on each probe."""
    calls = [(stage.operation.apply, stage.k) for stage in pipeline]
    for probe in PROBES:
        result: Any = list(probe)
        for apply, k in calls:
            result = apply(result, k)
        yield result


@lru_cache(maxsize=1 << 15)
def behaviour(pipeline: Pipeline) -> str:
    """Returns the SHA-256 of a pipeline's outputs on `PROBES`; equal for pipelines that compute the same."""
    return content_hash(list(outputs(pipeline)))


@lru_cache(maxsize=1 << 15)
def is_irreducible(pipeline: Pipeline) -> bool:
    """Whether every stage matters, and the input does.

    False where a shorter pipeline of the same stages computes the same ("sort them" before a sum), or where
    all inputs give one output ("keep the even values, keep the odd values").
    """
    return not _is_constant(pipeline) and not any(_agree(pipeline, other) for other in _shorter(pipeline))


def _is_constant(pipeline: Pipeline) -> bool:
    found = outputs(pipeline)
    first = next(found)
    return all(output == first for output in found)


def _shorter(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Yields a pipeline with some of its stages left out, the end never."""
    *stages, end = pipeline
    for length in range(len(stages)):
        for kept in combinations(stages, length):
            yield (*kept, end)


def _agree(one: Pipeline, two: Pipeline) -> bool:
    return all(left == right for left, right in zip(outputs(one), outputs(two), strict=True))
