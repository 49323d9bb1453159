"""Equality of standard outputs: texts are cut into lines and tokens, and tokens compared.

The work is bounded by the bytes of both texts, and what is kept in memory by the expected one: lines are
counted before they are cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from typing import TypeAlias

SameToken: TypeAlias = Callable[[str, str], bool]
SameLine: TypeAlias = Callable[[str, str], bool]

_MAX_NUMBER = 400
"""Characters of a number that is compared by its value; a longer one is text."""
# each digit can match in one way only: a token of a million digits must not take quadratic time
_DECIMAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_TOKEN = re.compile(r"\S+")
_BLANK_LINES = re.compile(r"\n\s*+")


def same_stdout(got: str, expected: str, tol: float | None = None) -> bool:
    """Whether two standard outputs agree: the same tokens on the same lines, numbers by their value.

    Args:
        got: The program's output.
        expected: The expected output.
        tol: Absolute and relative tolerance of tokens that are written as floats in `expected`; None means
            equal numbers.
    """
    same_token = same_number if tol is None else partial(near_number, absolute=tol, relative=tol)
    return by_lines(got, expected, partial(same_tokens, same_token=same_token))


def exactly(got: str, expected: str) -> bool:
    """Whether two texts are the same, character by character."""
    return got == expected


def by_lines(got: str, expected: str, same_line: SameLine) -> bool:
    """Whether two texts agree line by line; blank lines before and after all others do not count."""
    got, expected = got.strip(), expected.strip()
    if got == expected:
        return True
    # Counted before they are cut: a program may print millions of lines where three are expected.
    if got.count("\n") != expected.count("\n"):
        return False
    return all(map(same_line, got.split("\n"), expected.split("\n")))


def by_filled_lines(got: str, expected: str, same_line: SameLine) -> bool:
    """Whether two texts agree line by line, wherever they have blank lines."""
    return by_lines(_BLANK_LINES.sub("\n", got), _BLANK_LINES.sub("\n", expected), same_line)


def by_tokens(got: str, expected: str, same_token: SameToken) -> bool:
    """Whether two texts have the same tokens in order, wherever lines end."""
    return all(
        same_token(left, right) for left, right in zip_longest(_tokens(got), _tokens(expected), fillvalue="")
    )


def by_lines_in_any_order(got: str, expected: str) -> bool:
    """Whether two texts have the same lines, each as often."""
    got, expected = got.strip(), expected.strip()
    if got.count("\n") != expected.count("\n"):
        return False
    left, right = (sorted(map(str.split, text.split("\n"))) for text in (got, expected))
    return left == right


def same_tokens(got: str, expected: str, same_token: SameToken) -> bool:
    """Whether two lines have the same tokens; space between them counts as one."""
    left, right = got.split(), expected.split()
    return left == right or (len(left) == len(right) and all(map(same_token, left, right)))


def same_text_or_decimals(got: str, expected: str) -> bool:
    """Whether two lines are the same text, or the same numbers however they are written."""
    if got.strip() == expected.strip():
        return True
    left, right = got.split(), expected.split()
    return len(left) == len(right) and all(
        _is_number(one) and same_number(one, other) for one, other in zip(left, right, strict=True)
    )


def same_text(got: str, expected: str) -> bool:
    """Whether two tokens are the same text."""
    return got == expected


def same_number(got: str, expected: str) -> bool:
    """Whether two tokens are the same text or exactly the same number, as ``0.50`` and ``0.5`` are.

    Two integers are compared as text: ``007`` may not be a number.
    """
    return got == expected or _same_decimal(got, expected)


def near_number(got: str, expected: str, absolute: float, relative: float) -> bool:
    """Whether two tokens are the same number, or close where the expected one is written as a float."""
    if same_number(got, expected):
        return True
    if _INTEGER.fullmatch(expected) or not (_is_number(expected) and _is_number(got)):
        return False
    left, right = float(got), float(expected)
    return math.isfinite(right) and abs(left - right) <= absolute + relative * abs(right)


def _same_decimal(got: str, expected: str) -> bool:
    """Whether two tokens are the same number, of which one at least is not written as an integer."""
    if not (_is_number(got) and _is_number(expected)):
        return False
    if _INTEGER.fullmatch(got) and _INTEGER.fullmatch(expected):
        return got == expected
    # Decimal, not float: 0.1 and 0.10000000000000001 are two numbers.
    return Decimal(got) == Decimal(expected)


def _is_number(token: str) -> bool:
    """Whether a token is a decimal number of moderate length."""
    return len(token) <= _MAX_NUMBER and _DECIMAL.fullmatch(token) is not None


def _tokens(text: str) -> Iterator[str]:
    """Yields the tokens of a text one by one: an output may have millions more than are looked at."""
    return (found[0] for found in _TOKEN.finditer(text))
