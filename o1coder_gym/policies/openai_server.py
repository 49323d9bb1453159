"""Any server with OpenAI's HTTP interface: vLLM, SGLang, llama.cpp, hosted ones.

A server that has ``/tokenize`` and takes prompts as token ids (vLLM) is spoken to in ids, so that its
prefix cache sees each prompt extended, not re-tokenised. Others get chat messages; the steps so far and
the opening of the next one go into the last user message.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Literal

from o1coder_gym.errors import PolicyError, PromptTooLongError
from o1coder_gym.parameters import AtLeastOne, Positive, check_fields
from o1coder_gym.policies.engine import Completion, Counters, Generate, Meter
from o1coder_gym.policies.http import Refused, Servers
from o1coder_gym.steps.formats import Prompt


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """How servers are spoken to.

    Attributes:
        api: ``tokens``, ``chat``, or ``auto``: tokens where the server can.
        parallel: Requests in flight at the same time, over all servers.
        timeout_s: Seconds for one answer.
        tries: Attempts per request, each at the next server.
        backoff_s: Mean wait before the second attempt; doubles with each.
        logprobs: 1 asks for log-probabilities, 0 does not (some hosted models refuse them).
        seeds: 1 sends each request's seed, 0 does not (vLLM is faster without, on a CPU also safer).
        draws: ``server``: the server draws tokens its own way; ``own``: a vLLM server that was started with
            `vllm_draws.OwnDraws` draws them as this project's engines do, which is faster and repeatable.
    """

    api: Literal["auto", "tokens", "chat"] = "auto"
    parallel: AtLeastOne = 64
    timeout_s: Positive = 120.0
    tries: AtLeastOne = 6
    backoff_s: Positive = 0.5
    logprobs: int = 1
    seeds: int = 1
    draws: Literal["server", "own"] = "server"

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value makes no sense."""
        check_fields(self)


DEFAULTS = OpenAISettings()

_TOO_LONG = re.compile(r"context.?(length|size|window)", re.I)
"""How servers word that a prompt does not fit: OpenAI, vLLM, SGLang and llama.cpp."""


class OpenAIEngine:
    """One model behind one or several servers; the key is taken from ``OPENAI_API_KEY``."""

    def __init__(self, urls: Sequence[str], model: str, settings: OpenAISettings = DEFAULTS) -> None:
        """Args: base URLs, the model's name there, how they are spoken to.

        Raises:
            MissingExtraError: When httpx is not installed.
        """
        key = os.environ.get("OPENAI_API_KEY")
        self.parallel = settings.parallel
        self._settings = settings
        self._model = model
        self._servers = Servers(
            urls,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            connections=settings.parallel,
            timeout_s=settings.timeout_s,
            tries=settings.tries,
            backoff_s=settings.backoff_s,
        )
        self._pool = ThreadPoolExecutor(settings.parallel, thread_name_prefix="openai")
        self._meter = Meter()
        self._lock = threading.Lock()
        self._speaks_tokens: bool | None = None if settings.api == "auto" else settings.api == "tokens"
        self._joints: dict[str, tuple[int, ...]] = {}

    @property
    def counters(self) -> Counters:
        """A snapshot of what was done so far; cached tokens as far as the servers tell."""
        return self._meter.snapshot()

    def close(self) -> None:
        """Ends the threads and closes the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._servers.close()

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the prompt's ids from the server's tokenizer; empty in chat mode."""
        if not self._tokens():
            return ()
        turns = {"messages": _messages(prompt), "add_generation_prompt": True}
        try:
            return (*self._tokenize(turns), *self.encode_more(prompt.prefill))
        except Refused:  # The model has no chat template.
            text = "".join(f"{content}\n\n" for _, content in prompt.messages) + prompt.prefill
            return self._tokenize({"prompt": text, "add_special_tokens": True})

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text inside a turn; empty in chat mode."""
        if not text or not self._tokens():
            return ()
        if text not in self._joints:
            self._joints[text] = self._tokenize({"prompt": text, "add_special_tokens": False})
        return self._joints[text]

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Sends all requests, `parallel` at a time.

        One server request each, or more if it gives fewer; with own draws one per continuation, for vLLM
        does not tell its continuations of one request apart.

        Raises:
            PromptTooLongError: When a server says that a prompt does not fit the model's context.
            PolicyError: When a server refuses a prompt for another reason, or none answers after all tries.
        """
        asked = time.monotonic()
        if self._settings.draws == "server":
            return list(
                self._pool.map(lambda request: self._answer(request, range(request.n), asked), requests)
            )
        singles = [(request, range(i, i + 1)) for request in requests for i in range(request.n)]
        found = chain.from_iterable(self._pool.map(lambda one: self._answer(one[0], one[1], asked), singles))
        return [tuple(islice(found, request.n)) for request in requests]

    def _answer(self, request: Generate, samples: range, asked: float) -> tuple[Completion, ...]:
        """Asks for some of a request's continuations until all are there."""
        begun = time.monotonic()
        found: list[Completion] = []
        while len(found) < len(samples):
            path, body = self._body(request, samples[len(found) :])
            try:
                answer = self._servers.post(path, body, affinity=request.prompt.messages[-1][1])
            except Refused as error:
                if _TOO_LONG.search(str(error)):
                    raise PromptTooLongError(str(error)) from error
                raise
            try:
                usage = answer.get("usage") or {}
                tokens = int(usage.get("completion_tokens") or 0) // max(1, len(answer["choices"]))
                new = [_completion(choice, tokens, request) for choice in answer["choices"]]
                prompt_tokens = _prompt_tokens(usage)
            except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
                raise PolicyError(f"{path}: the answer lacks {error}") from error
            if not new:
                raise PolicyError(f"{path}: the answer has no choices")
            found += [replace(new[0], **prompt_tokens), *new[1:]]
            self._meter.add_batch(len(new))
            self._meter.add(generated_tokens=sum(one.tokens for one in new), **prompt_tokens)
        new_request = samples.start == 0
        self._meter.add(requests=new_request, busy_s=time.monotonic() - begun, queue_s=begun - asked)
        return tuple(found[: len(samples)])

    def _body(self, request: Generate, samples: range) -> tuple[str, dict[str, Any]]:
        """Returns path and body of a server request for some of a request's continuations."""
        sampling = request.sampling
        own_draws = self._settings.draws == "own"
        if own_draws:  # greedy to the server: what is drawn is settled before it looks
            sampling = replace(sampling, temperature=0.0, top_p=1.0, top_k=0)
        body: dict[str, Any] = {
            "model": self._model,
            "n": len(samples),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(request.prompt.stop),
        }
        if own_draws:
            body["vllm_xargs"] = request.draw_args(samples.start)
        elif self._settings.seeds:
            body["seed"] = (request.seed + samples.start) % 2**31
        if not request.prompt_ids:
            return "chat/completions", body | {
                "messages": _conversation(request.prompt),
                "logprobs": bool(self._settings.logprobs),
            }
        return "completions", body | {
            "prompt": list(request.prompt_ids),
            "top_k": sampling.top_k or -1,
            "repetition_penalty": 1.0,  # else a server may take one from the model's own configuration
            "logprobs": 0 if self._settings.logprobs else None,
            "return_token_ids": True,
        }

    def _tokens(self) -> bool:
        """Whether the servers speak token ids; asks them the first time."""
        with self._lock:
            if self._speaks_tokens is None:
                try:
                    self._tokenize({"prompt": "a", "add_special_tokens": False})
                    self._speaks_tokens = True
                except Refused:
                    self._speaks_tokens = False
            return self._speaks_tokens

    def _tokenize(self, what: dict[str, Any]) -> tuple[int, ...]:
        answer = self._servers.post("/tokenize", {"model": self._model, **what})
        try:
            return tuple(int(token) for token in answer["tokens"])
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"/tokenize: the answer has no tokens: {error}") from error


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in prompt.messages]


