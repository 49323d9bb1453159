"""Turns the messages of a chat into the problem that an agent works on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from o1coder_gym.problems.formats.reading.docstring_examples import docstring_examples
from o1coder_gym.problems.formats.reading.test_code import called_by
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.types import AssertTest, Problem

_DEFINED = re.compile(r"^[ \t]*def[ \t]+([A-Za-z_]\w*)[ \t]*\(", re.M)
_NAMED = re.compile(r"\bfunction(?: named| called)? `?([A-Za-z_]\w*)`?\(|`([A-Za-z_]\w*)\([^`]*\)`")
_CALLED = re.compile(r"\bfunction (?:named|called) `?([A-Za-z_]\w*)`?")


def question(turns: Sequence[tuple[str, str]], entry_point: str | None, tests: Sequence[str]) -> Problem:
    """Returns the problem that a conversation poses.

    Asserts and docstring examples that the last message shows become public tests. Equal conversations get
    equal task ids, so that a seed means the same for both.

    Args:
        turns: (role, text) of the messages, at least one.
        entry_point: Name of the function asked for; None reads it off the last message. A question that
            names no function is taken to ask for a whole program.
        tests: Assert statements beside those of the question.
    """
    prompt = turns[0][1] if len(turns) == 1 else "\n\n".join(f"{role}: {text}" for role, text in turns)
    asked = turns[-1][1]
    asserts = [line for line in map(str.strip, asked.splitlines()) if called_by(line)]
    name = entry_point or _function(asked, asserts)
    shown = [line for line in asserts if name in called_by(line)]
    public = [AssertTest(code) for code in dict.fromkeys((*shown, *tests))] if name else []
    examples = docstring_examples(asked, name) if name and not public else ()
    digest = content_hash(repr((tuple(turns), name, tuple(tests))), 8)
    return Problem(f"chat/{digest}", prompt, name, (*public, *examples))


def _function(text: str, asserts: Sequence[str]) -> str | None:
    """Returns the name of the function that a question asks for, None where it names none."""
    if defined := _DEFINED.findall(text):
        return defined[-1]
    for line in asserts:
        return called_by(line)[0]
    for pattern in (_NAMED, _CALLED):
        if match := pattern.search(text):
            return next(name for name in match.groups() if name)
    return None
