"""A model's thoughts before its answer: separated from the answer, and never read as one."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<mm:think>", "</mm:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
)
"""What begins and what ends a thought, model by model."""

_CLOSING = dict(TAGS)
_TURN_END = TAGS[-1][1]
"""Ends a thought in a channel, and any turn; other models have it too."""

_TURN, _FINAL = "<|start|>assistant", "<|channel|>final<|message|>"
"""What opens a turn, and in it an answer, where thoughts have a channel (OpenAI's harmony format)."""

OPENING = "|".join(re.escape(opening) for opening, _ in TAGS)
"""Pattern of what begins a thought."""

_BEGIN = re.compile(rf"\s*(?:<\|start\|>assistant)?({OPENING})")
_LATER = re.compile(rf"^[ \t]*({OPENING})", re.M)
_LONE = re.compile(
    "|".join(rf"^[ \t]*{re.escape(tag)}|{re.escape(tag)}[ \t\r]*$" for _, tag in TAGS[:-1]), re.M
)
_ANNOUNCED = re.compile(
    r"\s*(?:<\|start\|>assistant)?<\|channel\|>final(?:[ \t]*<\|constrain\|>\w+)?<\|message\|>"
)
_FENCE = re.compile(r"^[ \t]*(?P<run>`{3,}+|~{3,}+)(?P<info>[^\n]*)$", re.M)


@dataclass(frozen=True, slots=True)
class Thought:
    """An answer in its two parts.

    Attributes:
        text: The thought, tags included; empty without one.
        answer: The text after it; empty while the thought is unfinished.
        finished: Whether the thought came to an end.
    """

    text: str
    answer: str
    finished: bool = True

    def before(self, answer: str) -> str:
        """Returns another answer behind the thought, from which it can be told apart again."""
        # A closing tag without its opening is one at the end of a line only.
        joint = "\n" if self.text and not self.text.endswith("\n") else ""
        return self.text + joint + answer


def end_of_thought(text: str, begin: int = 0) -> int | None:
    """Returns where the thoughts at a place in a text end, `begin` without one, None while one is open.

    What announces the answer, in formats with channels, belongs to the thoughts.
    """
    end = begin
    while opening := _BEGIN.match(text, end):
        closing = _CLOSING[opening[1]]
        found = text.find(closing, opening.end())
        if found < 0:
            return None
        end = found + len(closing)
    announced = _ANNOUNCED.match(text, end)
    return announced.end() if announced else end


def split_thought(text: str) -> Thought:
    """Separates the thought, even if a template had opened it before the text began."""
    begin, end = 0, end_of_thought(text)
    if end == 0 and (begin := _lone_closing(text)):
        end = end_of_thought(text[begin:])  # it may think again
    if end is None:
        return Thought(text, "", finished=False)
    return Thought(text[: begin + end], text[begin + end :].removesuffix("<|return|>"))


def later_thoughts(text: str) -> list[tuple[int, int]]:
    """Returns where thoughts begin and end that begin a line outside fences; an open one never ends."""
    found: list[tuple[int, int]] = []
    if any(tag in text for tag, _ in TAGS):
        fences = _fences(text)
        for begin in _LATER.finditer(text):
            if begin.start() < (found[-1][1] if found else 0) or within(fences, begin.start()):
                continue
            end = text.find(_CLOSING[begin[1]], begin.end())
            found.append((begin.start(), end + len(_CLOSING[begin[1]]) if end >= 0 else len(text)))
    return found


def tags_of(template: str) -> tuple[str, str] | None:
    """Returns the pair of tags that a chat template names, None if it names none."""
    named = (
        (begin, end) for begin, end in TAGS if begin in template or (end in template and end != _TURN_END)
    )
    return next(named, None)


def opened_by(prompt: str) -> tuple[str, str] | None:
    """Returns the tags of the thought that a prompt ends in, None if it ends in none."""
    end = prompt.rstrip()
    return next(((begin, closing) for begin, closing in TAGS if end.endswith(begin)), None)


def before_answer(prompt: str, tags: tuple[str, str] | None) -> str:
    """Returns the text after which a prompt is continued by an answer, not a thought.

    Args:
        prompt: Its end is enough.
        tags: Those of the model's thoughts; None: it may open one all the same.
    """
    end, tags = prompt.rstrip(), tags or opened_by(prompt)
    if end.endswith(_TURN):
        return _FINAL
    if tags is None or end.endswith((tags[1], _FINAL)):
        return ""
    if end.endswith(tags[0]):
        return behind_thought(tags[1]).removeprefix("\n" if prompt.endswith("\n") else "")
    return f"{tags[0]}\n\n{tags[1]}\n\n"


def behind_thought(closing: str) -> str:
    """Returns what stands between a thought and the answer, the tag that closes it among that."""
    return f"{closing}{_TURN}{_FINAL}" if closing == _TURN_END else f"\n\n{closing}\n\n"


def _lone_closing(text: str) -> int:
    """Returns where a thought ends that has no beginning, 0 without one; a tag in a program ends nothing."""
    if not any(tag in text for _, tag in TAGS):
        return 0
    inside = [*later_thoughts(text), *_fences(text)]
    lone = (found.end() for found in _LONE.finditer(text) if not within(inside, found.start()))
    return next(lone, 0)


def _fences(text: str) -> list[tuple[int, int]]:
    """Returns where fenced blocks begin and end that are closed; a fence that is not holds nothing."""
    fences = list(_FENCE.finditer(text))
    closing = [fence for fence in fences if not fence["info"].strip(" \t\r")]
    found: list[tuple[int, int]] = []
    unclosed: set[str] = set()  # asked once for each run of marks: models repeat themselves a thousand times
    for fence in fences:
        if fence["run"] in unclosed or fence.start() < (found[-1][1] if found else 0):
            continue
        first = bisect_right(closing, fence.start(), key=re.Match.start)
        behind = (closing[place] for place in range(first, len(closing)))
        end = next((one.end() for one in behind if one["run"].startswith(fence["run"])), None)
        if end is None:
            unclosed.add(fence["run"])
        else:
            found.append((fence.start(), end))
    return found


def within(spans: list[tuple[int, int]], place: int) -> bool:
    """Whether a place in a text is in one of the spans."""
    return any(begin <= place < end for begin, end in spans)
