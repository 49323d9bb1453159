"""The program in an answer: one reader for environments, rewards, servers and search.

Of several blocks the last that is Python and does what is asked for counts: a draft comes before it, a shell
line may, usage comes after. Code without fences counts where there is no block with code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from textwrap import dedent
from typing import Any

from o1coder_gym.steps.fences import Block, blocks, end_tags
from o1coder_gym.steps.source import broken_line, defines, does_something, parsed
from o1coder_gym.steps.thinking import TAGS, later_thoughts, within

_STARTS = re.compile(
    r"^[ \t]*(?:(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[(:]|@\w[\w.]*(?:\(.*\))?[ \t\r]*$"
    r"|from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+[\w.]+(?:[ \t]+as[ \t]+\w+|[ \t]*,[ \t]*[\w.]+)*"
    r"[ \t\r]*(?:#.*)?$)",
    re.M,
)
"""Lines that only a program has; one begins a program even if what follows is broken."""

_MAY_START = re.compile(
    r"^[ \t]*(?:[A-Za-z_][\w, .\[\]]*[-+*/%|&^]?=|print\(|(?:for|while|if|with|try)\b.*:[ \t\r]*$)", re.M
)
_LABEL = re.compile(r"\A\s*(?:python|py)[\d.]*:?[ \t\r]*\n(?=\s*\S)", re.I)
"""A fence's info string that stands where the program should begin."""

_BEGIN_TAGS = re.compile(r"\A\s*(?:<[^<>\n]{1,60}>)+(?=(?:async |def |class |from |import |@))")
"""Tags and tokens before the first line of a program."""

_BLANK_LINES = re.compile(r"\A(?:[ \t\r]*\n)+")
_CLOSING = re.compile(r"(?<![ \t])[ \t]*(?:`{3,}|~{3,})[ \t\r]*$", re.M)
_INLINE = re.compile(r"(`{3,}|~{3,})[ \t]*(?:(?:python|py)[\d.]*\b)?[ \t]*\n?(.*?)(?:\1|\Z)", re.S | re.I)
_THOUGHTS = ("thinking", "reasoning")
"""Types of parts of a turn that hold thoughts, under the same name or as text."""

_READS_INPUT = re.compile(r"\binput\(|\bstdin\b|\bopen\(0\b")
_TRIES = 64
"""Lines that a bare program may begin or end at; each costs a parse of what is left."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A piece of text that may be the program; `python` as of `fences.Block`."""

    code: str
    python: bool | None
    place: int
    thought: bool = False

    def rank(self, entry_point: str | None) -> tuple[bool | int, ...]:
        """Returns the quality of the candidate; larger is better."""
        # Compared as a tuple: the first criterion that differs decides. Defining what was asked for outranks
        # all else, and the place comes last, so that of equals the later one wins: drafts come before
        # answers.
        runs = does_something(self.code)
        fits = defines(self.code, entry_point) if entry_point else bool(_READS_INPUT.search(self.code))
        ours = self.python is not False
        begins = fits or bool(_STARTS.search(self.code))  # a draft that imports does not outrank an answer
        return (
            fits and runs and ours,
            not self.thought,
            fits and ours,
            begins and runs and ours,
            bool(self.python) and runs,
            runs and ours,
            bool(self.python),
            begins,
            runs,
            self.place,
        )


def find_program(text: str, entry_point: str | None = None) -> str | None:
    """Returns the best of what may be a program in a text, thoughts set apart before; None where nothing may.

    Args:
        text: Usually an answer.
        entry_point: Name that the program defines; None where it is
            not known, or a whole program is asked for.
    """
    return _program(text, blocks(text), entry_point)


def _program(text: str, found: list[Block], entry_point: str | None) -> str | None:
    thoughts = later_thoughts(text)
    if (
        len(found) == 1
        and _is_plain(found[0])
        and not thoughts
        and not _elsewhere(text, found[0], entry_point)
    ):
        return found[0].text
    candidates = [*_of_blocks(found), *_around(text, found)]
    candidates = [replace(one, thought=within(thoughts, one.place)) for one in candidates]
    if not any(one.python or parsed(one.code) for one in candidates):
        # Only where nothing else is Python: a mid-line fence in prose is usually a mention, not the answer.
        candidates += _inline(text)
    if candidates:
        return max(candidates, key=lambda one: one.rank(entry_point)).code
    return found[-1].text if found else None


