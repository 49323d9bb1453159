"""What generators are asked, one problem or many at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from o1coder_gym.types import GeneratedTests, Problem
from o1coder_gym.types.protocols import TestGenerator

SolutionSource: TypeAlias = Callable[[Problem], Sequence[str]]
"""Programs that attempt a problem, right or wrong: the voters of mode B."""


@dataclass(frozen=True, slots=True)
class TestRequest:
    """Asks for tests of one problem.

    Attributes:
        problem: The question; its public tests may be used.
        n: How many tests at most, ≥ 1.
        reference: A solution (mode A: question and solution); None in mode B (question only).
        seed: Fixes the draw.
    """

    problem: Problem
    n: int
    reference: str | None = None
    seed: int = 0


@runtime_checkable
class BatchGenerator(TestGenerator, Protocol):
    """A generator that makes tests for many problems in one model batch and one judge batch."""

    def generate(
        self, problem: Problem, n: int, reference: str | None = None, seed: int = 0
    ) -> GeneratedTests:
        """Answers one request."""
        return self.generate_batch([TestRequest(problem, n, reference, seed)])[0]

    def generate_batch(self, requests: Sequence[TestRequest], /) -> list[GeneratedTests]:
        """Answers all requests, in order."""
        ...


def generate_all(generator: TestGenerator, requests: Sequence[TestRequest]) -> list[GeneratedTests]:
    """Answers all requests with any generator, in batches if it knows how."""
    if isinstance(generator, BatchGenerator):
        return generator.generate_batch(requests)
    return [
        generator.generate(request.problem, request.n, request.reference, request.seed)
        for request in requests
    ]
