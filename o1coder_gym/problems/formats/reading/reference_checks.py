"""A check that asks the reference: for benchmarks that ship inputs without outputs (EvalPlus).

The reference is part of the test code, so it runs where the test code runs, apart from the candidate, and
the candidate sees neither it nor what it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_PART_WEIGHT = 16
_LARGEST = 12 << 20
"""Most characters of an answer, each of its parts counted as sixteen; less than `codec.MAX_WEIGHT`."""

_TEMPLATE = """\
import copy

inf, nan = float("inf"), float("nan")
program = {reference!r}
inputs = {inputs!r}
tolerance = {tolerance!r}
largest = {largest!r}


def weight(value):
    total, rest = 0, [value]
    while rest and total <= largest:
        part = rest.pop()
        total += {part_weight!r} + (len(part) if isinstance(part, (str, bytes)) else 0)
        if isinstance(part, dict):
            rest += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set, frozenset)):
            rest += part
    return total


def same(got, expected):
    if isinstance(expected, float) or isinstance(got, float):
        if not isinstance(got, (int, float)) or not isinstance(expected, (int, float)):
            return False
        near = abs(got - expected) <= tolerance + 1e-7 * abs(expected)
        return got == expected or near or (got != got and expected != expected)
    if isinstance(expected, (list, tuple)):
        alike = type(got) is type(expected) and len(got) == len(expected)
        return alike and all(same(*pair) for pair in zip(got, expected))
    if isinstance(expected, dict):
        alike = isinstance(got, dict) and got.keys() == expected.keys()
        return alike and all(same(got[key], expected[key]) for key in expected)
    return got == expected


def check(candidate):
    names = {{"__name__": "reference"}}
    exec(program, names)
    for arguments in inputs:
        expected = names[{entry_point!r}](*copy.deepcopy(arguments))
        if weight(expected) > largest:
            continue
        got = candidate(*copy.deepcopy(arguments))
        assert {accept}, f"wrong answer for {{arguments!r:.200}}"
"""


def reference_check(
    *,
    reference: str,
    entry_point: str,
    inputs: Sequence[Sequence[Any]],
    tolerance: float,
    view: str = "",
    accept: str | None = None,
) -> str:
    """Returns the code of a ``check(candidate)`` that compares with the reference on each input.

    An input whose right answer is so large that no process hands it over (Mbpp/255 has five, of up to 1 GB)
    is left out, which the reference alone decides.

    Args:
        reference: Program that defines `entry_point`.
        entry_point: The function to compare.
        inputs: Arguments of each call; plain Python values.
        tolerance: Absolute tolerance for floats, > 0.
        view: The compared view of the two answers: ``"set"``, ``"bool"``, or the answers themselves.
        accept: Expression over `arguments`, `got`, `expected`, `tolerance` and the reference's `names`
            that holds for right answers, for questions with more than one.
    """
    return _TEMPLATE.format(
        reference=reference,
        entry_point=entry_point,
        inputs=[list(arguments) for arguments in inputs],
        tolerance=tolerance,
        largest=_LARGEST,
        part_weight=_PART_WEIGHT,
        accept=accept or f"same({view}(got), {view}(expected))",
    )