def said_in(turn: Mapping[str, Any]) -> str:
    """Returns the content of an assistant's turn, after the thoughts that a server returned separately.

    Args:
        turn: A message as chat servers and trainers have it.
    """
    content = turn.get("content")
    parts = content if isinstance(content, list) else [content]
    said = "".join(_text_of(part) for part in parts if not _is_thought(part))
    thought = turn.get("reasoning_content") or turn.get("reasoning")
    thought = thought or "".join(_text_of(part) for part in parts if _is_thought(part))
    if not isinstance(thought, str) or not thought.strip() or said.lstrip().startswith(TAGS[0][0]):
        return said
    return f"{TAGS[0][0]}\n{thought.strip()}\n{TAGS[0][1]}\n\n{said}"


def _is_thought(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _THOUGHTS


def _text_of(part: Any) -> str:
    """Returns the text of a part of a turn's content, "" for a picture and the like."""
    if not isinstance(part, Mapping):
        return part if isinstance(part, str) else ""
    found = next((part[name] for name in ("text", *_THOUGHTS) if part.get(name)), "")
    return "".join(map(_text_of, found)) if isinstance(found, list) else _text_of(found)


def fenced_program(text: str, entry_point: str | None = None) -> str | None:
    """Returns the program of a text in which one is announced: in a fence, or begun by a line of code."""
    found = blocks(text)
    announced = found or _INLINE.search(text) or _STARTS.search(text) or _BEGIN_TAGS.match(text)
    return _program(text, found, entry_point) if announced else None


def bare_program(text: str) -> str | None:
    """Returns the program that a text without fences holds, None if it is prose.

    Fences that close nothing are dropped. What begins like a program is one, broken or not.
    """
    text = _LABEL.sub("", _BLANK_LINES.sub("", text)).rstrip()
    if not does_something(text):
        text = _BEGIN_TAGS.sub("", text)
        text = text[: end_tags(text)].rstrip()
    if does_something(text):
        return text
    text = _CLOSING.sub("", text).rstrip()
    if does_something(text):
        return text
    for starts, surely in ((_STARTS, True), (_MAY_START, False)):
        for start in islice(starts.finditer(text), _TRIES):
            rest = dedent(text[start.start() :])
            if (code := _longest(rest)) is not None:
                return code
            if surely:
                return rest
    return None


def _is_plain(block: Block) -> bool:
    return block.closed and bool(block.python) and not block.text.isspace() and block.text != ""


def _elsewhere(text: str, block: Block, entry_point: str | None) -> bool:
    """Whether the name that a program must define is defined only outside the block."""
    return entry_point is not None and defines(text, entry_point) and not defines(block.text, entry_point)


def _of_blocks(found: list[Block]) -> Iterator[_Candidate]:
    for block in found:
        if block.text.strip():
            code = _LABEL.sub("", block.text) if block.python is None else block.text
            yield _Candidate(code, block.python, block.start)


def _around(text: str, found: list[Block]) -> Iterator[_Candidate]:
    """Yields the code that stands before, between and behind blocks."""
    borders = [0, *(place for block in found for place in (block.start, block.end)), len(text)]
    for first, last in zip(borders[::2], borders[1::2], strict=True):
        if (code := bare_program(text[first:last])) is not None:
            yield _Candidate(code, None, first)


def _inline(text: str) -> Iterator[_Candidate]:
    """Yields the content of fences that begin in the middle of a line."""
    for inner in _INLINE.finditer(text):
        if (code := bare_program(inner[2].strip("\n"))) is not None:
            yield _Candidate(code, None, inner.start())


def _longest(text: str) -> str | None:
    """Returns the longest beginning that is a program, cut at ends of lines."""
    lines = text.split("\n")
    for _ in range(_TRIES):
        code = "\n".join(lines).rstrip()
        if not code:
            return None
        if not (broken := broken_line(code)):
            return code if does_something(code) else None
        # Each round cuts at the line where the parser stopped, at least one line.
        lines = lines[: min(broken - 1, len(lines) - 1)]
    return None
