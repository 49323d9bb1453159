"""The bodies of OpenAI's responses: the reasoning and the chosen program as items of an output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from o1coder_gym.experiments.serving.chat import Asked, ChatRequest, refuse

_UNSUPPORTED = (
    "tools",
    "previous_response_id",
    "conversation",
    "background",
    "include",
    "stream",
    "text",
    "prompt",
)


class _Part(BaseModel):
    type: Literal["input_text", "output_text", "text"]
    text: str


class _Item(BaseModel):
    """A turn of the input; items of other types are refused."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]

    @property
    def turn(self) -> dict[str, str]:
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": self.role, "content": text}


class ResponseRequest(Asked):
    """A response; nothing is stored, so that none continues an earlier one."""

    input: str | Annotated[list[_Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int | None, Field(ge=1)] = None

    @model_validator(mode="before")
    @classmethod
    def _asks_for_nothing_else(cls, body: Any) -> Any:
        plain = isinstance(body, Mapping) and body.get("text") in ({}, {"format": {"type": "text"}})
        return refuse(body, tuple(name for name in _UNSUPPORTED if not (plain and name == "text")))

    @field_validator("input")
    @classmethod
    def _ends_with_a_question(cls, given: str | list[_Item]) -> str | list[_Item]:
        last = {"role": "user", "content": given} if isinstance(given, str) else given[-1].turn
        if last["role"] != "user" or not last["content"].strip():
            raise ValueError("must end with a question of the user")
        return given

    def chat(self) -> ChatRequest:
        """Returns the same request as a conversation."""
        given = self.input
        turns = (
            [{"role": "user", "content": given}] if isinstance(given, str) else [one.turn for one in given]
        )
        if self.instructions:
            turns.insert(0, {"role": "system", "content": self.instructions})
        asked = self.as_chat(turns, "input", "instructions", "max_output_tokens", "text", "store")
        return asked.model_copy(update={"max_tokens": self.max_output_tokens or asked.max_tokens})


def response(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of a response, made from the body of a chat completion with one choice."""
    choice, usage, name = body["choices"][0], body["usage"], str(body["id"]).removeprefix("chatcmpl-")
    message, whole = choice["message"], choice["finish_reason"] == "stop"
    said = {"type": "output_text", "text": message["content"], "annotations": []}
    thought = {"type": "summary_text", "text": message["reasoning_content"]}
    status = "completed" if whole else "incomplete"
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": body["created"],
        "model": body["model"],
        "status": status,
        "incomplete_details": None if whole else {"reason": "max_output_tokens"},
        "error": None,
        "output": [
            {"id": f"rs_{name}", "type": "reasoning", "summary": [thought]},
            {
                "id": f"msg_{name}",
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [said],
            },
        ],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
    }
