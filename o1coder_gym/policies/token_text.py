"""Between token ids and text: exact decoding inside a turn, and trimming on ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.steps.formats import Prompt


class TokenText:
    """A tokenizer seen from the middle of a turn.

    Some tokenizers drop a space at the start of a text. Decoding behind an anchor token keeps it.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Args: a transformers tokenizer."""
        self.tokenizer = tokenizer
        self._anchor = tokenizer.encode("\n", add_special_tokens=False)[-1:]
        self._anchor_length = len(self._plain(self._anchor))
        self._pieces: dict[int, str] = {}

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids of a prompt: chat template where the model has one, plain text otherwise."""
        if not self.tokenizer.chat_template:
            text = "".join(f"{content}\n\n" for _, content in prompt.messages) + prompt.prefill
            return tuple(self.tokenizer.encode(text))
        return self.encode_more(self._chat(prompt.messages) + prompt.prefill)

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text that continues a turn."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False)) if text else ()

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
            request: What it answers.
            ids: All sampled tokens.
            logprobs: Of `ids`.
            ended: Whether the last of them is an end token, which has no text.
            cut: Whether the limit of tokens ended it.
        """
        opening = request.prompt.opening
        written = ids[: len(ids) - ended]
        end = request.boundary(opening + self.decode(written))
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
        wanted = len(self.decode(ids)[:end].rstrip())
        kept = len(ids)
        while kept and len(self.decode(ids[: kept - 1])) >= wanted:
            kept -= 1
        return kept

    def _plain(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _chat(self, messages: Sequence[tuple[str, str]]) -> str:
        from jinja2 import TemplateError

        render: Callable[..., str] = self.tokenizer.apply_chat_template
        turns = [{"role": role, "content": content} for role, content in messages]
        try:
            return render(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError:  # Some templates have no system turn.
            system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
            rest = [turn for turn in turns if turn["role"] != "system"]
            rest[0] = {"role": "user", "content": f"{system}\n\n{rest[0]['content']}"}
            return render(rest, tokenize=False, add_generation_prompt=True)
