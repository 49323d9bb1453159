"""Shared parts of reading an action: thoughts, openings, complaints."""

from __future__ import annotations

import re

from o1coder_gym.steps import prompts
from o1coder_gym.steps.thinking import OPENING, end_of_thought
from o1coder_gym.types import ActionType, Step

THOUGHT_IN_BODY = re.compile(rf"\n*(?={OPENING})")
_OPENINGS = re.compile(
    rf"^### Step 1 \([a-z]+\)\n|^### Step (?!1 )\d+ \(|\A{re.escape(prompts.VANILLA_OPENING)}```python\n",
    re.M,
)
UNFINISHED = "The action is a thought only; think shorter and write the step behind it."


def body_said(body: str) -> str:
    """Returns the body of a step without the thoughts at its beginning."""
    if not THOUGHT_IN_BODY.match(body):
        return body
    end = end_of_thought(body)
    return "" if end is None else body[end:]


def opening_ends(answer: str) -> list[int]:
    """Returns where in a whole answer the openings end that a policy is given, ascending."""
    return [found.end() for found in _OPENINGS.finditer(answer)]


def malformed(action: str, max_chars: int) -> Step:
    """Returns the step of an action that could not be read: its raw text, cut."""
    return Step(ActionType.MALFORMED, action[: max_chars + 1])


def too_long(action: str, max_chars: int) -> str:
    """Complains of an action with more characters than are allowed."""
    return f"The action has {len(action)} characters; at most {max_chars} are allowed."
