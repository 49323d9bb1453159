"""Finds the Python statements in what a model wrote: code, with prose, marks and fences around it."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from o1coder_gym.tcg.reading.literals import parse_source

_LONGEST_STATEMENT = 60
_OPENERS = ("def ", "class ", "for ", "if ", "while ", "with ", "match ", "try:", "async ", "@")
_CONTINUATIONS = (")", "]", "}", "except", "else:", "elif ", "finally:")
DENIED = re.compile(r"==.*#.*\bFalse\b")
"""A comparison and the comment that it does not hold."""
_MARKS = (">>> ", "... ", "- ", "* ", "• ", "+ ")


@dataclass(frozen=True, slots=True)
class Statements:
    """What was found in a text.

    Attributes:
        found: Statements in order.
        broken: Lines that begin like an assertion and are not Python.
    """

    found: tuple[ast.stmt, ...]
    broken: int


def find_statements(text: str) -> Statements:
    """Reads the statements that begin at the beginning of a line.

    A statement may run over several lines; list marks, quotes, fences and ``>>>`` before it do not count.
    A block that does not parse, because the text ends in it, is read line by line.
    """
    lines = text.split("\n")
    found: list[ast.stmt] = []
    broken = start = 0
    while start < len(lines):
        statements, used = _statements_at(lines, start)
        broken += not statements and _without_marks(lines[start]).startswith(("assert ", "self.assert"))
        found.extend(statements)
        start += used
    return Statements(tuple(found), broken)


def _statements_at(lines: Sequence[str], start: int) -> tuple[Sequence[ast.stmt], int]:
    """Returns the statements that begin at a line, and how many lines they take."""
    first = _without_marks(lines[start])
    if not first or (DENIED.search(first) and not first.startswith("assert")):
        return (), 1
    if first.startswith(_OPENERS):
        return _block_at(lines, start)
    # Line by line until it parses; only an open bracket or a backslash asks for another line.
    for end in range(start + 1, min(start + _LONGEST_STATEMENT, len(lines)) + 1):
        tree = parse_source("\n".join((first, *lines[start + 1 : end])))
        if tree is not None:
            return tree.body, end - start
        if not _is_open(first):
            break
    return (), 1


def _block_at(lines: Sequence[str], start: int) -> tuple[Sequence[ast.stmt], int]:
    """Returns a compound statement: its decorators, its first line, and all that is indented deeper."""
    indent = _indent(lines[start])
    end = start
    # Decorators stand at the function's own indentation and would end the block.
    while lines[end].lstrip().startswith("@") and end + 1 < len(lines):
        end += 1
    end += 1
    while end < len(lines) and _continues(lines[end], indent):
        end += 1
    tree = parse_source("\n".join(line[indent:] for line in lines[start:end]))
    return (tree.body, end - start) if tree else ((), 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _continues(line: str, indent: int) -> bool:
    return not line.strip() or _indent(line) > indent or line.lstrip().startswith(_CONTINUATIONS)


def _is_open(line: str) -> bool:
    """Whether a line opens a bracket that it does not close, or ends in a backslash."""
    # Brackets in strings count too: a line that parses is never asked.
    opened, closed = (sum(line.count(mark) for mark in marks) for marks in ("([{", ")]}"))
    return opened > closed or line.endswith("\\")


def _without_marks(line: str) -> str:
    """Returns a line without quotes and without the mark or number of a list item."""
    bare = line.strip().strip("`").strip()
    for mark in _MARKS:
        bare = bare.removeprefix(mark)
    number, _, rest = bare.partition(" ")
    if number[:-1].isdigit() and number[-1] in ".)":
        bare = rest
    return bare.strip().strip("`")
