"""Any server with OpenAI's HTTP interface: vLLM, SGLang, llama.cpp, hosted ones.

A server that has ``/tokenize`` and takes prompts as token ids (vLLM) is spoken to in ids, so that its
prefix cache sees each prompt extended, not re-tokenised. Others get chat messages. One that continues with a
given assistant turn is given the steps so far and the opening of the next one as such a turn; else these go
into the last user message, no stop strings are sent, and the answer is read as one that stands by itself.
"""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Literal

from o1coder_gym.errors import PolicyError, PromptTooLongError, UsageError
from o1coder_gym.policies.engine import Completion, Counters, Generate, Meter
from o1coder_gym.policies.server.abilities import CONTINUATIONS, PROBE, Abilities, Continuation, is_model
from o1coder_gym.policies.server.http import Refused, Servers, own_key
from o1coder_gym.policies.server.replies import (
    CountTokens,
    Said,
    Usage,
    before_continuation,
    continued,
    read_choice,
    read_usage,
    refuse_to_count,
    self_contained,
    shares,
)
from o1coder_gym.runs.seeds import derive_stream
from o1coder_gym.specs.parameters import AtLeastOne, Positive, check_fields
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.steps.thinking import before_answer, opened_by


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of requests to servers.

    Attributes:
        api: ``tokens``, ``chat``, or ``auto``: tokens where the server can.
        parallel: Requests in flight at the same time, over all servers.
        timeout_s: Seconds for one answer.
        tries: Attempts per request, each at the next server.
        backoff_s: Mean wait before the second attempt; doubles with each.
        logprobs: 1 asks for log-probabilities, 0 does not (some hosted models refuse them).
        seeds: 1 sends each request's seed, 0 does not (vLLM is faster without, on a CPU also safer).
        draws: ``server``: the server draws tokens its own way; ``own``: a vLLM server that was started with
            `policies.vllm.draws:OwnDraws` draws them as this project's engines do, which is faster and
            repeatable.
        template_arguments: What the chat template is given beside the messages, for instance
            ``{"enable_thinking": false}``; ``reasoning_effort`` goes to the server itself too.
    """

    api: Literal["auto", "tokens", "chat"] = "auto"
    parallel: AtLeastOne = 64
    timeout_s: Positive = 120.0
    tries: AtLeastOne = 6
    backoff_s: Positive = 0.5
    logprobs: int = 1
    seeds: int = 1
    draws: Literal["server", "own"] = "server"
    template_arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value makes no sense."""
        check_fields(self)


DEFAULTS = OpenAISettings()

_TAIL = 8
"""Tokens at a prompt's end that show whether it opens a thought; few, so that most prompts share them."""

_NAMES = 8
"""Names of answering models that are told; a server that has a new one for each answer tells nothing."""

_TOO_LONG = re.compile(
    r"context.?(length|size|window|limit)|(prompt|input|request).{0,20}too (long|large)"
    r"|(exceed|more than|maximum).{0,40}input tokens|max_new_tokens.{0,10} must be <=",
    re.I,
)
"""How servers word that a prompt does not fit: OpenAI, vLLM, SGLang, llama.cpp, TGI and hosted ones."""

_NO_TEMPLATE = re.compile(
    r"(no|without|default|provide|missing|not (have|define|set)).{0,40}template"
    r"|template.{0,40}(missing|not (found|defined|set))",
    re.I,
)
"""How servers word that a model has no chat template."""


