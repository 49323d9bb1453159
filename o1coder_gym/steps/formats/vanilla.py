"""No steps: an action is a program."""

from __future__ import annotations

import re
from dataclasses import dataclass

from o1coder_gym.steps import prompts
from o1coder_gym.steps.answers import bare_program, find_program
from o1coder_gym.steps.fences import blocks, fenced, first_end
from o1coder_gym.steps.formats.actions import THOUGHT_IN_BODY, UNFINISHED, body_said, malformed, too_long
from o1coder_gym.steps.formats.format import Prompt, StepFormat, transcript
from o1coder_gym.steps.thinking import end_of_thought, split_thought
from o1coder_gym.types import ActionType, Problem, State, Step

_FENCE_START = re.compile(r"\s*+(?:`{3,}+|~{3,}+)[^\n]*\n")
_EMPTY = "The action is empty; write a program in a ```python block."


@dataclass(frozen=True, slots=True)
class VanillaFormat:
    """No reasoning steps: one action is one program."""

    name: str = "vanilla"
    max_chars: int = 16_384

    def prompt(self, problem: Problem, state: State) -> Prompt:
        """EvalPlus' instruct prompt, the fence opened."""
        content = f"{prompts.VANILLA_INSTRUCTION}\n```\n{prompts.question(problem)}\n```"
        opening = "```python\n"
        prefill = transcript(self, state) + prompts.VANILLA_OPENING + opening
        return Prompt((("user", content),), prefill, opening, ("\n```",))

    def render(self, step: Step, index: int) -> str:
        """The program in a fence; any other step is its raw text."""
        return fenced(step.text) if step.type is ActionType.CODE else step.text

    def parse(self, action: str, entry_point: str | None = None) -> Step:
        """The program, from a fence or from among the text; prose is the program that it is not."""
        if self.complaint(action):
            return malformed(action, self.max_chars)
        said = _program_said(action)
        program = find_program(said, entry_point)
        return Step(ActionType.CODE, said.rstrip() if program is None else program)

    def complaint(self, action: str) -> str:
        """Nothing, too much, and a thought without an end are malformed."""
        said = _program_said(action)
        if not said.strip():
            return UNFINISHED if action.strip() else _EMPTY
        return too_long(said, self.max_chars) if len(said) > self.max_chars else ""

    def is_prose(self, action: str) -> bool:
        """Whether an action holds no program, though it is judged as one."""
        return find_program(_program_said(action)) is None

    def boundary(self, action: str) -> int | None:
        """After the line of the closing fence."""
        thought = end_of_thought(action)
        if thought is None or (end := first_end(action[thought:])) is None:
            return None
        return thought + end if end else None

    def split(self, text: str) -> list[str]:
        """Returns the whole text: it is one program."""
        return [text] if text.strip() else []

    def read_answer(self, answer: str, opening: str, entry_point: str | None = None) -> str:
        """Returns the program in a fence, or the answer itself where it holds none."""
        thought = split_thought(answer)
        program = find_program(thought.answer, entry_point)
        return answer if program is None else thought.before(fenced(program))


VANILLA: StepFormat = VanillaFormat()


def _program_said(action: str) -> str:
    """Returns a program's text without thoughts, also behind an opening that a model thought over."""
    opening = _FENCE_START.match(action)
    if opening and THOUGHT_IN_BODY.match(action, opening.end()):
        body = action[opening.end() :]
        if bare_program(body_said(body)) or not _is_one_block(action):
            action = body
    return split_thought(action).answer


def _is_one_block(text: str) -> bool:
    found = blocks(text)
    return len(found) == 1 and found[0].closed and not text[found[0].end :].strip()
