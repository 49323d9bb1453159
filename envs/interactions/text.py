"""The free-text interaction: an action is the text of a step, an observation is text too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gymnasium import Space, spaces

from o1coder_gym.envs.interactions.interaction import Cursor, base_info, max_steps_of, model_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings
from o1coder_gym.envs.spaces import UnicodeText
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.steps.formats import StepFormat, load_format
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import State

OBSERVATION_FORMATS = ("dict", "text")
MAX_OBSERVATION_CHARS = 1 << 24
"""Bound of the texts in an observation; chains within the step limit stay far below it."""


@dataclass(frozen=True, slots=True)
class TextInteraction:
    """Text in, text out.

    Attributes:
        source: The model, or the settings that name it.
        observation_format: ``"dict"`` or ``"text"``.
    """

    source: Settings | ReasoningModel
    observation_format: str = "dict"

    def __post_init__(self) -> None:
        """Raises `UnknownNameError` when there is no such observation format."""
        if self.observation_format not in OBSERVATION_FORMATS:
            raise UnknownNameError("observation format", self.observation_format, OBSERVATION_FORMATS)

    def action_space(self) -> Space[Any]:
        """Texts up to the longest action that the step format reads."""
        return UnicodeText(self._format.max_chars)

    def observation_space(self) -> Space[Any]:
        """A Dict of question, steps, feedback and depth; or one text."""
        text = UnicodeText(MAX_OBSERVATION_CHARS)
        if self.observation_format == "text":
            return text
        return spaces.Dict(
            {
                "question": text,
                "steps": UnicodeText(MAX_OBSERVATION_CHARS),
                "feedback": UnicodeText(MAX_OBSERVATION_CHARS),
                "depth": spaces.Discrete(max_steps_of(self) + 1),
            }
        )

    def begin(self, starts: Sequence[tuple[str, int]]) -> list[Cursor]:
        """Returns cursors at the questions."""
        model = model_of(self)
        return [Cursor(model.initial(task_id), seed=seed) for task_id, seed in starts]

    def advance(self, moves: Sequence[tuple[Cursor, Any]]) -> list[Cursor]:
        """Takes a step of text at each cursor; programs are judged in one batch."""
        for _, action in moves:
            if not isinstance(action, str):
                raise UsageError(f"an action is the text of a step, got a {type(action).__name__}")
        transitions = model_of(self).advance([(cursor.state, action) for cursor, action in moves])
        return [
            Cursor(transition.state, transition, cursor.seed)
            for (cursor, _), transition in zip(moves, transitions, strict=True)
        ]

    def observe(self, cursor: Cursor) -> Any:
        """Returns question, steps so far, feedback on the last action, and depth."""
        asked = question(model_of(self).problem(cursor.state.problem_id))
        steps = transcript(self._format, cursor.state)
        feedback = cursor.transition.feedback if cursor.transition else ""
        if self.observation_format == "text":
            return "\n\n".join(part for part in (asked, steps, feedback) if part)
        return {"question": asked, "steps": steps, "feedback": feedback, "depth": cursor.state.depth}

    def info(self, cursor: Cursor) -> dict[str, Any]:
        """Returns `interaction.base_info`."""
        return base_info(model_of(self), cursor)

    @property
    def _format(self) -> StepFormat:
        source = self.source
        return source.format if isinstance(source, ReasoningModel) else load_format(source.format)


def text_interaction(*, observation_format: str = "dict", **settings: Any) -> TextInteraction:
    """Builds the interaction from plain arguments; see `env.TextEnv`."""
    return TextInteraction(Settings(**settings), observation_format)


def transcript(step_format: StepFormat, state: State) -> str:
    """Returns the steps of a chain as the texts that led to it, one blank line between two."""
    texts = (step_format.render(step, index) for index, step in enumerate(state.steps, start=1))
    return "\n\n".join(text.rstrip() for text in texts)