class OpenAIEngine:
    """One model behind one or several servers; the key is taken from ``OPENAI_API_KEY``."""

    def __init__(self, urls: Sequence[str], model: str, settings: OpenAISettings = DEFAULTS) -> None:
        """Sets the engine up; no request is sent yet.

        Args:
            urls: Base URLs of servers of the same model.
            model: The model's name there.
            settings: How the servers are called.

        Raises:
            MissingExtraError: When httpx is not installed.
        """
        self.parallel = settings.parallel
        self._settings = settings
        self._model = model
        self._servers = Servers(
            urls,
            headers=own_key(),
            connections=settings.parallel,
            timeout_s=settings.timeout_s,
            tries=settings.tries,
            backoff_s=settings.backoff_s,
        )
        self._pool = ThreadPoolExecutor(settings.parallel, thread_name_prefix="openai")
        self._meter = Meter()
        self._lock = threading.Lock()
        self._probing = threading.Lock()
        self._abilities = Abilities(tokens=None if settings.api == "auto" else settings.api == "tokens")
        # Texts between steps, and the ends of prompts, are few and recur: each is sent to the server's
        # tokenizer once.
        self._joints: dict[str, tuple[int, ...]] = {}
        self._answering: set[str] = set()
        self._tails: dict[tuple[int, ...], str] = {}

    @property
    def counters(self) -> Counters:
        """A snapshot of the work done so far; cached tokens as far as the servers report them."""
        return self._meter.snapshot()

    def prepare(self) -> None:
        """Looks whether a server is there.

        Raises:
            PolicyError: When none is.
        """
        self._servers.check()

    def close(self) -> None:
        """Ends the threads and closes the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._servers.close()

    def ask_for(self, model: str) -> None:
        """Switches later requests to another model of the servers, such as LoRA adapters of the same one."""
        self._model = model

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the prompt's ids from the server's tokenizer; empty in chat mode.

        Raises:
            PolicyError: When the server tokenises other texts, but not this one.
        """
        if not self._tokens():
            return ()
        if self._abilities.template is False:
            text = "".join(f"{content}\n\n" for _, content in prompt.messages) + prompt.prefill
            return self._tokenize({"prompt": text, "add_special_tokens": True})
        ids = self._tokenize(self._rendered(_messages(prompt)))
        # A template may end inside a thought; what closes it is part of the prompt.
        return (*ids, *self.encode_more(before_answer(self._tail(ids), None) + prompt.prefill))

    def encode_thought(self, prompt: Prompt) -> tuple[tuple[int, ...], str]:
        """Returns the ids of a prompt up to an open thought, and the tag that closes it.

        Raises:
            UsageError: When the server speaks no token ids, or its template opens no thought.
        """
        ids = self._tokenize(self._rendered(_messages(prompt))) if self._tokens() else ()
        tags = opened_by(self._tail(ids))
        if tags is None:
            raise UsageError(f"think_tokens: {self._model} opens no thought that this server could continue")
        return ids, tags[1]

    def _tail(self, ids: tuple[int, ...]) -> str:
        """Returns the text at the end of a prompt, "" where the server cannot tell."""
        tail = ids[-_TAIL:]
        if tail not in self._tails:
            try:
                answer = self._ask("/detokenize", {"model": self._model, "tokens": list(tail)})
                self._tails[tail] = str(answer.get("prompt", ""))
            except Refused:
                self._tails[tail] = ""
        return self._tails[tail]

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
        # Probed before requests run in parallel: each of them needs to know.
        if requests and not requests[0].prompt_ids:
            self._continuation()
        # One request for all n continuations: the server computes their prompt once.
        if self._settings.draws == "server" and self._abilities.choices:
            return list(
                self._pool.map(lambda request: self._answer(request, range(request.n), asked), requests)
            )
        # One continuation a request; the iterator puts them back together in order.
        singles = [(request, range(i, i + 1)) for request in requests for i in range(request.n)]
        found = chain.from_iterable(self._pool.map(lambda one: self._answer(one[0], one[1], asked), singles))
        return [tuple(islice(found, request.n)) for request in requests]

    def abilities(self) -> Abilities:
        """Probes unknown capabilities with a few small requests; returns the server's capabilities.

        Raises:
            PolicyError: When no server answers, or it refuses the simplest request.
        """
        body: dict[str, Any] = {"model": self._model, "n": 2, "max_tokens": 8, "temperature": 0.8}
        body |= {"top_p": 0.95, "seed": 1}
        if self._tokens():
            path = "completions"
            body |= {"prompt": list(self._tokenize({"prompt": "Say: ready"})), "logprobs": 0}
        else:
            self._continuation()
            path = "chat/completions"
            turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say: ready"}]
            body |= {"messages": turns, "logprobs": True, **self._template_arguments}
        answer = self._ask(path, body)
        self._note_model(answer.get("model"))
        said = [read_choice(choice) for choice in answer.get("choices") or ()]
        self._note(
            choices=self._abilities.choices and len(said) != 1,
            logprobs=any(one.logprobs is not None for one in said),
            usage=read_usage(answer).completion is not None,
        )
        return self._abilities

    def _answer(self, request: Generate, samples: range, asked: float) -> tuple[Completion, ...]:
        """Requests continuations until all that one request wants are there."""
        begun = time.monotonic()
        found: list[Completion] = []
        while len(found) < len(samples):
            path, body = self._body(request, samples[len(found) :])
            try:
                answer = self._ask(path, body, request.prompt.messages[-1][1])
            except Refused as error:
                if _TOO_LONG.search(error.words):
                    raise PromptTooLongError(str(error)) from error
                raise
            new, usage = self._read(path, answer, request)
            self._note_model(answer.get("model"))
            new = _charged(new, body["n"])
            # Some servers ignore n silently: from now on each continuation is a request of its own.
            if len(new) == 1 < body["n"]:
                self._note(choices=False)
            # A server tells the prompt once per answer; the first completion carries it.
            found += [replace(new[0], prompt_tokens=usage.prompt, cached_tokens=usage.cached), *new[1:]]
            self._meter.add_batch(len(new))
            self._meter.add(
                generated_tokens=sum(one.tokens for one in new),
                prompt_tokens=usage.prompt,
                cached_tokens=usage.cached,
            )
        # Counted once, however many server requests its continuations take.
        new_request = samples.start == 0
        self._meter.add(requests=new_request, busy_s=time.monotonic() - begun, queue_s=begun - asked)
        return tuple(found[: len(samples)])

    def _read(self, path: str, answer: dict[str, Any], request: Generate) -> tuple[list[Completion], Usage]:
        """Returns the completions of an answer, at least one, and their cost."""
        try:
            said = [read_choice(choice) for choice in answer["choices"]]
            usage = read_usage(answer)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise PolicyError(f"{path}: the answer lacks {error}") from error
        if not said:
            raise PolicyError(f"{path}: the answer has no choices")
        tokens = shares(said, usage.completion, self._counted())
        return [self._completion(one, count, request) for one, count in zip(said, tokens, strict=True)], usage

    def _completion(self, said: Said, tokens: int, request: Generate) -> Completion:
        if request.prompt_ids:
            return continued(said, tokens, request)
        goes_on = bool(self._way(request.prompt))
        if request.read and not goes_on:
            return self_contained(said, tokens, request.read)
        return continued(
            said, tokens, request, before_continuation(said.text, request.prompt, goes_on=goes_on)
        )

    def _ask(self, path: str, body: dict[str, Any], affinity: str = "") -> dict[str, Any]:
        """Posts a request without what the server refuses, and learns from what it refuses now."""
        # Ends: each refusal settles one ability for good, and there are few.
        while True:
            before = self._abilities
            fitted = before.fit(body)
            try:
                return self._servers.post(path, fitted, affinity=affinity)
            except Refused as refusal:
                if not self._learn(before, refusal, fitted):
                    raise

    def _learn(self, before: Abilities, refusal: Refused, body: dict[str, Any]) -> bool:
        """Learns from a refusal and says once what changes answers; returns whether to try again."""
        with self._lock:
            if self._abilities != before:  # another request has learned something meanwhile
                return True
            after = before.after(refusal, body)
            if after is None:
                return False
            self._abilities = after
        if told := after.told(before):
            warnings.warn(f"{self._model}: {told}", UserWarning, stacklevel=2)
        return True

    def _note_model(self, answering: Any) -> None:
        """Says once where another model answers: a server that has loaded one gives it under every name."""
        if not isinstance(answering, str) or not answering.isprintable():
            return
        if answering in self._answering or len(self._answering) >= _NAMES:
            return
        self._answering.add(answering)
        self._note(model=answering)
        if not is_model(self._model, answering):
            told = f"{self._model!r} was asked for, and the server answers as {answering!r}"
            warnings.warn(told, UserWarning, stacklevel=2)

    def _note(self, **known: Any) -> None:
        with self._lock:
            self._abilities = replace(self._abilities, **known)

    def _continuation(self) -> Continuation | Literal[""]:
        """Returns how the server is asked to go on with an assistant turn; tries the ways the first time."""
        # One thread probes, the others wait for its answer: a hundred at once would all ask.
        with self._probing:
            if self._abilities.continuation is None:
                ways = (way for way in CONTINUATIONS if self._goes_on(way))
                self._note(continuation=next(ways, ""))
            return self._abilities.continuation or ""

    def _way(self, prompt: Prompt) -> Continuation | Literal[""] | None:
        """Returns how the server is asked to continue with a prompt's prefill, if there is one and it can."""
        return self._abilities.continuation if prompt.prefill.strip() else ""

    def _goes_on(self, way: Continuation) -> bool:
        """Whether the server continues a turn this way; raises `PolicyError` when it answers nothing."""
        sentence, beginning, rest = PROBE
        # A continuation begins with the rest of the word that was cut, a fresh answer with the whole
        # sentence.
        turns = [{"role": "user", "content": f"Repeat this sentence, and nothing else: {sentence}"}]
        body = {"model": self._model, "max_tokens": 8, "temperature": 0.0, "messages": turns}
        for again in (False, True):
            try:
                answer = self._ask("chat/completions", _going_on(body, beginning, way))
                return read_choice(answer["choices"][0]).text.startswith(rest)
            except (Refused, AttributeError, KeyError, IndexError, TypeError, ValueError):
                return False  # what else is wrong shows with the request that matters
            except PolicyError:
                # Some fail at a turn that they cannot continue. One that is only starting does not answer
                # without it either: that settles nothing about its ways.
                if not again:
                    self._ask("chat/completions", body)
        return False

    def _counted(self) -> CountTokens:
        """Returns the tokenizer that counts tokens where the server does not."""

        def count(text: str) -> int:
            try:
                return len(self._tokenize({"prompt": text, "add_special_tokens": False}))
            except PolicyError:
                return refuse_to_count(text)

        return count

    @property
    def _template_arguments(self) -> dict[str, Any]:
        arguments = dict(self._settings.template_arguments or {})
        return {"chat_template_kwargs": arguments} if arguments else {}

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
        }
        if own_draws:
            body["vllm_xargs"] = request.draw_args(samples.start)
        elif self._settings.seeds:
            later = samples.start  # samples that other calls have asked for already
            # A server that gives fewer than n is asked again: with the same seed it would repeat its samples.
            seed = derive_stream(request.seed, "samples", later) if later else request.seed
            body["seed"] = seed % 2**31
        if not request.prompt_ids:
            return "chat/completions", self._chat_body(body, request)
        return "completions", body | {
            "prompt": list(request.prompt_ids),
            "stop": list(request.prompt.stop),
            # What ends a thought may be a control token: not shown, it would stop nothing.
            "skip_special_tokens": False,
            "top_k": sampling.top_k or -1,
            "repetition_penalty": 1.0,  # else a server may take one from the model's own configuration
            "logprobs": 0 if self._settings.logprobs else None,
            "return_token_ids": True,
        }

    def _chat_body(self, body: dict[str, Any], request: Generate) -> dict[str, Any]:
        """Returns the body of a chat request: the turn to go on with, or a question with what was written."""
        prompt = request.prompt
        body |= self._template_arguments
        if self._settings.logprobs:
            body["logprobs"] = True
        if effort := (self._settings.template_arguments or {}).get("reasoning_effort"):
            body["reasoning_effort"] = effort
        if way := self._way(prompt):
            # templates and servers trim a turn's end, so it is trimmed here, where it is known
            turns = body | {"messages": _messages(prompt), "stop": list(prompt.stop)}
            return _going_on(turns, prompt.prefill.rstrip(), way)
        return body | {"messages": _conversation(prompt)}

    def _tokens(self) -> bool:
        """Whether the servers speak token ids, of texts and conversations; asks them the first time."""
        with self._probing:
            if self._abilities.tokens is not False and self._abilities.template is None:
                tokens, template = self._tokenizes()
                self._note(tokens=tokens, template=template)
            return bool(self._abilities.tokens)

    def _tokenizes(self) -> tuple[bool, bool | None]:
        """Returns whether the servers tokenise conversations, and whether by a template.

        Raises:
            PolicyError: When they do not, and the settings ask for it.
        """
        try:
            found = self._tokenize({"prompt": "a", "add_special_tokens": False})
            # Some tokenise texts alone (SGLang): a conversation is rendered by them, or by nobody.
            found = found and self._tokenize(self._rendered([{"role": "user", "content": "a"}]))
        except Refused as refusal:
            if _NO_TEMPLATE.search(refusal.words):
                return True, False
            if self._settings.api == "tokens":
                raise
            return False, None
        return bool(found), True if found else None

    def _rendered(self, turns: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns what ``/tokenize`` is asked for the ids of a conversation."""
        return {"messages": turns, "add_generation_prompt": True, **self._template_arguments}

    def _tokenize(self, what: dict[str, Any]) -> tuple[int, ...]:
        answer = self._ask("/tokenize", {"model": self._model, **what})
        try:
            return tuple(int(token) for token in answer["tokens"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused("/tokenize", 200, f"the answer has no tokens: {error}") from error


def _charged(found: list[Completion], asked: int) -> list[Completion]:
    """Returns the completions that were asked for; the last pays for those that a server gave beside them."""
    kept, more = found[:asked], sum(one.tokens for one in found[asked:])
    return [*kept[:-1], replace(kept[-1], tokens=kept[-1].tokens + more)] if more else kept


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in prompt.messages]


def _going_on(body: dict[str, Any], beginning: str, way: Continuation) -> dict[str, Any]:
    """Returns a chat request with the beginning of the assistant's turn at its end."""
    parameters, flags = CONTINUATIONS[way]
    turn = {"role": "assistant", "content": beginning, **flags}
    return body | {"messages": [*body["messages"], turn], **parameters}


def _conversation(prompt: Prompt) -> list[dict[str, Any]]:
    """Puts the beginning of the assistant's turn into the user's, for servers that cannot continue one."""
    messages = _messages(prompt)
    so_far = prompt.prefill.removesuffix(prompt.opening)
    note = f"\n\nSo far:\n{so_far}" if so_far else ""
    if opening := prompt.opening.strip():
        note += f"\n\nGo on from here. Begin your answer with: {opening}"
    messages[-1]["content"] += note
    return messages
