"""Seeds from a stable hash: independent of the machine, the batch and the number of workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import State


def derive_seed(run_seed: int, state: State, count: int) -> int:
    """Returns the seed of a request, in [0, 2^63).

    Args:
        run_seed: Seed of the run, for its searches alone: whatever else samples in the same states gives a
            `derive_stream` of its own, or it would draw the same.
        state: State in which the request samples.
        count: Number of earlier requests of the same search in `state`.
    """
    return _number([run_seed, state.problem_id, [[int(step.type), step.text] for step in state.steps], count])


def derive_stream(run_seed: int, *names: str | int) -> int:
    """Returns a seed in [0, 2^63) for a named random stream, such as a purpose and an index.

    Replicates get their seeds here and never by adding: of runs with the seeds 0 and 1, ``seed + index``
    would make all but one replicate the same.
    """
    return _number([run_seed, *names])


SeedRule: TypeAlias = Callable[..., int]
"""(run seed, names…) → seed, as `derive_stream` and `added_seed`."""


def added_seed(run_seed: int, *names: str | int) -> int:
    """Adds the indices to the run's seed: the rule of earlier versions, by which their runs are finished."""
    return run_seed + sum(name for name in names if isinstance(name, int))


def digest(value: Any) -> str:
    """Returns 16 hex digits that name a JSON-able value."""
    return content_hash(value, 8)


def _number(value: Any) -> int:
    # 64 bits of the hash, less one: random generators and servers take a signed number.
    return int(content_hash(value, 8), 16) >> 1
