"""What a model thinks before it answers: set apart from the answer, and never read as one."""

from __future__ import annotations

import re
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
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
)
"""What begins and what ends a thought, model by model."""

_CLOSING = dict(TAGS)
OPENING = "|".join(re.escape(opening) for opening, _ in TAGS)
"""Pattern of what begins a thought."""

_BEGIN = re.compile(rf"\s*({OPENING})")
_LONE = re.compile(
    "|".join(rf"^[ \t]*{re.escape(tag)}|{re.escape(tag)}[ \t\r]*$" for _, tag in TAGS[:-1]), re.M
)
_ANNOUNCED = re.compile(
    r"\s*(?:<\|start\|>assistant)?<\|channel\|>final(?:[ \t]*<\|constrain\|>\w+)?<\|message\|>"
)
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?^[ \t]*\1[`~]*[ \t\r]*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Thought:
    """An answer in its two parts.

    Attributes:
        text: What was thought, tags included; empty where nothing was.
        answer: What follows it; empty while the thought is not finished.
        finished: Whether the thought came to an end.
    """

    text: str
    answer: str
    finished: bool = True


def end_of_thought(text: str) -> int | None:
    """Returns where the thoughts at the beginning of a text end, 0 without one, None while one is open."""
    end = 0
    while begin := _BEGIN.match(text, end):
        closing = _CLOSING[begin[1]]
        found = text.find(closing, begin.end())
        if found < 0:
            return None
        end = found + len(closing)
    return end


def split_thought(text: str) -> Thought:
    """Sets apart what was thought, also where a template had opened the thought before the text began."""
    end = end_of_thought(text)
    if end is None:
        return Thought(text, "", finished=False)
    if not end and (lone := _lone_closing(text)):
        end = lone
    if announced := _ANNOUNCED.match(text, end):
        end = announced.end()
        return Thought(text[:end], text[end:].removesuffix("<|return|>"))
    return Thought(text[:end], text[end:])


def tags_of(template: str) -> tuple[str, str] | None:
    """Returns the pair of tags that a chat template names, None if it names none."""
    return next(((begin, end) for begin, end in TAGS if begin in template or end in template), None)


def opened_by(prompt: str) -> tuple[str, str] | None:
    """Returns the tags of the thought that a prompt ends in, None if it ends in none."""
    end = prompt.rstrip()
    return next(((begin, closing) for begin, closing in TAGS if end.endswith(begin)), None)


def _lone_closing(text: str) -> int:
    """Returns where a thought ends that has no beginning, 0 without one; a tag in a program ends nothing."""
    if not any(tag in text for _, tag in TAGS):
        return 0
    for found in _LONE.finditer(text):
        inside = any(one.start() < found.start() < one.end() for one in _FENCED.finditer(text))
        if not inside:
            return found.end()
    return 0
