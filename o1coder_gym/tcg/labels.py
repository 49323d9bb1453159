"""Finds pairs of an input and an output under labels: ``Input: n = 2`` / ``Output: 4``."""

from __future__ import annotations

import re
from collections.abc import Iterator

_KIND = r"(?P<kind>input|args|arguments|expected output|expected|output|result)s?\s*\d*"
_BEFORE = r"(?:\d+[.)]\s*)?(?:test(?: case)?\s*\d*\s*)?(?:sample |example )?"
_LABEL = re.compile(rf"^[\s>*#`|-]*{_BEFORE}{_KIND}[*`]*\s*:[*`]*[ \t]*(?P<rest>.*)$", re.I)
_HEADING = re.compile(rf"^\s*(?:#+\s*|\*\*){_BEFORE}{_KIND}[*`\s]*(?P<rest>)$", re.I)
_NEXT_PART = re.compile(
    r"\n\s*(?:#|\*\*|---|(?:sample |example )?(?:test|case|explanation|note|example)\b)", re.I
)
_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?[ \t]*(?:```|\Z)", re.S)


def find_labelled(text: str) -> Iterator[tuple[str, str]]:
    """Yields (input, output) texts of labelled blocks, in pairs as they follow each other."""
    pending: str | None = None
    kind, body = "", list[str]()
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
