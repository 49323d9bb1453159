"""Which split a micro-problem belongs to: a property of what it computes, the same for every seed.

The hash of a behaviour decides. So no draw, of whatever size and seed, shares a function with another split,
and what is held out from one training is held out from all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.experiments.micro.behaviour import behaviour
from o1coder_gym.experiments.micro.operations import Pipeline

TRACES = "traces"
"""The split that the tiny model is trained on before it meets any problem."""

SHARES: Mapping[str, int] = MappingProxyType({"test": 12, "validation": 8, "train": 35, TRACES: 45})
"""Percent of all behaviours, by split."""

HELD_OUT = ("test", "validation")
"""Splits that nothing is trained on."""


def split_of(pipeline: Pipeline) -> str:
    """Returns the split that a pipeline's behaviour belongs to."""
    place = int(behaviour(pipeline), 16) % sum(SHARES.values())
    for split, share in SHARES.items():
        if place < share:
            return split
        place -= share
    raise AssertionError("the place is below the sum of all shares")


def is_held_out(pipeline: Pipeline) -> bool:
    """Whether a pipeline computes what a test or validation problem may ask for."""
    return split_of(pipeline) in HELD_OUT


def check_split(split: str) -> None:
    """Raises `UnknownNameError` for a name that is not a split."""
    if split not in SHARES:
        raise UnknownNameError("split of micro-problems", split, SHARES)
