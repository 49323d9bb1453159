"""Between token ids and text: exact decoding inside a turn, trimming on ids, the tokens of a step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from o1coder_gym.models.chat_template import encode_more, encode_prompt, encode_thought
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.steps.formats import Prompt, StepFormat
from o1coder_gym.types import ActionType, Problem, State, Step

_PROGRAM = "def f(x):\n    if x:\n\n        return x\n"


class TokenText:
    """A tokenizer seen from the middle of a turn.

    Some tokenizers drop a space at the start of a text. Decoding behind an anchor token keeps it.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Args: a transformers tokenizer."""
        self.tokenizer = tokenizer
        self._anchor = tokenizer.encode("\n", add_special_tokens=False)[-1:]
        self._anchor_length = len(self._plain(self._anchor))
        # The boundary is looked for after each token, so a token is decoded once and not once an occurrence.
        self._pieces: dict[int, str] = {}
        if self.decode(self.encode_more(_PROGRAM)) != _PROGRAM:
            told = "the tokenizer does not keep the blanks and line ends of programs: none will compile"
            warnings.warn(told, UserWarning, stacklevel=2)

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids of a prompt: chat template where the model has one, plain text otherwise."""
        return encode_prompt(self.tokenizer, _turns(prompt), prompt.prefill)

    def encode_thought(self, prompt: Prompt) -> tuple[tuple[int, ...], str]:
        """Returns the ids of a prompt up to an open thought, and the tag that closes it.

        Raises:
            UsageError: When the model's template knows no thoughts.
        """
        return encode_thought(self.tokenizer, _turns(prompt))

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text that continues an answer."""
        return encode_more(self.tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text that `ids` add to a turn."""
        return self._plain([*self._anchor, *ids])[self._anchor_length :]

    def piece(self, token: int) -> str:
        """Returns the text of one token; exact for whole characters."""
        if token not in self._pieces:
            self._pieces[token] = self.decode([token])
        return self._pieces[token]

    def completion(
        self, request: Generate, ids: Sequence[int], logprobs: Sequence[float], *, ended: bool, cut: bool
    ) -> Completion:
        """Makes a completion of what was sampled, trimmed at the boundary.

        Args:
            request: The request that it answers.
            ids: All sampled tokens.
            logprobs: Of `ids`.
            ended: Whether the last of them is an end token, which has no text.
            cut: Whether the limit of tokens ended it.
        """
        opening = request.prompt.opening
        written = ids[: len(ids) - ended]
        end = request.boundary(opening + self.decode(written))
        # The boundary is found in text, and cut on ids, which the next prompt is made of.
        kept = len(written) if end is None else self.trim(written, end - len(opening))
        return Completion(
            text=self.decode(ids[:kept]),
            token_ids=tuple(ids[:kept]),
            tokens=len(ids),
            logprob=min(0.0, sum(logprobs[:kept])),
            finish="length" if cut and end is None else "stop",
            sampled_ids=tuple(ids),
            sampled_logprobs=tuple(logprobs),
        )

    def trim(self, ids: Sequence[int], end: int) -> int:
        """Returns how many of `ids` the first `end` characters of their text take, blanks at the end aside.

        A token that closes a fence and opens a paragraph at once belongs to the fence.
        """
        # Compared by length of text, token by token from the end: tokens and characters do not align one to
        # one.
        wanted = len(self.decode(ids)[:end].rstrip())
        kept = len(ids)
        while kept and len(self.decode(ids[: kept - 1])) >= wanted:
            kept -= 1
        return kept

    def _plain(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def step_tokens(
    text: TokenText, step_format: StepFormat, problem: Problem, state: State, step: Step
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Returns the tokens that a policy samples for a step, and those that are put in before the next one.

    Args:
        text: Of the policy's tokenizer.
        step_format: How steps are written.
        problem: The question.
        state: Where the step is taken.
        step: The step.

    Returns:
        None for a step that cannot follow the opening that the format gives.
    """
    opening = step_format.prompt(problem, state).opening
    action = step_format.render(step, state.depth + 1)
    # Up to the next header, for that is where a policy stops: it has written the beginning of it.
    if step.type is not ActionType.CODE:
        action = f"{action.rstrip()}\n\n{step_format.prompt(problem, state.then(step)).opening}"
    if not action.startswith(opening):
        return None
    ids = text.encode_more(action.removeprefix(opening))
    written = opening
    # The first token at which sampling would have stopped; what lies behind it the format inserts.
    for count, token in enumerate(ids, start=1):
        written += text.piece(token)
        if step_format.boundary(written) is not None:
            return ids[:count], ids[count:]
    return ids, ()


def _turns(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in prompt.messages]