def _conversation(prompt: Prompt) -> list[dict[str, str]]:
    """Puts the beginning of the assistant's turn into the user's, for servers that cannot continue one."""
    messages = _messages(prompt)
    so_far = prompt.prefill.removesuffix(prompt.opening)
    note = f"\n\nSo far:\n{so_far}" if so_far else ""
    messages[-1]["content"] += f"{note}\n\nGo on from here. Begin your answer with: {prompt.opening.strip()}"
    return messages


def _prompt_tokens(usage: dict[str, Any]) -> dict[str, int]:
    cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return {"prompt_tokens": int(usage.get("prompt_tokens") or 0) - cached, "cached_tokens": cached}


def _completion(choice: dict[str, Any], tokens: int, request: Generate) -> Completion:
    """Reads one choice of either interface, cut at the boundary.

    Args:
        choice: As the server sent it.
        tokens: Its number of tokens, if the choice itself does not tell.
        request: What it answers.
    """
    logprobs = choice.get("logprobs") or {}
    if "message" in choice:
        said = choice["message"]["content"] or ""
        text = _without_opening(said, request.prompt.opening)
        entries = logprobs.get("content") or []
        scored = [(entry["token"], float(entry["logprob"])) for entry in entries]
        ids: list[int] = []
    else:
        said = text = choice["text"]
        scored = list(zip(logprobs.get("tokens") or (), logprobs.get("token_logprobs") or (), strict=True))
        ids = choice.get("token_ids") or []
    end = _end(text, request)
    kept = _pieces_before([piece for piece, _ in scored], said[: end + len(said) - len(text)])
    spelled = "".join(piece for piece, _ in scored[:kept])
    aligned = len(ids) == len(scored) and spelled.rstrip() == text[:end].rstrip()
    return Completion(
        text=spelled if aligned else text[:end],
        token_ids=tuple(ids[:kept]) if aligned else (),
        tokens=len(ids) or len(scored) or tokens,
        logprob=min(0.0, sum(value for _, value in scored[:kept])) if scored else None,
        finish="length" if choice.get("finish_reason") == "length" and end == len(text) else "stop",
    )


def _end(text: str, request: Generate) -> int:
    opening = request.prompt.opening
    end = request.boundary(opening + text)
    return len(text) if end is None else end - len(opening)


def _pieces_before(pieces: Sequence[str], text: str) -> int:
    """Returns how many pieces `text` takes, blanks at its end aside.

    Pieces of special tokens, an end token above all, are longer than what they add to a text, or empty.
    """
    wanted = len(text.rstrip())
    kept, length = 0, 0
    while kept < len(pieces) and length < wanted:
        length += len(pieces[kept])
        kept += 1
    return kept


def _without_opening(said: str, opening: str) -> str:
    """Drops the opening that the model was asked to begin with."""
    start = said.find(opening.strip())
    return said[start + len(opening.strip()) :].removeprefix("\n") if start >= 0 else said
