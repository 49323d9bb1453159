"""Python values as text: read without `eval`, written canonically.

Test cases travel as literals (`types.CallTest`). Models also write constant expressions such as
``[0] * 5`` or ``set()``, which the sandbox's evaluator works out within a fixed room.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from decimal import Decimal
from typing import Any

from o1coder_gym.sandbox.values.literals import BUILTINS, Evaluator

_ROOM = 50_000
_MAX_CHARS = 20_000
_MAX_BITS = 1 << 13
_NAMES = {"inf": math.inf}


def parse_source(source: str) -> ast.Module | None:
    """Returns the syntax tree of a program, None where `source` is none or is beyond the parser."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse_expression(text: str) -> ast.expr | None:
    """Returns the syntax tree of one expression, None where `text` is none or is too long."""
    tree = parse_source(text.strip()) if len(text) <= _MAX_CHARS else None
    if tree is not None and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        return tree.body[0].value
    return None


def bracket_extent(text: str, start: int) -> tuple[int, int]:
    """Returns where the bracket at `start` closes, brackets in strings left out; else the end of the text.

    The second place is where the last whole item of an unclosed list ends.
    """
    depth, item_end, quote, place = 0, start, "", start
    while place < len(text):
        character = text[place]
        # A bracket within quotes opens nothing; a backslash hides the character behind it.
        if quote:
            place += character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
            if depth == 0:
                return place + 1, item_end
            if depth == 1:
                item_end = place + 1
        place += 1
    return len(text), item_end


def fold(node: ast.expr) -> Any:
    """Returns the value of a constant expression; no code runs.

    Raises:
        ValueError: When it is not constant, or its value would be too large.
    """
    try:
        return Evaluator(_NAMES, BUILTINS, _ROOM).value(node)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a constant expression: {error}") from error


def read_literal(text: str) -> Any:
    """Returns the value of a constant expression's text; raises as `fold`."""
    node = parse_expression(text)
    if node is None:
        raise ValueError(f"not an expression: {text[:80]!r}")
    return fold(node)


def write_literal(value: Any) -> str:
    """Returns the canonical literal of a plain value; equal values of equal types give equal texts.

    Raises:
        ValueError: When the value, or a part of it, has no literal (NaN, range, object).
    """
    match value:
        case None | bool() | int() | str() | bytes():
            return _scalar(value)
        case float():
            return _real(value)
        case list():
            return f"[{', '.join(map(write_literal, value))}]"
        case tuple():
            return _tuple(list(map(write_literal, value)))
        case set():
            return _set(list(map(write_literal, value)))
        case dict():
            pairs = (f"{write_literal(key)}: {write_literal(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            raise ValueError(f"a {type(value).__name__} has no literal")


def literal_of(encoded: str) -> str:
    """Returns the canonical literal of a value that a program returned (see `sandbox.values.codec`).

    It is one that a call test may expect: beside Python's own literals there are ``nan``, ``Decimal(…)``,
    ``Fraction(…)``, ``deque(…)``, ``frozenset(…)`` and ``range(…)``. Sets and dicts are sorted, so that equal
    results have equal texts; what the judge takes for a plain value (numpy's bool, a bytearray, the keys of
    a dict) is written as that one. The encoded text is read as data: no
    value of the program is rebuilt or hashed.

    Raises:
        ValueError: When the value has no literal, or no encoder wrote the text.
    """
    try:
        return _from_tree(json.loads(encoded))
    except (TypeError, KeyError, RecursionError, ArithmeticError) as error:
        raise ValueError(f"not an encoded value: {error}") from error


def _scalar(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError("int too large for a literal")
    return repr(value)


def _real(value: float) -> str:
    if math.isnan(value):
        raise ValueError("NaN has no literal")
    # Infinity has no literal of its own; 1e999 is one that overflows to it.
    return repr(value).replace("inf", "1e999")


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _set(items: list[str]) -> str:
    return f"{{{', '.join(sorted(items))}}}" if items else "set()"


def _from_tree(tree: Any) -> str:
    """Returns the literal of a JSON tree of the codec."""
    if isinstance(tree, list):
        return f"[{', '.join(map(_from_tree, tree))}]"
    if isinstance(tree, float) and math.isnan(tree):
        return "nan"
    if not isinstance(tree, dict):
        return write_literal(tree)
    ((tag, body),) = tree.items()
    match tag:
        case "i":
            return _scalar(int(body, 16))
        case "n":
            return repr(bool(body))
        case "b" | "B":
            return repr(bytes.fromhex(body))
        case "t":
            return _tuple([_from_tree(item) for item in body])
        case "s" | "v" | "w":
            return _set([_from_tree(item) for item in body])
        case "z":
            return f"frozenset({_set([_from_tree(item) for item in body]) if body else ''})"
        case "q":
            return f"deque([{', '.join(map(_from_tree, body))}])"
        case "r" | "f":
            return f"{'range' if tag == 'r' else 'Fraction'}({', '.join(map(_from_tree, body))})"
        case "m":
            coefficient, exponent = map(_from_tree, body)
            return repr(Decimal(f"{coefficient}E{exponent}"))
        # Sorted by text: keys of several types have no order of their own.
        case "d":
            return f"{{{', '.join(sorted(f'{_from_tree(key)}: {_from_tree(item)}' for key, item in body))}}}"
        case "c":
            real, imaginary = map(_real, map(float, body))
            return f"({real}{'' if imaginary.startswith('-') else '+'}{imaginary}j)"
    raise ValueError(f"a value of tag {tag!r} has no literal")


_LONGEST_CALL = 4000


def call_at(text: str, start: int) -> ast.Call | None:
    """Returns the call expression that begins at `start`, None if its parentheses do not close."""
    # The first parenthesis at which the text parses is the call's own: one in a string or an inner call does
    # not.
    for match in re.finditer(r"\)", text[start : start + _LONGEST_CALL]):
        node = parse_expression(text[start : start + match.end()])
        if isinstance(node, ast.Call):
            return node
    return None
