"""The bodies of OpenAI's chat completions, as far as agents understand them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from o1coder_gym.agents import TaskResult
from o1coder_gym.problems.formats.reading.test_code import called_by
from o1coder_gym.problems.rows import is_name
from o1coder_gym.types import ActionType, Step, Transition, Usage

MOST_MESSAGES = 64
"""Messages of one conversation."""

MOST_TESTS = 64
"""Asserts that a request may bring."""


UNSUPPORTED = (
    *("tools", "functions", "logprobs", "top_logprobs", "logit_bias", "audio", "prediction"),
    *("web_search_options", "guided_json", "guided_regex", "guided_grammar", "guided_choice"),
)
"""Parameters of OpenAI's, and of servers like it, that ask for what an agent cannot do."""

NO_EFFECT = frozenset({"user", "store", "metadata", "service_tier", "safety_identifier", "prompt_cache_key"})
"""Parameters that change no answer, and are not worth a word."""


class TextPart(BaseModel):
    """A part of a message; agents read text only."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)] | None = None

    @property
    def text(self) -> str:
        """The content as one text; empty for a turn that has none, as of clients that keep tool calls."""
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class ResponseFormat(BaseModel):
    """The format of the answer; agents answer with text."""

    type: Literal["text"]


class StreamOptions(BaseModel):
    """Extras of a stream."""

    include_usage: bool = False


class Asked(BaseModel):
    """The fields of all kinds of requests.

    `temperature` and `top_p` are accepted and not applied: how steps are drawn belongs to the agent, e.g.
    ``mcts:temperature=0.6``. `entry_point` and `public_tests` (asserts) are this server's own. What agents
    cannot do (tools, log-probabilities, other formats) is refused, what is not applied is named by `ignored`.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    n: Annotated[int, Field(ge=1)] = 1
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    entry_point: str | None = None
    public_tests: Annotated[list[str], Field(max_length=MOST_TESTS)] = []

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the given parameters that have no effect."""
        others = {name for name, value in (self.model_extra or {}).items() if value is not None}
        sampling = {name for name in ("temperature", "top_p") if getattr(self, name) is not None}
        return tuple(sorted((others - NO_EFFECT) | sampling))

    def as_chat(self, messages: list[dict[str, str]], *own: str) -> ChatRequest:
        """Returns the request as a conversation, without the fields that are its kind's own."""
        fields = self.model_dump(exclude=set(own), exclude_unset=True)
        return ChatRequest.model_validate({**fields, "messages": messages})

    @field_validator("entry_point")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not is_name(name):
            raise ValueError("must be the name of a Python function")
        return name

    @field_validator("public_tests")
    @classmethod
    def _are_asserts(cls, tests: list[str]) -> list[str]:
        for test in tests:
            if not called_by(test):
                raise ValueError(f"must be asserts that call the function, got {test[:80]!r}")
        return tests


def refuse(body: Any, names: Sequence[str]) -> Any:
    """Returns the body of a request that asks for nothing of these names.

    Raises:
        ValueError: When it does; names the parameter.
    """
    for name in names:
        if isinstance(body, Mapping) and body.get(name):
            raise ValueError(f"{name} is not supported: the model is a search agent")
    return body


class ChatRequest(Asked):
    """A chat completion."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    response_format: ResponseFormat | None = None

    @model_validator(mode="before")
    @classmethod
    def _asks_for_nothing_else(cls, body: Any) -> Any:
        return refuse(body, UNSUPPORTED)

    @field_validator("messages")
    @classmethod
    def _ends_with_a_question(cls, messages: list[Message]) -> list[Message]:
        if messages[-1].role != "user" or not messages[-1].text.strip():
            raise ValueError("the last message must be a question of the user")
        return messages

    @property
    def tokens(self) -> int | None:
        """The tokens that the client allows."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> list[str]:
        """Strings before which the answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [text for text in given if text]

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The conversation as (role, text)."""
        return [(message.role, message.text) for message in self.messages]


def complaint(error: ValidationError) -> tuple[str, str]:
    """Returns the first mistake in a request and the parameter that it concerns."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"], place


def thought(transition: Transition) -> str:
    """Returns a step that was taken, as a piece of the reasoning."""
    step = transition.state.steps[-1]
    lines = [f"### Step {transition.state.depth} ({step.type.name.lower()})", _body(step)]
    if (verdict := transition.verdict) is not None:
        tests = f"{verdict.passed} of {verdict.total} public tests passed"
        known = tests if verdict.total else "the question shows no public tests"
        lines.append(f"→ {verdict.outcome.replace('_', ' ')}, {known}")
    return "\n".join(lines) + "\n\n"


def _body(step: Step) -> str:
    text = step.text.strip()
    return f"```python\n{text}\n```" if step.type in (ActionType.CODE, ActionType.HELPER) else text


def answer(finished: TaskResult, stops: Sequence[str]) -> str:
    """Returns the chosen program in a fence, up to the first stop string; empty without a program."""
    code = finished.result.code if finished.result else None
    text = "" if code is None else f"```python\n{code.strip()}\n```"
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def finish_reason(finished: TaskResult) -> str:
    """Returns ``stop`` if there is an answer, ``length`` if the budget was too small for one."""
    return "stop" if finished.result is not None and finished.result.code is not None else "length"


def choice(index: int, finished: TaskResult, reasoning: str, stops: Sequence[str]) -> dict[str, Any]:
    """Returns one choice of a whole completion."""
    message = {"role": "assistant", "content": answer(finished, stops), "reasoning_content": reasoning}
    found = finished.result
    return {
        "index": index,
        "message": message,
        "finish_reason": finish_reason(finished),
        "logprobs": None,
        "value": found.value if found else 0.0,
    }


def completion(name: str, model: str, choices: Sequence[Mapping[str, Any]], usage: Usage) -> dict[str, Any]:
    """Returns the body of a whole completion."""
    return {
        "id": name,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": list(choices),
        "usage": usage_row(usage),
    }


def chunk(
    name: str, model: str, index: int, delta: Mapping[str, Any], reason: str | None = None
) -> dict[str, Any]:
    """Returns a chunk of a streamed completion."""
    part = {"index": index, "delta": dict(delta), "finish_reason": reason, "logprobs": None}
    return {
        "id": name,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [part],
    }


def usage_row(usage: Usage) -> dict[str, int]:
    """Returns the usage, in OpenAI's names and this project's."""
    prompt = usage.prompt_tokens + usage.cached_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.tokens,
        "total_tokens": prompt + usage.tokens,
        "executions": usage.executions,
        "calls": usage.calls,
    }
