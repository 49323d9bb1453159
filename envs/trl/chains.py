"""Completions of a trainer, text or messages, read as chains of steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from o1coder_gym.steps.answers import said_in
from o1coder_gym.steps.formats import StepFormat, read_action, split_chain
from o1coder_gym.types import Step

Completion: TypeAlias = str | Sequence[Mapping[str, Any] | None] | None


def read_texts(completion: Completion, step_format: StepFormat) -> list[str]:
    """Cuts a whole chain into the texts of its steps, up to the first program."""
    return split_chain(step_format, _text(completion))


def read_chain(
    completion: Completion, step_format: StepFormat, entry_point: str | None = None
) -> tuple[Step, ...]:
    """Reads the steps of a whole chain, up to the first program."""
    texts = read_texts(completion, step_format)
    return tuple(read_action(step_format, action, entry_point) for action in texts)


def _text(completion: Completion) -> str:
    """Returns a completion as text; of a conversation what the assistant said. What is None says nothing."""
    if completion is None or isinstance(completion, str):
        return completion or ""
    turns = [turn for turn in completion if turn is not None]
    return "\n\n".join(_said(turn) for turn in turns if turn.get("role") == "assistant")


def _said(turn: Mapping[str, Any]) -> str:
    """Returns what an assistant's turn says: the actions of its tool calls, else its content."""
    # A chain may be played by tool calls; then the actions are in their arguments, not in the text.
    calls = [call for call in turn.get("tool_calls") or () if call is not None]
    given = [(call.get("function") or call).get("arguments") for call in calls]
    actions = [action for arguments in given if (action := _action(arguments)) is not None]
    return "\n\n".join(actions) or said_in(turn)


def _action(arguments: Any) -> str | None:
    """Returns the action among a tool call's arguments, which may be JSON; None where there is none."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return None
    action = given.get("action") if isinstance(given, Mapping) else None
    return None if action is None else str(action)
