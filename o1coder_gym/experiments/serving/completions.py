"""The bodies of OpenAI's older text completions: a question in, the chosen program as text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from o1coder_gym.experiments.serving.chat import Asked, ChatRequest, refuse

_UNSUPPORTED = ("logprobs", "logit_bias", "suffix", "echo", "prompt_logprobs")


class CompletionRequest(Asked):
    """A text completion; the prompt is the question."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    best_of: Annotated[int | None, Field(ge=1, le=1)] = None

    @model_validator(mode="before")
    @classmethod
    def _asks_for_nothing_else(cls, body: Any) -> Any:
        return refuse(body, _UNSUPPORTED)

    @field_validator("prompt")
    @classmethod
    def _is_a_question(cls, prompt: str | list[str]) -> str:
        text = prompt if isinstance(prompt, str) else prompt[0]
        if not text.strip():
            raise ValueError("must be a question, got blank text")
        return text

    def chat(self) -> ChatRequest:
        """Returns the same request as a conversation of one turn."""
        return self.as_chat([{"role": "user", "content": str(self.prompt)}], "prompt", "best_of")


def text_completion(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of a text completion, from that of a chat completion."""
    return _of_texts(body, [(choice, choice["message"]["content"]) for choice in body["choices"]])


def text_chunk(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns a chunk of a stream from a chat's chunk; None for content that text completions lack."""
    texts = [(choice, choice["delta"].get("content", "")) for choice in body["choices"]]
    found = [(choice, text) for choice, text in texts if text or choice["finish_reason"]]
    return _of_texts(body, found) if found or "usage" in body else None


def _of_texts(body: Mapping[str, Any], texts: Sequence[tuple[Mapping[str, Any], str]]) -> dict[str, Any]:
    choices = [
        {"index": one["index"], "text": text, "finish_reason": one["finish_reason"], "logprobs": None}
        for one, text in texts
    ]
    return {**body, "object": "text_completion", "choices": choices}
