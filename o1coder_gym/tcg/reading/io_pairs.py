"""Finds pairs of an input and an output in data that a model wrote: JSON, or Python lists and dicts.

Finds pairs of an input and an output under labels: ``Input: n = 2`` / ``Output: 4``.
"""

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
_NAME = re.compile(r"(\w+)[ \t]*(?::[^=\n]*)?=[ \t]*$")
_OF_TESTS = re.compile(r"test|case|example|sample|pair|check|scenario", re.I)
"""Names of what holds tests: ``grid = [[1, 2], [3, 4]]`` is an argument, and no two of them."""
_MISSING = object()


def find_pairs(text: str) -> Iterator[tuple[Any, Any]]:
    """Yields (input, output) values of the first list or object in a text that holds such pairs."""
    past = 0
    for opening in islice(_OPENING.finditer(text), _OPENINGS):
        start = opening.start()
        if start < past or _is_argument(text, start):
            continue
        end, cut = bracket_extent(text, start)
        # The whole bracket, or of one that the text ends in all items that are whole.
        pieces = [text[start:end]] if text[end - 1] in "]})" else []
        pieces += [text[start:cut] + "]"] if cut > start else []
        name = _NAME.search(text, max(0, start - 80), start)
        plain = name is None or _OF_TESTS.search(name[1]) is not None
        for piece in pieces:
            pairs = list(_pairs(_value(piece), plain=plain))
            if pairs:
                yield from pairs
                return
        past = past if plain else end


def _is_argument(text: str, start: int) -> bool:
    """Whether a bracket opens the arguments of a call, or stands among them or in an assert: no data."""
    before = text[max(0, start - 80) : start].rstrip(" ")[-1:]
    in_assert = "assert" in text[text.rfind("\n", 0, start) + 1 : start]  # was read as one, or left out
    return in_assert or before in ("(", ",") or before.isalnum() or before == "_"


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


def _pairs(value: Any, *, plain: bool) -> Iterator[tuple[Any, Any]]:
    """Yields the pairs that a value holds; those of a list of lists only if they may be pairs (`plain`)."""
    if isinstance(value, Mapping):
        inputs, outputs = _field(value, _INPUT_KEYS), _field(value, _OUTPUT_KEYS)
        if inputs is not _MISSING and outputs is not _MISSING:
            # Two lists side by side, as in the data sets of contests: the i-th output belongs to the i-th
            # input.
            if set(map(str, value)) >= {"inputs", "outputs"} and _both_lists(inputs, outputs):
                yield from zip(inputs, outputs, strict=False)
            else:
                yield inputs, outputs
        else:
            for item in value.values():
                yield from _pairs(item, plain=plain) if isinstance(item, Mapping | list) else ()
    elif isinstance(value, list | tuple) and value:
        if all(isinstance(item, Mapping) for item in value):
            for item in value:
                yield from _pairs(item, plain=plain)
        elif plain and all(isinstance(item, list | tuple) and len(item) >= 2 for item in value):
            for item in value:
                yield (item[0] if len(item) == 2 else list(item[:-1])), item[-1]


def _field(value: Mapping[Any, Any], names: Sequence[str]) -> Any:
    found = {str(key).lower().replace(" ", "_"): item for key, item in value.items()}
    return next((found[name] for name in names if name in found), _MISSING)


def _both_lists(left: Any, right: Any) -> bool:
    return isinstance(left, list) and isinstance(right, list) and len(left) == len(right)


_KIND = r"(?P<kind>input|args|arguments|expected output|expected|output|result)s?\s*\d*"
_BEFORE = r"(?:\d+[.)]\s*)?(?:test(?: case)?\s*\d*\s*)?(?:sample |example )?"
_LABEL = re.compile(rf"^[\s>*#`|-]*{_BEFORE}{_KIND}[*`]*\s*:[*`]*[ \t]*(?P<rest>.*)$", re.I)
_HEADING = re.compile(rf"^\s*(?:#+\s*|\*\*){_BEFORE}{_KIND}[*`\s]*(?P<rest>)$", re.I)
_NEXT_PART = re.compile(
    r"\n\s*(?:#|\*\*|---|```|(?:sample |example )?(?:test|case|explanation|note|example)\b)", re.I
)
_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?[ \t]*(?:```|\Z)", re.S)


def find_labelled(text: str) -> Iterator[tuple[str, str]]:
    """Yields (input, output) texts of labelled blocks, in pairs as they follow each other."""
    pending: str | None = None
    kind, body = "", list[str]()
    # Two labels at the end close the last block and its pair, without a special case behind the loop.
    for line in [*text.split("\n"), "output:", "input:"]:
        label = _LABEL.match(line) or _HEADING.match(line)
        if label is None:
            body.append(line)
            continue
        block = _block("\n".join(body))
        if kind == "input":
            pending = block
        elif kind == "output" and pending is not None:
            yield pending, block
            pending = None
        kind = "input" if label["kind"].lower() in ("input", "args", "arguments") else "output"
        body = [label["rest"].rstrip(" *|")]


def _block(body: str) -> str:
    """Returns the text under a label: what its fence holds, else all up to the next heading."""
    fence = _FENCE.match(body)
    if fence:
        return fence[1]
    end = _NEXT_PART.search(body)
    return (body[: end.start()] if end else body).strip("\n").rstrip()
