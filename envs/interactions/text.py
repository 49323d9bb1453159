"""The free-text interaction: an action is the text of a step, an observation is text too.

The text space: any `str` up to a length, sampled as printable ASCII.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from gymnasium.wrappers.utils import create_zero_array

from o1coder_gym.envs.interactions.interaction import Cursor, base_info, max_steps_of, model_of
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.envs.settings import Settings, read_settings
from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.steps.formats import StepFormat, load_format
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import Problem, State

PRINTABLE = np.array(list(string.digits + string.ascii_letters + string.punctuation + " \n"))
SAMPLE_CHARS = 64
"""Longest text that `UnicodeText.sample` draws."""


class UnicodeText(Space[str]):
    """All strings of at most `max_length` characters.

    Gymnasium's own `Text` enumerates its character set, which for Unicode takes seconds and samples lone
    surrogates. A subclass of it would be mangled silently by `AsyncVectorEnv(shared_memory=True)`; this
    space is refused there with an error, and works with ``shared_memory=False``.
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        """Args: longest text in characters, ≥ 1; seed of `sample`."""
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        self.max_length = max_length
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed-size array form."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Draws a non-empty printable text of at most `SAMPLE_CHARS` characters; masks have no effect."""
        # Short and printable: samples feed checkers and demos, and surrogates cannot be encoded.
        length = self.np_random.integers(1, min(self.max_length, SAMPLE_CHARS), endpoint=True)
        return "".join(self.np_random.choice(PRINTABLE, size=length).tolist())

    def contains(self, x: Any) -> bool:
        """Whether `x` is a text of at most the allowed length."""
        return isinstance(x, str) and len(x) <= self.max_length

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Texts are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Reads what `to_jsonable` wrote."""
        return [str(text) for text in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        return hash((UnicodeText, self.max_length))

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"


@create_zero_array.register(UnicodeText)
def _empty_text(space: UnicodeText) -> str:
    """Lets `FrameStackObservation` and `DelayObservation` fill up with empty texts."""
    return ""


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
        feedback = cursor.transition.feedback if cursor.transition else ""
        seen = observation(
            model_of(self).problem(cursor.state.problem_id), self._format, cursor.state, feedback
        )
        if self.observation_format == "text":
            return "\n\n".join(seen[part] for part in ("question", "steps", "feedback") if seen[part])
        return seen

    def info(self, cursor: Cursor) -> dict[str, Any]:
        """Returns `interaction.base_info`, and ``messages``: what a chat model is shown for the next step.

        The steps so far are the last message, the assistant's; what it continues with is an action.
        """
        model = model_of(self)
        problem = model.problem(cursor.state.problem_id)
        return base_info(model, cursor) | {"messages": messages(problem, self._format, cursor.state)}

    @property
    def _format(self) -> StepFormat:
        source = self.source
        return source.format if isinstance(source, ReasoningModel) else load_format(source.format)


def text_interaction(*, observation_format: str = "dict", **settings: Any) -> TextInteraction:
    """Builds the interaction from plain arguments; see `env.TextEnv`."""
    return TextInteraction(read_settings(settings, "observation_format"), observation_format)


def messages(problem: Problem, step_format: StepFormat, state: State) -> list[dict[str, str]]:
    """Returns what a chat model is shown for the next step; the steps so far are the last turn."""
    shown = step_format.prompt(problem, state)
    # The opening of the next step is left out: the answer to these messages is an action, header included.
    steps = shown.prefill.removesuffix(shown.opening)
    turns = (*shown.messages, ("assistant", steps)) if steps else shown.messages
    return [{"role": role, "content": content} for role, content in turns]


def observation(problem: Problem, step_format: StepFormat, state: State, feedback: str) -> dict[str, Any]:
    """Returns what an acting agent sees in a state: question, steps so far, feedback, depth."""
    return {
        "question": question(problem),
        "steps": transcript(step_format, state),
        "feedback": feedback,
        "depth": state.depth,
    }


def transcript(step_format: StepFormat, state: State) -> str:
    """Returns the steps of a chain as the texts that led to it, one blank line between two."""
    texts = (step_format.render(step, index) for index, step in enumerate(state.steps, start=1))
    return "\n\n".join(text.rstrip() for text in texts)
