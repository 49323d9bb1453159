"""The protocol of a step format, and functions of all formats."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from o1coder_gym.specs import registry
from o1coder_gym.steps.thinking import split_thought
from o1coder_gym.types import ActionType, Problem, State, Step


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of a language model.

    Attributes:
        messages: ``(role, content)`` turns, roles system, user and assistant; the last is a user turn.
        prefill: Beginning of the assistant turn that the model continues: the steps so far and `opening`.
        opening: The end of `prefill` that belongs to the next action; action = opening + continuation.
        stop: Strings before which an engine that cannot ask for the `boundary` may stop: an action never
            continues behind one.
    """

    messages: tuple[tuple[str, str], ...]
    prefill: str
    opening: str
    stop: tuple[str, ...] = ()


class StepFormat(Protocol):
    """A way to write reasoning steps."""

    @property
    def name(self) -> str:
        """The key in `FORMATS`."""
        ...

    @property
    def max_chars(self) -> int:
        """Longest action in characters; what is longer is malformed."""
        ...

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """Returns the prompt for an action in `state`."""
        ...

    def render(self, step: Step, index: int) -> str:
        """Returns the action text of `step`, which is step number `index` (from 1) of its chain."""
        ...

    def parse(self, action: str, entry_point: str | None = None) -> Step:
        """Reads an action; never raises. `MALFORMED` holds the raw text, cut to ``max_chars + 1``.

        Args:
            action: The text of the action; thoughts in it are left out.
            entry_point: Name that a program is to define; tells programs from drafts and usage.
        """
        ...

    def complaint(self, action: str) -> str:
        """Returns one sentence that says why `action` is malformed, or "" if it is fine."""
        ...

    def boundary(self, action: str) -> int | None:
        """Returns where the first action in a text ends, None while it is incomplete.

        Args:
            action: Text that starts with the action's opening and grows as the model writes.
        """
        ...


FORMATS: Mapping[str, StepFormat] = registry.BuiltIn("format")
"""The step formats of this project by name."""


def load_format(name: str) -> StepFormat:
    """Returns the format called `name`, one of this project or of an installed package.

    Raises:
        UnknownNameError: When there is none.
        PluginError: When its package does not work.
    """
    return registry.find("format", name).object()


def read_action(step_format: StepFormat, action: str, entry_point: str | None) -> Step:
    """Reads an action that may name its program, also in a format of a package that knows no entry points."""
    return step_format.parse(action, entry_point) if _knows(type(step_format)) else step_format.parse(action)


def is_prose(step_format: StepFormat, action: str) -> bool:
    """Whether an action that is taken for a program holds none; only vanilla's can."""
    reader = getattr(step_format, "is_prose", None)
    return reader is not None and reader(action)


def read_answer(step_format: StepFormat, opening: str, entry_point: str | None, answer: str) -> str:
    """Returns the action in an answer that was given without its opening, e.g. by a chat server.

    Args:
        step_format: The format that was asked for.
        opening: The requested beginning of the answer.
        entry_point: See `StepFormat.parse`.
        answer: All that was said, thoughts included; these stay before the action.
    """
    reader = getattr(step_format, "read_answer", None)
    if reader is not None:
        return reader(answer, opening, entry_point)
    thought = split_thought(answer)
    action = opening + without(thought.answer, opening.strip())
    return thought.before(action[: step_format.boundary(action)])


def split_chain(step_format: StepFormat, text: str) -> list[str]:
    """Cuts a whole chain into the texts of its steps, up to the first program."""
    if (splitter := getattr(step_format, "split", None)) is not None:
        texts = splitter(text)
    else:
        texts, rest = [], text
        while rest.strip():
            end = step_format.boundary(rest)
            texts.append(rest[:end])
            rest = rest[end:] if end else ""
    programs = [i for i, one in enumerate(texts) if step_format.parse(one).type is ActionType.CODE]
    return texts[: programs[0] + 1] if programs else texts


def transcript(step_format: StepFormat, state: State) -> str:
    """Returns the steps so far, each ending its line and followed by a blank one."""
    texts = (step_format.render(step, index) for index, step in enumerate(state.steps, start=1))
    return "".join(f"{text.rstrip()}\n\n" for text in texts)


def without(said: str, opening: str) -> str:
    """Drops an opening that was repeated, with what stands before it."""
    start = said.find(opening)
    return said[start + len(opening) :].removeprefix("\n") if start >= 0 else said


@lru_cache(maxsize=64)
def _knows(kind: type[StepFormat]) -> bool:
    return "entry_point" in inspect.signature(kind.parse).parameters
