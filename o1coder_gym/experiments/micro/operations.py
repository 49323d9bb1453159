"""The vocabulary of micro-problems: the stages of a pipeline over a list of integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Values = list[int]


@dataclass(frozen=True, slots=True)
class Operation:
    """One stage of a pipeline; ``{k}`` in its texts stands for its number.

    Attributes:
        phrase: How a question asks for it.
        idea: How a define step names it.
        expression: The Python expression of a refine step: of ``v`` for filters and maps, else of ``values``.
        line: The line of code around the expression, ``{e}``.
        apply: What it does; the second argument is its number.
        confusion: The operation that it is mistaken for.
        slip: How often the traces of the tiny model's training mistake it, in [0, 1].
        numbered: Whether it takes a number.
    """

    phrase: str
    idea: str
    expression: str
    line: str
    apply: Callable[[Values, int], Any]
    confusion: str
    slip: float
    numbered: bool = False


_FILTER, _MAP = "values = [v for v in values if {e}]", "values = [{e} for v in values]"
_WHOLE, _RETURN = "values = {e}", "return {e}"
_RARE, _OFTEN = 0.05, 0.6

STAGES: Mapping[str, Operation] = MappingProxyType(
    {
        "even": Operation(
            "keep the even values", "keep even", "v % 2 == 0", _FILTER,
            lambda values, k: [v for v in values if v % 2 == 0], "odd", _RARE,
        ),
        "odd": Operation(
            "keep the odd values", "keep odd", "v % 2 == 1", _FILTER,
            lambda values, k: [v for v in values if v % 2 == 1], "even", _OFTEN,
        ),
        "positive": Operation(
            "keep the positive values", "keep positive", "v > 0", _FILTER,
            lambda values, k: [v for v in values if v > 0], "negative", _RARE,
        ),
        "negative": Operation(
            "keep the negative values", "keep negative", "v < 0", _FILTER,
            lambda values, k: [v for v in values if v < 0], "positive", _OFTEN,
        ),
        "above": Operation(
            "keep the values above {k}", "keep above {k}", "v > {k}", _FILTER,
            lambda values, k: [v for v in values if v > k], "below", _RARE, True,
        ),
        "below": Operation(
            "keep the values below {k}", "keep below {k}", "v < {k}", _FILTER,
            lambda values, k: [v for v in values if v < k], "above", _RARE, True,
        ),
        "double": Operation(
            "double each", "double", "v * 2", _MAP,
            lambda values, k: [v * 2 for v in values], "square", _RARE,
        ),
        "square": Operation(
            "square each", "square", "v * v", _MAP,
            lambda values, k: [v * v for v in values], "double", _OFTEN,
        ),
        "add": Operation(
            "add {k} to each", "add {k}", "v + {k}", _MAP,
            lambda values, k: [v + k for v in values], "subtract", _RARE, True,
        ),
        "subtract": Operation(
            "subtract {k} from each", "subtract {k}", "v - {k}", _MAP,
            lambda values, k: [v - k for v in values], "add", _RARE, True,
        ),
        "sort": Operation(
            "sort them", "sort", "sorted(values)", _WHOLE,
            lambda values, k: sorted(values), "reverse", _OFTEN,
        ),
        "reverse": Operation(
            "reverse their order", "reverse", "values[::-1]", _WHOLE,
            lambda values, k: values[::-1], "sort", _RARE,
        ),
    }
)  # fmt: skip
"""What may stand in the middle of a pipeline."""

ENDS: Mapping[str, Operation] = MappingProxyType(
    {
        "list": Operation(
            "return the list", "return list", "values", _RETURN, lambda values, k: values, "sum", 0.0,
        ),
        "sum": Operation(
            "return the sum", "return sum", "sum(values)", _RETURN,
            lambda values, k: sum(values), "count", _RARE,
        ),
        "count": Operation(
            "return how many are left", "return count", "len(values)", _RETURN,
            lambda values, k: len(values), "sum", _RARE,
        ),
        "largest": Operation(
            "return the largest or 0", "return largest", "max(values, default=0)", _RETURN,
            lambda values, k: max(values, default=0), "smallest", _RARE,
        ),
        "smallest": Operation(
            "return the smallest or 0", "return smallest", "min(values, default=0)", _RETURN,
            lambda values, k: min(values, default=0), "largest", _OFTEN,
        ),
    }
)  # fmt: skip
"""What may stand at the end of a pipeline."""

OPERATIONS: Mapping[str, Operation] = MappingProxyType({**STAGES, **ENDS})


@dataclass(frozen=True, slots=True)
class Stage:
    """An operation with its number.

    Attributes:
        name: A key of `OPERATIONS`.
        k: Its number, 0 where it takes none.
    """

    name: str
    k: int = 0

    @property
    def operation(self) -> Operation:
        """What it does."""
        return OPERATIONS[self.name]

    @property
    def phrase(self) -> str:
        """How a question asks for it."""
        return self.operation.phrase.format(k=self.k)

    @property
    def idea(self) -> str:
        """How a define step names it."""
        return self.operation.idea.format(k=self.k)

    @property
    def expression(self) -> str:
        """Its Python expression."""
        return self.operation.expression.format(k=self.k)

    @property
    def code(self) -> str:
        """Its line of Python."""
        return self.operation.line.format(e=self.expression)

    def mistaken(self) -> Stage:
        """Returns the stage that a slip puts in place of this one."""
        return Stage(self.operation.confusion, self.k)


Pipeline = tuple[Stage, ...]
"""Stages in order; the last one is of `ENDS`."""


def run(pipeline: Pipeline, values: Sequence[int]) -> Any:
    """Returns a pipeline's output on a list."""
    result: Any = list(values)
    for stage in pipeline:
        result = stage.operation.apply(result, stage.k)
    return result


def program(pipeline: Pipeline) -> str:
    """Returns a pipeline as a Python program that defines ``solve``."""
    return "\n".join(["def solve(values):", *(f"    {stage.code}" for stage in pipeline)])
