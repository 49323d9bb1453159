"""Infers domains: from observed values, or from an annotation where there are none."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from o1coder_gym.tcg.inputs.domains import (
    Choice,
    Domain,
    Either,
    Integers,
    Mappings,
    Reals,
    Records,
    Sequences,
    TextForm,
    Texts,
)
from o1coder_gym.tcg.inputs.edits import is_balanced, only_joins

_CHARACTER_KINDS = ((string.ascii_lowercase, 4), (string.ascii_uppercase, 4), (string.digits, 3))
_FORM = re.compile(r"\d+(?:[-/:.]\d+)+")
_BRACKET = re.compile(r"[][(){}<>]")
_LONGEST_RECORD = 3
_ENOUGH_FOR_ORDER, _ENOUGH_FOR_DISTINCTNESS = 4, 10
"""Neighbours that have to be seen: lists are seldom in order by chance, and often without repeats."""
_SMALLEST = 2
"""Numbers and lengths below it are degenerate: questions leave them open, so they have to be seen first."""

_EXAMPLES: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2, 7, 12),
    "float": (0.0, 1.5, -2.0, 10.25),
    "bool": (True, False),
    "str": ("a", "abc", "Hello world", "level up", "xyz 12"),
    "None": (None,),
    "Any": (0, 3, 7),
    "list": ([1, 2, 3], [4, 4, 1, 7, 2], [5]),
    "tuple": ((1, 2, 3, 4), (4, 4, 1, 7, 2)),
    "set": ({1, 2, 3}, {4, 7}),
    "dict": ({"a": 1, "b": 2}, {"c": 5}),
}


def infer_domain(values: Sequence[Any], special: Sequence[Any] = (), *, nested: bool = False) -> Domain:
    """Generalises observed values.

    Args:
        values: At least one value.
        special: Constants of the program that uses the values.
        nested: Whether the values are items of containers.
    """
    kinds = list(dict.fromkeys(type(value) for value in values))
    # Mixed numbers are floats written short, not two types.
    if set(kinds) == {int, float}:
        return _reals([float(value) for value in values])
    if len(kinds) > 1:
        groups = ((kind, [value for value in values if type(value) is kind]) for kind in kinds)
        return Either(tuple((kind, infer_domain(group, special, nested=nested)) for kind, group in groups))
    kind = kinds[0]
    if kind is int:
        return _integers(values, special)
    if kind is float:
        return _reals(values)
    if kind is str:
        return _texts(values, special)
    if kind is dict:
        return _mappings(values, special)
    if kind in (list, tuple, set, frozenset):
        return _sequences(kind, values, special, nested)
    return Choice((True, False)) if kind is bool else Choice(tuple(values[:8]))


def domain_of_annotation(annotation: str, special: Sequence[Any] = ()) -> Domain | None:
    """Returns the domain of an annotation such as ``List[int]``, None if it is not understood."""
    try:
        node = ast.parse(annotation.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    examples = _examples(node)
    return infer_domain(examples, special) if examples else None


def _examples(node: ast.AST) -> list[Any]:
    """Returns example values of an annotation, none if it is not known."""
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return list(_EXAMPLES.get(name if name in _EXAMPLES else name.lower(), ()))
        case ast.Constant(None):
            return [None]
        case ast.BinOp(left, ast.BitOr(), right):
            return _examples(left) + _examples(right)
        case ast.Subscript(ast.Name(name) | ast.Attribute(attr=name), inner):
            return _generic_examples(name.lower(), inner)
    return []


def _generic_examples(name: str, inner: ast.expr) -> list[Any]:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    items = [_examples(part) for part in parts if not _is_ellipsis(part)]
    if not items or not all(items):
        return []
    match name:
        case "optional":
            return [*items[0], None]
        case "union":
            return [value for part in items for value in part]
        case "dict" | "mapping" if len(items) == 2:
            return [dict(zip(items[0], items[1], strict=False))]
        case "tuple" if not any(map(_is_ellipsis, parts)):
            return [tuple(part[index % len(part)] for part in items) for index in range(3)]
        case "list" | "sequence" | "iterable":
            return [items[0], items[0][:1], items[0] + items[0][::-1]]
        case "tuple":
            return [tuple(items[0]), tuple(items[0] * 2)]
        case "set":
            return [set(items[0])]
    return []


def _is_ellipsis(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _integers(values: Sequence[int], special: Sequence[Any]) -> Integers:
    """Keeps the sign: negative numbers only if there were some, 0 and 1 only if they were seen."""
    least, most = min(values), max(values)
    # Negative numbers extend downwards; without one the sign is part of the domain.
    low = 2 * least - 10 if least < 0 else min(least, _SMALLEST)
    high = max(2 * most, most + 10)
    zero = least >= 0 or 0 in values  # as `low` has it, where no number is negative
    numbers = [number for number in special if type(number) is int]
    near = {number + step for number in numbers for step in (-1, 0, 1)} | set(values)
    # Off-by-one bugs show at a constant and its neighbours.
    fitting = sorted(number for number in near if low <= number <= 4 * high and (number or zero))
    return Integers(low, high, tuple(fitting), zero)


def _reals(values: Sequence[float]) -> Reals:
    finite = [value for value in values if abs(value) < 1e300] or [1.0]
    least, most = min(finite), max(finite)
    low = 2 * least - 10 if least < 0 else (0.0 if least == 0 else min(least, 0.5))
    digits = max(len(repr(value).partition(".")[2]) for value in finite)
    return Reals(low, max(2 * most, 10.0), tuple(finite), min(max(digits, 1), 4))


def _texts(values: Sequence[str], special: Sequence[Any]) -> Texts:
    """Takes in a kind of character whole once several of it were seen; DNA and brackets stay themselves.

    A single character that is all there is says nothing of an alphabet, so its kind is taken in too.
    """
    characters = set("".join(values))
    lone = len(characters) == 1
    for kind, enough in _CHARACTER_KINDS:
        if len(characters & set(kind)) >= (1 if lone else enough):
            characters |= set(kind)
    lengths = [len(value) for value in values]
    alphabet = "".join(sorted(characters)) or string.ascii_lowercase
    form, words = _form(values, {text for text in special if isinstance(text, str) and text})
    shortest, joints = min(_SMALLEST, *lengths), "".join(_joints(values))
    return Texts(tuple(values), alphabet, shortest, max(lengths), form, words, joints)


def _joints(values: Sequence[str]) -> list[str]:
    """Returns characters that only join others: questions rarely say what a doubled or outer one means."""
    marks = sorted({character for value in values for character in value if not character.isalnum()})
    return [mark for mark in marks if all(only_joins(mark, value) for value in values)]


def _form(values: Sequence[str], known_words: set[str]) -> tuple[TextForm, tuple[str, ...]]:
    """Returns what the strings have in common, and the words to draw from.

    Words form a vocabulary if the program names some of them, or if they keep coming back.
    """
    words = [word for value in values for word in value.split(" ")]
    vocabulary = tuple(sorted({*words}))
    if all(map(_is_bracket_text, values)) and all(map(is_balanced, values)):
        return TextForm.BALANCED, vocabulary
    # At least three words a text; a vocabulary is what the program names, or what keeps coming back.
    if len(words) >= 3 * len(values):
        if len(known_words.intersection(words)) > 1:
            plain = {word for word in known_words if " " not in word}
            return TextForm.WORDS, tuple(sorted(plain))
        if 2 * len(vocabulary) < len(words):
            return TextForm.WORDS, vocabulary
    masks = {_mask(value) for value in values}
    alike = len(values) > 1 and len(masks) == 1 and "0" in next(iter(masks)) and len(values[0]) > 3
    if alike or max(map(len, values)) == 1 or all(_FORM.fullmatch(value) for value in values):
        return TextForm.PATTERN, vocabulary
    return TextForm.FREE, vocabulary


def _mask(text: str) -> str:
    """Returns a text with all small letters alike, all capitals, and all numbers that stand among others."""
    digits = r"\d" if text.isdigit() else r"\d+"
    return re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(digits, "0", text)))


def _is_bracket_text(text: str) -> bool:
    """Whether at least half of the characters other than spaces are brackets."""
    return 0 < len(text.replace(" ", "")) <= 2 * len(_BRACKET.findall(text))


def _sequences(kind: type, values: Sequence[Any], special: Sequence[Any], nested: bool) -> Domain:
    items = [item for value in values for item in value]
    lengths = {len(value) for value in values}
    longest = max(lengths)
    # Tuples of one short length are records: each place has a domain of its own.
    if kind is tuple and len(lengths) == 1 and longest > 0 and (nested or longest <= _LONGEST_RECORD):
        places = tuple(
            infer_domain(list(column), special, nested=True) for column in zip(*values, strict=True)
        )
        return Records(kind, places)
    if kind is list and len(lengths) == 1 and 1 < longest <= _LONGEST_RECORD and _differ_in_type(values):
        places = tuple(
            infer_domain(list(column), special, nested=True) for column in zip(*values, strict=True)
        )
        return Records(kind, places)
    item = infer_domain(items, special, nested=True) if items else infer_domain([1, 2, 3], special)
    rows = [len(row) for row in items if isinstance(row, list | tuple)]
    rectangular = len(rows) == len(items) > 1 and len(set(rows)) == 1
    # A square stays square: questions about one rarely define another shape.
    square = rectangular and all(len(value) == rows[0] for value in values)
    # Neighbouring pairs are the evidence for order and distinctness; few of them hold by chance.
    pairs = sum(max(len(value) - 1, 0) for value in values)
    ordered = kind in (list, tuple)
    return Sequences(
        kind,
        item,
        shortest=min(_SMALLEST, *lengths),
        longest=longest,
        increasing=ordered and pairs >= _ENOUGH_FOR_ORDER and all(map(is_increasing, values)),
        distinct=ordered
        and pairs >= _ENOUGH_FOR_DISTINCTNESS
        and all(_is_distinct(value) for value in values),
        rectangular=rectangular,
        length=longest if len(lengths) == 1 and (square or (nested and len(values) > 2)) else None,
    )


def _differ_in_type(values: Sequence[Sequence[Any]]) -> bool:
    return all(len({type(item) for item in value}) > 1 for value in values)


def _mappings(values: Sequence[dict[Any, Any]], special: Sequence[Any]) -> Mappings:
    keys = [key for value in values for key in value] or ["a", "b"]
    items = [item for value in values for item in value.values()] or [1, 2]
    lengths = [len(value) for value in values]
    return Mappings(
        infer_domain(keys, special, nested=True),
        infer_domain(items, special, nested=True),
        min(_SMALLEST, *lengths),
        max(lengths),
    )


def _is_distinct(values: Sequence[Any]) -> bool:
    return all(item not in values[:index] for index, item in enumerate(values))


def is_increasing(values: Sequence[Any]) -> bool:
    """Whether items are numbers or strings in ascending order."""
    kinds = (int, float) if values and isinstance(values[0], int | float) else str
    return all(isinstance(item, kinds) for item in values) and all(a <= b for a, b in pairwise(values))
