"""A format of problem files: the fields that identify it, and the function that converts a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from o1coder_gym.problems.rows import ProblemRow


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a raw row, for rows without an id or split of their own.

    Attributes:
        group: Name of the file or set.
        index: Number of the row in it, from 0.
        split: Split that the source itself names, None if it does not.
    """

    group: str
    index: int
    split: str | None = None


Converter: TypeAlias = Callable[[Mapping[str, Any], Origin], ProblemRow]
"""Turns a row of a format into this project's; raises `ProblemFileError`, whose message names the field."""


@dataclass(frozen=True, slots=True)
class RowFormat:
    """A format of problem files.

    Attributes:
        fields: Names by which a row's format is told; empty: it is never told by them, only named.
        convert: Turns a row into this project's.
    """

    fields: frozenset[str]
    convert: Converter
