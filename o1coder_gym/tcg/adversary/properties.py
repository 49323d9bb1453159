"""Properties of a question: common to all outputs that it shows, and mentioned in its words.

An output that lacks such a property is probably wrong. A property is taken only where at least two shown
examples have it, so that a question without examples has none. Hidden tests and references are not looked at.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, TypeAlias

from o1coder_gym.tcg.reading.literals import read_literal
from o1coder_gym.tcg.reading.parsing import parse_tests
from o1coder_gym.types import AssertTest, CallTest, CheckTest, Problem

Pair: TypeAlias = tuple[tuple[Any, ...], Any]
"""Arguments and output."""
Holds: TypeAlias = Callable[[tuple[Any, ...], Any], bool]
"""Whether an output for arguments has a property; may raise on values that it is not about."""

_FEWEST = 2
"""Examples that must have a property before it is taken for one of the question."""


def _ascends(arguments: tuple[Any, ...], output: Any) -> bool:
    return all(one <= other for one, other in pairwise(output))


def _descends(arguments: tuple[Any, ...], output: Any) -> bool:
    return all(one >= other for one, other in pairwise(output))


def _rearranges(arguments: tuple[Any, ...], output: Any) -> bool:
    return any(Counter(map(repr, output)) == Counter(map(repr, given)) for given in _collections(arguments))


def _selects(arguments: tuple[Any, ...], output: Any) -> bool:
    found = Counter(map(repr, output))
    return any(found <= Counter(map(repr, given)) for given in _collections(arguments))


def _chooses(arguments: tuple[Any, ...], output: Any) -> bool:
    return any(output in given for given in _collections(arguments))


def _keeps_length(arguments: tuple[Any, ...], output: Any) -> bool:
    return any(len(output) == len(given) for given in _collections(arguments))


def _counts(arguments: tuple[Any, ...], output: Any) -> bool:
    return type(output) is int and 0 <= output <= max(map(len, _collections(arguments)))


def _is_not_negative(arguments: tuple[Any, ...], output: Any) -> bool:
    return output >= 0


def _is_within(arguments: tuple[Any, ...], output: Any) -> bool:
    return any(min(given) <= output <= max(given) for given in _collections(arguments) if given)


def _undone(inverse: Callable[[Any], Any]) -> Holds:
    """Returns whether a function that is easy to compute leads from the output back to an argument."""
    return lambda arguments, output: inverse(output) in arguments


_SPOKEN: Mapping[str, tuple[str, Holds]] = MappingProxyType(
    {
        "ascending": (r"\bsort|\border\b|ascending|increasing", _ascends),
        "descending": (r"descending|decreasing|reverse", _descends),
        "rearranged": (r"\bsort|\border|rearrang|shuffl|rotat|revers|permut|shift", _rearranges),
        "selected": (r"filter|remov|extract|select|\bfind\b|common|duplicate|larg|small|only", _selects),
        "chosen": (r"larg|small|max|min|first|last|find|longest|shortest|element", _chooses),
        "as long": (r"each|every|element|map|convert|replac", _keeps_length),
        "a count": (r"count|number of|how many|occur|frequen", _counts),
        "not negative": (
            r"count|number of|length|area|distance|sum|how many|perimeter|volume",
            _is_not_negative,
        ),
        "within": (r"average|\bmean|median|middle|clamp|between", _is_within),
        "factors": (r"factor", _undone(math.prod)),
        "parts": (r"partition|\bsum|add up", _undone(sum)),
        "digits": (r"binary|base 2", _undone(lambda output: int(output, 2))),
        "root": (r"\broot|sqrt", _undone(lambda output: output * output)),
        "pieces": (r"split|chunk|characters|letters", _undone("".join)),
        "mirrored": (r"revers|backward|mirror", _undone(lambda output: output[::-1])),
        "swapped": (r"swap|toggle|flip|case", _undone(lambda output: output.swapcase())),
    }
)
"""By name: words of a question that speak of a property, and whether an output has it."""


def properties_of(problem: Problem) -> dict[str, Holds]:
    """Returns the properties of a question by name; always among them, where examples show it, the type."""
    pairs = shown_pairs(problem)
    if len(pairs) < _FEWEST:
        return {}
    found = {
        name: holds
        for name, (words, holds) in _SPOKEN.items()
        # Both are needed: words alone are ambiguous, examples alone agree by chance.
        if re.search(words, problem.prompt, re.I) and all(has(holds, *pair) for pair in pairs)
    }
    kinds = {type(output) for _, output in pairs}
    if len(kinds) == 1:
        kind = kinds.pop()
        found["type"] = lambda arguments, output: type(output) is kind
    return found


def shown_pairs(problem: Problem) -> list[Pair]:
    """Returns the arguments and outputs that public tests show."""
    found: list[Pair] = []
    for test in problem.public_tests:
        tests: Sequence[Any] = (test,)
        if isinstance(test, AssertTest | CheckTest):
            tests = parse_tests(test.code, problem.entry_point).tests
        for one in tests:
            if isinstance(one, CallTest):
                try:
                    found.append((tuple(read_literal(one.args)), read_literal(one.expected)))
                except (ValueError, TypeError):
                    continue
    return found


def has(holds: Holds, arguments: tuple[Any, ...], output: Any) -> bool:
    """Whether an output has a property; False if the property does not apply to it."""
    try:
        return holds(arguments, output)
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError):
        return False


def lacking(properties: Mapping[str, Holds], given: str, output: str) -> list[str]:
    """Returns the names of the properties that an output lacks; none where a text is not a literal."""
    try:
        arguments, value = tuple(read_literal(given)), read_literal(output)
    except (ValueError, TypeError):
        return []
    return [name for name, holds in properties.items() if not has(holds, arguments, value)]


def _collections(arguments: tuple[Any, ...]) -> list[Any]:
    return [one for one in arguments if isinstance(one, list | tuple | str | set | frozenset | dict)]
