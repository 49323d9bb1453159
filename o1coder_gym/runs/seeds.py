"""Seeds by a stable hash: the same on every machine, in every batch, with any number of workers."""

from __future__ import annotations

from typing import Any

from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import State


def derive_seed(run_seed: int, state: State, count: int) -> int:
    """Returns the seed of a request, in [0, 2^63).

    Args:
        run_seed: Seed of the run.
        state: Where the request acts.
        count: Number of requests that the same search made in `state` before.
    """
    return _number([run_seed, state.problem_id, [[int(step.type), step.text] for step in state.steps], count])


def derive_stream(run_seed: int, *names: str) -> int:
    """Returns a seed in [0, 2^63) for a stream of random numbers with a name."""
    return _number([run_seed, *names])


def digest(value: Any) -> str:
    """Returns 16 hex digits that name a JSON-able value."""
    return content_hash(value, 8)


def _number(value: Any) -> int:
    return int(content_hash(value, 8), 16) >> 1
