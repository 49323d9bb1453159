"""The input of a process reward model: question and steps as tokens, with the place of each step's score.

m steps, T tokens. Tokens before a mark never depend on what follows it, so one pass over a whole chain gives
each step the score that its prefix alone would get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from o1coder_gym.errors import ScorerError
from o1coder_gym.models.chat_template import Tokenizer, encode_prompt, text_pieces
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.steps.prompts import question
from o1coder_gym.types import Problem, State


@dataclass(frozen=True, slots=True)
class EncodedSteps:
    """A chain as the model's input.

    Attributes:
        ids: Token ids, [T].
        marks: Position in `ids` at which the score of each step is read, [m], ascending.
    """

    ids: tuple[int, ...]
    marks: tuple[int, ...]


Layout: TypeAlias = Callable[[Tokenizer, str, list[str]], EncodedSteps]
"""Lays out a question and its m ≥ 1 steps, each without whitespace at its end."""


def separated(tokenizer: Tokenizer, asked: str, steps: list[str]) -> EncodedSteps:
    """This project's layout: the question as a chat, each step on its own lines, closed by the end token."""
    ids = list(encode_prompt(tokenizer, [{"role": "user", "content": asked}]))
    marks = []
    for step in steps:
        ids += _text(tokenizer, f"{step}\n")
        # By id, not by text: a step that spells the end token as text must not make a mark.
        ids.append(separator_of(tokenizer))
        marks.append(len(ids) - 1)
    return EncodedSteps(tuple(ids), tuple(marks))


def shepherd(tokenizer: Tokenizer, asked: str, steps: list[str]) -> EncodedSteps:
    """Math-Shepherd's layout: a tag ends each step; + or − is predicted there (arXiv 2312.08935)."""
    return _marked(
        lambda some: tokenizer.encode(f"{asked} " + "\n".join(f"{step} ки" for step in some)),
        steps,
        tokenizer.encode("ки")[-1],
    )


def rlhflow(tokenizer: Tokenizer, asked: str, steps: list[str]) -> EncodedSteps:
    """RLHFlow's layout: a chat in which each step is a user turn that is answered by + or −."""

    def encode(some: list[str]) -> list[int]:
        turns = [
            {"role": role, "content": text}
            for step in [f"{asked} {some[0]}", *some[1:]]
            for role, text in (("user", step), ("assistant", "+"))
        ]
        return list(tokenizer.apply_chat_template(turns, return_dict=False))

    signs = _marked(encode, steps, tokenizer.encode("+")[-1])
    # The sign is predicted at the token before it.
    return EncodedSteps(signs.ids, tuple(mark - 1 for mark in signs.marks))


def qwen(tokenizer: Tokenizer, asked: str, steps: list[str]) -> EncodedSteps:
    """The layout of Qwen2.5-Math-PRM: the steps in one assistant turn, each followed by <extra_0>."""
    told = "Please reason step by step, and put your final answer within \\boxed{}."

    def encode(some: list[str]) -> list[int]:
        answer = "".join(f"{step}<extra_0>" for step in some)
        turns = zip(("system", "user", "assistant"), (told, asked, answer), strict=True)
        conversation = [{"role": role, "content": text} for role, text in turns]
        return list(tokenizer.apply_chat_template(conversation, return_dict=False))

    return _marked(encode, steps, tokenizer.encode("<extra_0>")[-1])


def skywork(tokenizer: Tokenizer, asked: str, steps: list[str]) -> EncodedSteps:
    """The layout of Skywork-o1-Open-PRM: plain text, the score at the line end after each step."""
    ids = tokenizer.encode(f"{tokenizer.bos_token or ''}{asked}\n", add_special_tokens=False)
    line_end = tokenizer.encode("\n", add_special_tokens=False)[-1]
    marks = []
    for step in steps:
        ids += [*_text(tokenizer, step), line_end]
        marks.append(len(ids) - 1)
    return EncodedSteps(tuple(ids), tuple(marks))


def _text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Returns the ids of a step's text, no control token among them."""
    pieces = text_pieces(tokenizer, text)
    return [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]


def separator_of(tokenizer: Tokenizer) -> int:
    """Returns the token that closes a step: the end token, which never occurs inside one.

    Raises:
        ScorerError: When the tokenizer has none.
    """
    if tokenizer.eos_token_id is None:
        raise ScorerError("the tokenizer has no end token to separate steps with")
    return int(tokenizer.eos_token_id)


class StepText:
    """Encodes states for one model."""

    def __init__(
        self, tokenizer: Tokenizer, step_format: StepFormat, layout: Layout, max_length: int
    ) -> None:
        """Prepares to encode.

        Args:
            tokenizer: The model's.
            step_format: How steps are written.
            layout: How a question and its steps are laid out.
            max_length: Longest chain in tokens.
        """
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._format = step_format
        self._layout = layout

    def encode(self, problem: Problem, state: State) -> EncodedSteps:
        """Returns a state with at least one step as tokens, however many; see `fitted`."""
        steps = [self._format.render(step, j).rstrip() for j, step in enumerate(state.steps, start=1)]
        return self._layout(self.tokenizer, question(problem), steps)

    def fitted(self, problem: Problem, state: State) -> EncodedSteps:
        """Returns a state as tokens that fit: of a longer one the beginning is cut off.

        Raises:
            ScorerError: When even the last step alone does not fit.
        """
        encoded = self.encode(problem, state)
        # The beginning goes, not the end: the score stands at the end, and the last steps say most about it.
        cut = len(encoded.ids) - self.max_length
        if cut <= 0:
            return encoded
        marks = tuple(mark - cut for mark in encoded.marks)
        if len(marks) > 1 and marks[-2] < 0:
            raise ScorerError(f"{state.problem_id}: a step is longer than {self.max_length} tokens")
        return EncodedSteps(encoded.ids[cut:], marks)


def _marked(encode: Callable[[list[str]], list[int]], steps: list[str], tag: int) -> EncodedSteps:
    """Returns all steps encoded, each marked at its tag: the last one of the steps up to it.

    Tags are not counted in the whole, for a step may spell one, and marks before it would move.

    Raises:
        ScorerError: When an encoding has no tag of its last step.
    """
    ids, marks = [], []
    for count in range(1, len(steps) + 1):
        # Encoded anew for each count: a tokenizer may join a step's end with its tag, and then the tag has no
        # token of its own.
        ids = encode(steps[:count])
        marks.append(max((place for place, token in enumerate(ids) if token == tag), default=-1))
    if any(later <= mark for mark, later in pairwise([-1, *marks])):
        raise ScorerError(f"the tokenizer loses the tags of {len(steps)} steps; it is another model's")
    return EncodedSteps(tuple(ids), tuple(marks))
