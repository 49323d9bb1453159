"""Comparison policies by name: each decides when a result counts as the expected one.

The official graders of data sets disagree about blank lines, numbers and tuples; a row says by the name of
a policy which of them it was made for. docs/verdicts.md has what each official grader accepts beside what
is accepted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Protocol, TypeAlias

from o1coder_gym.sandbox.values import comparison
from o1coder_gym.sandbox.values import standard_output as out
from o1coder_gym.sandbox.values.comparison import DEFAULT_TOLERANCE, PYTHON_EQUALITY, Equality

SameText: TypeAlias = Callable[[str, str], bool]
"""Takes a standard output and the expected one."""


class SameValue(Protocol):
    """Takes an encoded result, any bytes, and the expected one of `codec.encode`."""

    def __call__(self, got: str | bytes, expected: str) -> bool:
        """Returns whether they are equal."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """One notion of equality with the expected result.

    Attributes:
        accepts: A description of what counts as equal.
        text: Compares standard outputs.
        value: Compares results of calls.
    """

    accepts: str
    text: SameText
    value: SameValue


def named(name: str) -> Policy:
    """Returns the policy of a name.

    Args:
        name: One of `POLICIES`; ``numbers`` may be followed by its absolute and relative tolerance, as in
            ``numbers:1e-9`` (both) or ``numbers:1e-9:1e-6``.

    Raises:
        ValueError: When there is no such policy; names the nearest.
    """
    base, *numbers = name.split(":")
    policy = POLICIES.get(base)
    if policy is None:
        nearest = get_close_matches(base, POLICIES, n=1)
        guess = f"; did you mean {nearest[0]!r}? K" if nearest else "; k"
        raise ValueError(f"unknown comparison policy {name!r}{guess}nown: {', '.join(sorted(POLICIES))}")
    if not numbers:
        return policy
    try:
        absolute, relative = map(float, numbers * 2 if len(numbers) == 1 else numbers)
    except ValueError:
        # Out of range, so that the one error below says what is expected.
        absolute = relative = -1.0
    if base != "numbers" or not (0 <= absolute < 1e300 and 0 <= relative < 1e300):
        raise ValueError(f"comparison policy {name!r}: only numbers takes one or two tolerances ≥ 0")
    return numbers_within(absolute, relative)


def numbers_within(absolute: float, relative: float) -> Policy:
    """Returns the policy ``numbers`` for tolerances of one's own."""
    near = partial(out.near_number, absolute=absolute, relative=relative)
    equality = Equality(absolute, strict=True, relative=relative)
    return Policy(
        f"floats within {absolute:g} + {relative:g} × the expected one; all else as lines",
        partial(out.by_lines, same_line=partial(out.same_tokens, same_token=near)),
        equality.texts,
    )


def _wrapped(equality: Equality, got: str | bytes, expected: str) -> bool:
    """Whether two results are equal, or one is the only item of the other."""
    # As the graders of APPS and TACO: rows of these sets wrap an answer in a list, or do not.
    return equality.texts(got, expected) or equality.wrapped_texts(got, expected)


def _lines(same_token: out.SameToken) -> SameText:
    """Returns a comparison line by line, token by token."""
    return partial(out.by_lines, same_line=partial(out.same_tokens, same_token=same_token))


_strict = Equality(DEFAULT_TOLERANCE, strict=True).texts
# As the graders of sets whose rows are JSON: it has no tuples, and its keys are texts.
_json = replace(PYTHON_EQUALITY, rows=True, keys=True)
_apps_number = partial(out.near_number, absolute=1e-8, relative=1e-5)
_contest_number = partial(out.near_number, absolute=1e-6, relative=1e-6)

POLICIES: Mapping[str, Policy] = {
    "exact": Policy("equal characters; equal values as Python's == says", out.exactly, comparison.equal),
    "tokens": Policy(
        "equal tokens, wherever lines end; values as exact",
        partial(out.by_tokens, same_token=out.same_text),
        comparison.equal,
    ),
    "lines": Policy(
        "equal tokens line by line, numbers by their value (0.5 for 0.50, 6.0 for 6), blank lines at both "
        "ends ignored; values of equal types, floats within 1e-6",
        _lines(out.same_number),
        _strict,
    ),
    "numbers": numbers_within(DEFAULT_TOLERANCE, DEFAULT_TOLERANCE),
    "unordered": Policy(
        "the same lines in any order; the items of the outermost list in any order",
        out.by_lines_in_any_order,
        Equality(DEFAULT_TOLERANCE, strict=True, rows=True, unordered=True).texts,
    ),
    "codeforces": Policy(
        "equal tokens, wherever lines end, those written as floats within 1e-6; values as exact",
        partial(out.by_tokens, same_token=_contest_number),
        comparison.equal,
    ),
    "apps": Policy(
        "lines as numbers:1e-8:1e-5, blank lines anywhere ignored; values as ==, but a tuple counts as a "
        "list, text keys as ints, and an answer as a list of that one answer, either way",
        partial(out.by_filled_lines, same_line=partial(out.same_tokens, same_token=_apps_number)),
        partial(_wrapped, _json),
    ),
    "taco": Policy(
        "equal tokens line by line, as text; values as apps", _lines(out.same_text), partial(_wrapped, _json)
    ),
    "livecodebench": Policy(
        "equal lines but for space at their ends, or equal decimal numbers; values as ==, but an outer tuple "
        "counts as a list",
        partial(out.by_lines, same_line=out.same_text_or_decimals),
        replace(PYTHON_EQUALITY, outer_row=True).texts,
    ),
    "leetcode": Policy(
        "lines as lines; values as ==, but floats within 1e-5, and a tuple counts as a list",
        _lines(out.same_number),
        Equality(1e-5, strict=False, rows=True).texts,
    ),
    "evalplus": Policy(
        "lines as lines; values as ==, but floats within 1e-6 + 1e-7 × the expected one",
        _lines(out.same_number),
        Equality(DEFAULT_TOLERANCE, strict=False, relative=1e-7).texts,
    ),
}
"""By name. What a policy says of values holds for call tests; asserts mean what Python means."""


def table() -> Iterator[str]:
    """Yields the lines of a table of all policies, for the documentation."""
    yield "| policy | accepts |"
    yield "|---|---|"
    for name, policy in POLICIES.items():
        yield f"| `{name}` | {policy.accepts} |"
