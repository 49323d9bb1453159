"""Finds pairs of an input and an output in data that a model wrote: JSON, or Python lists and dicts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from o1coder_gym.tcg.reading.literals import bracket_extent, read_literal

_INPUT_KEYS = ("input", "inputs", "args", "arguments", "test_input", "params")
_OUTPUT_KEYS = ("output", "outputs", "expected", "expected_output", "expected_result", "result", "answer")
_OPENING = re.compile(r"[\[{(]")
_OPENINGS = 200
_MISSING = object()


def find_pairs(text: str) -> Iterator[tuple[Any, Any]]:
    """Yields (input, output) values of the first list or object in a text that holds such pairs."""
    for opening in islice(_OPENING.finditer(text), _OPENINGS):
        start = opening.start()
        if _is_argument(text, start):
            continue
        end, cut = bracket_extent(text, start)
        pieces = [text[start:end]] if text[end - 1] in "]})" else []
        pieces += [text[start:cut] + "]"] if cut > start else []
        for piece in pieces:
            pairs = list(_pairs(_value(piece)))
            if pairs:
                yield from pairs
                return


def _is_argument(text: str, start: int) -> bool:
    """Whether a bracket opens the arguments of a call, or stands among them: then it is code, not data."""
    before = text[max(0, start - 80) : start].rstrip(" ")[-1:]
    return before in ("(", ",") or before.isalnum() or before == "_"


def _value(piece: str) -> Any:
    """Returns the value of JSON or of a Python literal, None for anything else."""
    try:
        return json.loads(piece)
    except (ValueError, RecursionError):
        pass
    try:
        return read_literal(piece)
    except ValueError:
        return None


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the pairs that a value holds."""
    if isinstance(value, Mapping):
        inputs, outputs = _field(value, _INPUT_KEYS), _field(value, _OUTPUT_KEYS)
        if inputs is not _MISSING and outputs is not _MISSING:
            if set(map(str, value)) >= {"inputs", "outputs"} and _both_lists(inputs, outputs):
                yield from zip(inputs, outputs, strict=False)
            else:
                yield inputs, outputs
        else:
            for item in value.values():
                yield from _pairs(item) if isinstance(item, Mapping | list) else ()
    elif isinstance(value, list | tuple) and value:
        if all(isinstance(item, Mapping) for item in value):
            for item in value:
                yield from _pairs(item)
        elif all(isinstance(item, list | tuple) and len(item) >= 2 for item in value):
            for item in value:
                yield (item[0] if len(item) == 2 else list(item[:-1])), item[-1]


def _field(value: Mapping[Any, Any], names: Sequence[str]) -> Any:
    found = {str(key).lower().replace(" ", "_"): item for key, item in value.items()}
    return next((found[name] for name in names if name in found), _MISSING)


def _both_lists(left: Any, right: Any) -> bool:
    return isinstance(left, list) and isinstance(right, list) and len(left) == len(right)
