"""The text space: any `str` up to a length, sampled as printable ASCII."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import Space

PRINTABLE = np.array(list(string.digits + string.ascii_letters + string.punctuation + " \n"))
SAMPLE_CHARS = 64
"""Longest text that `UnicodeText.sample` draws."""


class UnicodeText(Space[str]):
    """All strings of at most `max_length` characters.

    Gymnasium's own `Text` enumerates its character set, which for Unicode takes seconds and samples lone
    surrogates. A subclass of it would be mangled silently by `AsyncVectorEnv(shared_memory=True)`; this
    space is refused there with an error, and works with ``shared_memory=False``.
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        """Args: longest text in characters, ≥ 1; seed of `sample`."""
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        self.max_length = max_length
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Draws a non-empty printable text of at most `SAMPLE_CHARS` characters; masks mean nothing here."""
        length = self.np_random.integers(1, min(self.max_length, SAMPLE_CHARS), endpoint=True)
        return "".join(self.np_random.choice(PRINTABLE, size=length).tolist())

    def contains(self, x: Any) -> bool:
        """Tells whether `x` is a text that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Texts are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Reads what `to_jsonable` wrote."""
        return [str(text) for text in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        return hash((UnicodeText, self.max_length))

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"
