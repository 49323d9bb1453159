"""Fenced blocks in models' answers: CommonMark's (section 4.5), and near misses.

Beyond the standard a fence may close at the end of a line of code, or before more text on its line; one that
says Python may open behind text; and models forget to close: a fence with an info string inside a block that
is not Python begins a new one, and a program in an open block ends before tags and prose.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from itertools import islice

from o1coder_gym.steps.source import does_something, parsed

# One class for quotes and blanks: parts that share blanks took exponential time for "> > > …".
_MARGIN = r"(?P<margin>[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)"
_FENCE = r"(?P<fence>`{3,}+(?=[^`\n]*\n)|~{3,}+)[ \t]*(?P<info>[^\n]*)\n"
_OPENING = re.compile(
    rf"(?:^{_MARGIN}|(?<=[^\s`~])[ \t]*(?=(?:`{{3,}}|~{{3,}})(?i:python|py)[\d.]*[ \t\r]*\n)){_FENCE}", re.M
)
_OPENING_HERE = re.compile(_MARGIN + _FENCE)
_RUNS = {"`": re.compile(r"`{3,}"), "~": re.compile(r"~{3,}")}
_BEHIND = {mark: re.compile(rf"{mark}+[ \t\r]*(?:\n|\Z)") for mark in "`~"}
_MORE_BEHIND = {  # a tag, a mark, or words that are not an info string
    mark: re.compile(
        rf"{mark}+[ \t]*(?:[<.,:;!?)*]|(?!(?i:python|py)[\d.]*\b)\w+[,.:;!]?[ \t]+(?![\w-]*=))"
        rf"[^{mark}\n]*(?:\n|\Z)"
    )
    for mark in "`~"
}
_TRIES = 4
"""Lines that may end a block, those with more behind a fence or those of prose; each costs a parse."""

_END_TAG = re.compile(r"<[|\uff5c][^<>\n]{1,40}[|\uff5c]>|</\w+>|<eos>|<end_of_turn>|<turn\|>")
"""What ends an answer: a tag, or a token that ends a turn and that some servers let through."""

_PROSE = re.compile(
    r"^(?=[A-Z][\w'\u2019]*[,:;]?[ \t]+[\w'\u2019`\"(]|\d+[.)][ \t]+\w|[-*][ \t]+[A-Z`*]|\*\*\w|</?\w)", re.M
)
"""Where a line begins that no program has, in English or as Markdown."""

_MAY_GO_ON = re.compile(r"\"{3}|'{3}|\\\r?$", re.M)
"""What may begin a string that goes on in the next lines: only there a line of backticks is Python."""

_End = tuple[int, int, bool, int]
"""A run of marks that may close a block: its place and length, whether its line ends behind it, and where."""

_QUOTES = re.compile(r"(?:[ \t]*>[ \t]?)*")
_NAMES = re.compile(r"[\w.+#/-]+")
_PYTHON = re.compile(r"(?:[ic]?python|py)[\d.]*|sage|starlark|.+\.py")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        info: The info string of its opening fence.
        text: Its content, without the indentation of the opening fence.
        start: Where its first line begins.
        end: Where it ends, the line of its closing fence included.
        closed: Whether it has a closing fence; without one it runs to the end.
    """

    info: str
    text: str
    start: int
    end: int
    closed: bool

    @property
    def python(self) -> bool | None:
        """Whether the block is marked as Python; None if it has no mark."""
        return _says_python(self.info)


def fenced(code: str) -> str:
    """Returns a program in a fence that is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, _RUNS["`"].findall(code)), default=0))
    return f"{fence}python\n{code}\n{fence}\n"


def first_end(text: str, begin: int = 0, openings: int | None = None) -> int | None:
    """Returns the end of the first closing fence's line; None while the block is open, 0 without a fence.

    Once there is a fence, what it returns does not change as the text grows.

    Args:
        text: Some text.
        begin: Where to begin, as if the text began there.
        openings: Its `openings_end`, if it is known.
    """
    end = len(text) if openings is None else openings
    opening = _OPENING_HERE.match(text, begin) or _OPENING.search(text, begin + 1, end)
    if opening is None:
        return 0
    closing = _closing(text, opening)
    return closing.end if closing and text[closing.end - 1] == "\n" else None


def openings_end(text: str) -> int:
    """Returns where the last line ends that opens a block, 0 without one: behind it none needs be sought."""
    return max((opening.end() for opening in _OPENING.finditer(text)), default=0)


def end_tags(text: str, begin: int = 0) -> int:
    """Returns where the tags that end a text begin, with the blanks around them; its length without any."""
    place = found = len(text)
    # From the end, tag by tag: a search from the front would try each of many tags anew.
    while True:
        while place > begin and text[place - 1].isspace():
            place -= 1
        start = text.rfind("<", begin, place)
        if start < 0 or not _END_TAG.fullmatch(text, start, place):
            return place if found < len(text) else found
        found = place = start


def blocks(text: str) -> list[Block]:
    """Returns all fenced blocks of a text, in order."""
    return list(_blocks(text))


@dataclass(frozen=True, slots=True)
class _Closing:
    """Where a block's content ends, and where the line of its closing fence does."""

    content_end: int
    end: int


