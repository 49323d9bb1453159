"""Capabilities of a server: probed once, and learned from its refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from o1coder_gym.policies.server.http import Refused

OPTIONAL = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "logprobs",
    "repetition_penalty",
    "return_token_ids",
    "skip_special_tokens",
    "chat_template_kwargs",
    "reasoning_effort",
)
"""Parameters of a request that a server may refuse; they are left out then."""

Continuation = Literal["continue_final_message", "prefix", "last_turn"]
"""How a server is asked to continue with an assistant turn: by vLLM's parameters, a flag, or by itself."""

CONTINUATIONS: Mapping[Continuation, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "continue_final_message": ({"continue_final_message": True, "add_generation_prompt": False}, {}),
    "prefix": ({}, {"prefix": True}),
    "last_turn": ({}, {}),
}
"""What is added to the request, and to its last turn."""

PROBE = ("The quick brown fox jumps over the lazy dog.", "The quick brown fox jum", "ps over")
"""A sentence to repeat, its beginning cut inside a word, and how only a continuation continues."""

_UNSUPPORTED = re.compile(
    r"support|only .{0,60}(default|allowed|accepted)|unknown|unrecogni[sz]ed|unexpected|extra (inputs|fields)"
    r"|not (permitted|allowed|available|accepted|implemented)|must be (1|one)\b|greater than 1|at most 1\b"
    r"|one (choice|completion)|cannot both|not both|only one of|mutually exclusive",
    re.I,
)
_TOGETHER = re.compile(r"both|only one of|mutually exclusive", re.I)
_AT_MOST = re.compile(r"\b(at most|maximum|above|up to|less than)\b|<=", re.I)
_SEVERAL = re.compile(
    r"[\"'`]n[\"'`]|\bn (must|>|=|is)|multiple (choices|completions|candidates)|one choice", re.I
)
_NO_SYSTEM = re.compile(r"system|alternat|roles?\b|developer", re.I)


@dataclass(frozen=True, slots=True)
class Abilities:
    """Known capabilities of a server and its model; None where not yet known.

    Attributes:
        tokens: Whether it takes and gives token ids (``/tokenize``, vLLM).
        template: Whether the model has a chat template, where the server tokenises.
        system: Whether it takes a system turn; else that goes into the first user turn.
        continuation: How it is asked to continue with an assistant turn; ``""``: it does not.
        choices: Whether it gives several choices for one request.
        limit: The parameter that bounds the length.
        left_out: Parameters that it refuses.
        logprobs: Whether it returns log-probabilities.
        usage: Whether it returns numbers of tokens.
        model: What it calls the model that answers.
    """

    tokens: bool | None = None
    template: bool | None = None
    system: bool = True
    continuation: Continuation | Literal[""] | None = None
    choices: bool = True
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    left_out: tuple[str, ...] = ()
    logprobs: bool | None = None
    usage: bool | None = None
    model: str | None = None

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return asdict(self) | {"left_out": list(self.left_out)}

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a request without what the server refuses."""
        fitted = {name: value for name, value in body.items() if name not in self.left_out}
        if self.limit != "max_tokens" and "max_tokens" in fitted:
            fitted[self.limit] = fitted.pop("max_tokens")
        if not self.choices and "n" in fitted:
            fitted["n"] = 1
        if not self.system and "messages" in fitted:
            fitted["messages"] = merged(fitted["messages"])
        return fitted

    def after(self, refusal: Refused, body: Mapping[str, Any]) -> Abilities | None:
        """Returns the capabilities after a refusal, None if it names nothing that can be avoided.

        Args:
            refusal: The server's answer.
            body: The refused request.
        """
        words = refusal.words
        unsupported = _UNSUPPORTED.search(words)
        several = body.get("n", 1) > 1 and (refusal.parameter == "n" or _SEVERAL.search(words))
        if several and (unsupported or _AT_MOST.search(words)):
            return replace(self, choices=False)
        # In this order: one refusal may name several parameters, and the limit is renamed, not left out.
        if unsupported:
            if "messages" in body and "max_tokens" in body and "max_completion_tokens" in words:
                return replace(self, limit="max_completion_tokens")
            named = [name for name in OPTIONAL if name in body and _names(name, refusal)]
            if _TOGETHER.search(words):  # one of them may stay
                named = named[1:]
            if named:
                return replace(self, left_out=(*self.left_out, *named))
        turns = body.get("messages", ())
        if self.system and any(turn["role"] == "system" for turn in turns) and _NO_SYSTEM.search(words):
            return replace(self, system=False)
        return None

    def told(self, before: Abilities) -> str:
        """Describes the change since `before`; "" if it changes no answer."""
        if new := [name for name in self.left_out if name not in before.left_out]:
            return f"the server refuses {', '.join(new)}; left out from now on"
        return ""


def is_model(asked: str, answering: str) -> bool:
    """Whether a server's name of a model may be that of the model that was asked for.

    Servers add dates, folders and types of weights to a name, or leave the owner out.
    """
    one, other = (
        name.rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf") for name in (asked, answering)
    )
    return one in other or other in one


def merged(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns a conversation whose system turns stand at the head of the first user turn."""
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    rest = [dict(turn) for turn in turns if turn["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest


def _names(name: str, refusal: Refused) -> bool:
    """Whether a refusal blames a parameter; short everyday words only where they are quoted."""
    if refusal.parameter:
        return refusal.parameter == name
    word = re.escape(name)
    pattern = (
        rf"[\"'`]{word}[\"'`]|\b{word} parameter|parameters?:? {word}\b" if name == "stop" else rf"\b{word}\b"
    )
    return re.search(pattern, refusal.words) is not None