def _blocks(text: str) -> Iterator[Block]:
    place = 0
    while opening := _OPENING.search(text, place):
        closing = _closing(text, opening)
        content_end = closing.content_end if closing else len(text)
        if (again := _restart(text, opening, content_end)) is not None:
            closing, content_end, place = None, again, again
        else:
            place = closing.end if closing else len(text)
            if closing is None:
                content_end, place = _open_end(text, opening)
        body = _content(text[opening.end() : content_end], opening)
        yield Block(opening["info"].strip(), body, opening.start(), place, closing is not None)


def _closing(text: str, opening: re.Match[str]) -> _Closing | None:
    """Returns the closing fence of a block: on a line of its own, or behind a whole program."""
    fence, deepest = opening["fence"], len(opening["margin"] or "") + 3
    tries = _TRIES if _says_python(opening["info"]) is not False else 0
    bare, followed = (_long_enough(ends, opening) for ends in _ends(text, fence[0]))
    for place, _, is_bare, end in merge(bare, islice(followed, tries)):
        line = text.rfind("\n", 0, place) + 1
        if is_bare:
            before = text[line:place]
            blank = not before.strip(" \t>")
            content_end = line if blank else place
            alone = blank and len(before.expandtabs(4)) <= deepest
            # A fence behind code on the same line closes the block only if what it would leave is a whole
            # program: in the middle of one it may be part of a string.
            if alone or parsed(_content(text[opening.end() : content_end], opening)) is not None:
                return _Closing(content_end, end)
        elif does_something(_content(text[opening.end() : line], opening)):
            return _Closing(line, end)
    return None


def _long_enough(ends: list[_End], opening: re.Match[str]) -> Iterator[_End]:
    """Yields those behind an opening that have as many marks."""
    for index in range(bisect_left(ends, (opening.end(),)), len(ends)):
        if ends[index][1] >= len(opening["fence"]):
            yield ends[index]


@lru_cache(maxsize=4)
def _ends(text: str, mark: str) -> tuple[list[_End], list[_End]]:
    """Returns what may close a block, in order: runs that end their line, and those with more behind.

    Once for all blocks of a text: where many are opened and none closed, each would look at all again.
    """
    bare: list[_End] = []
    followed: list[_End] = []
    for run in _RUNS[mark].finditer(text):
        place, length = run.start(), len(run[0])
        before = text[text.rfind("\n", 0, place) + 1 : place]
        if behind := _BEHIND[mark].match(text, place):
            bare.append((place, length, True, behind.end()))
        elif not before.strip(" \t>") and (more := _MORE_BEHIND[mark].match(text, place)):
            followed.append((place, length, False, more.end()))
    return bare, followed


def _restart(text: str, opening: re.Match[str], end: int) -> int | None:
    """Returns where another block begins inside one that was never closed and is not Python as it stands."""
    if text.find(opening["fence"], opening.end(), end) < 0:
        return None
    for inner in _OPENING.finditer(text, opening.end(), end):
        # A bare fence could be the end of this block; one with an info string can only begin another.
        alike = inner["fence"].startswith(opening["fence"]) and inner["info"].strip()
        margins = [len(one["margin"] or "") for one in (inner, opening)]
        if alike and inner["margin"] is not None and margins[0] <= margins[1] + 3:
            # The parse of all that follows is spared where it must fail: there may be thousands of blocks.
            may_be = "~" in inner["fence"] or _MAY_GO_ON.search(text, opening.end(), inner.start())
            whole = may_be and parsed(_content(text[opening.end() : end], opening))
            return None if whole else inner.start()
    return None


def _open_end(text: str, opening: re.Match[str]) -> tuple[int, int]:
    """Returns where the content of an open block ends, and where the text goes on behind it."""
    begin, end = opening.end(), len(text)
    rest = text[begin:].rstrip()
    if rest.endswith(opening["fence"]):
        return begin + len(rest.removesuffix(opening["fence"])), end
    # What is Python stays whole, and so does what was cut in the middle of a statement.
    if _says_python(opening["info"]) is False or parsed(_content(text[begin:], opening)) is not None:
        return end, end
    tags = end_tags(text, begin)
    if tags < end and does_something(_content(text[begin:tags], opening)):
        return tags, end
    for prose in islice(_PROSE.finditer(text, begin), _TRIES):
        if does_something(_content(text[begin : prose.start()], opening)):
            return begin + len(text[begin : prose.start()].rstrip()), prose.start()
    return end, end


def _content(text: str, opening: re.Match[str]) -> str:
    """Returns a block's content: the opening's indentation and line ends of its kind taken off."""
    if opening["info"].endswith("\r"):
        text = text.replace("\r\n", "\n")
    if margin := opening["margin"]:
        quotes, quoted = margin.count(">"), _QUOTES.match(margin)
        width = len(margin) - (quoted.end() if quoted else 0)
        text = re.sub(rf"^(?:[ \t]*>[ \t]?){{0,{quotes}}}[ \t]{{0,{width}}}", "", text, flags=re.M)
    return text.removesuffix("\n")


def _says_python(info: str) -> bool | None:
    names = [name.strip(".").lower() for name in _NAMES.findall(info)]
    return any(_PYTHON.fullmatch(name) for name in names) if names else None
