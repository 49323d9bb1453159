"""vLLM in process: requests join its batch as they come, and it caches prefixes itself.

Importing this module is light; vLLM and the weights are loaded by the first request. On a CPU it runs with
one thread per core and blocks of 32 tokens; preloading tcmalloc and Intel's OpenMP makes it faster still,
which only the caller of Python can do (docs/policies.md).
"""

from __future__ import annotations

import importlib
import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from o1coder_gym.errors import PolicyError, PromptTooLongError, require
from o1coder_gym.models.chat_template import end_tokens, with_template_arguments
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies.engine import Completion, Counters, Generate, Meter
from o1coder_gym.policies.token_text import TokenText
from o1coder_gym.policies.vllm.own_thread import OwnThread
from o1coder_gym.policies.vllm.running_batch import RunningBatch
from o1coder_gym.specs.parameters import AtLeastOne, Share, check_fields
from o1coder_gym.steps.formats import Prompt

BLOCK = 32
"""Tokens in which prefixes are kept on a CPU."""


@dataclass(frozen=True, slots=True)
class VLLMSettings:
    """Settings of the engine.

    Attributes:
        dtype: Of weights and cache, as vLLM takes it.
        context: Longest sequence in tokens.
        max_rows: Continuations decoded together.
        kv_gib: Memory for keys and values in GiB; on a CPU only.
        gpu_share: Share of a GPU's memory that weights, keys and values take.
        template_arguments: Variables of the chat template, ``{"enable_thinking": false}`` for instance.
    """

    dtype: str = "bfloat16"
    context: AtLeastOne = 4096
    max_rows: AtLeastOne = 64
    kv_gib: AtLeastOne = 3
    gpu_share: Share = 0.9
    template_arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value is out of range."""
        check_fields(self)


DEFAULTS = VLLMSettings()


class VLLMEngine:
    """One model in vLLM. Draws are those of the transformers engine, up to rounding.

    Prompt tokens count once per continuation: vLLM computes the end of a prompt, what is beyond its last
    full block, for each of them.
    """

    parallel = 1

    def __init__(self, name: str, settings: VLLMSettings = DEFAULTS) -> None:
        """Prepares an engine; the model is loaded by the first request.

        Args:
            name: A model name as `models.lookup.model_path` takes it.
            settings: How to run it.

        Raises:
            MissingExtraError: When vllm is not installed.
        """
        require("vllm", "vllm")
        self._name = name
        self._settings = settings
        self.parallel = settings.max_rows
        self._meter = Meter()
        # vLLM binds the thread that loads it to one core, and all threads begun from there with it.
        self._thread = OwnThread("vllm")
        self._batch = RunningBatch(self._thread)
        self._lock = threading.Lock()
        self._loaded: tuple[Any, TokenText] | None = None
        self._ends: list[int] = []
        self._broken = False
        self._adapter: Any = None  # vLLM's LoRARequest

    @property
    def counters(self) -> Counters:
        """A snapshot of the work done so far."""
        return self._meter.snapshot()

    def prepare(self) -> None:
        """Starts vLLM now rather than at the first request; fails as `generate` does."""
        self._ready()

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids of the whole prompt."""
        return self._ready()[1].encode(prompt)

    def encode_thought(self, prompt: Prompt) -> tuple[tuple[int, ...], str]:
        """Returns the ids of a prompt up to an open thought, and the tag that closes it."""
        return self._ready()[1].encode_thought(prompt)

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text inside a turn."""
        return self._ready()[1].encode_more(text)

    def forget(self) -> None:
        """Drops all kept prefixes."""
        engine, _ = self._ready()
        self._batch.alone(engine, engine.reset_prefix_cache)

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Answers all requests; vLLM makes the batches.

        Raises:
            PromptTooLongError: When a prompt does not fit the context.
            PolicyError: When vLLM fails; after a failure with work left inside, always.
        """
        # Before vLLM sees any: it would fail all requests of the call for the one that does not fit.
        longest = max((len(request.prompt_ids) for request in requests), default=0)
        if longest >= self._settings.context:
            context = self._settings.context
            raise PromptTooLongError(f"the prompt has {longest} tokens; the context is {context}")
        outputs = self._run(requests)
        return [self._read(*pair) for pair in zip(requests, outputs, strict=True)]

    def _run(self, requests: Sequence[Generate]) -> list[list[Any]]:
        """Returns vLLM's outputs, one per continuation: only then does each report its cached tokens."""
        engine, _ = self._ready()
        asked = time.monotonic()
        if self._broken or self._batch.failed:
            raise PolicyError("vLLM failed in an earlier request; continue a run folder with --resume")
        if not requests:  # nothing would join the batch, so nothing would end either
            return []
        prompts = [{"prompt_token_ids": list(one.prompt_ids)} for one in requests for _ in range(one.n)]
        samplings = [_sampling(one, sample, self._ends) for one in requests for sample in range(one.n)]

        def enqueue() -> list[str]:
            # The adapter of the moment at which they join: one may be taken while they wait.
            return engine.enqueue(prompts, samplings, use_tqdm=False, lora_request=self._adapter)

        try:
            outputs = iter(self._batch.answer(engine, len(prompts), enqueue))
        except Exception as error:  # whatever it raises, a bare assertion too: it is vLLM that failed
            raise PolicyError(f"vLLM failed: {str(error) or type(error).__name__}") from error
        self._meter.add_batch(len(prompts))
        self._meter.add(requests=len(requests), busy_s=time.monotonic() - asked)
        return [list(itertools.islice(outputs, one.n)) for one in requests]

    def _read(self, request: Generate, outputs: Sequence[Any]) -> tuple[Completion, ...]:
        found = tuple(self._completion(request, output) for output in outputs)
        self._meter.add(
            prompt_tokens=sum(one.prompt_tokens for one in found),
            cached_tokens=sum(one.cached_tokens for one in found),
            generated_tokens=sum(one.tokens for one in found),
        )
        return found

    def _completion(self, request: Generate, output: Any) -> Completion:
        one = output.outputs[0]
        ids = list(one.token_ids)
        logprobs = [position[token].logprob for position, token in zip(one.logprobs, ids, strict=True)]
        # A stop string has text, an end token has none; `completion` drops the latter alone.
        ended = one.finish_reason == "stop" and not isinstance(one.stop_reason, str)
        cut = one.finish_reason == "length"
        found = self._ready()[1].completion(request, ids, logprobs, ended=ended, cut=cut)
        cached = output.num_cached_tokens or 0
        return replace(found, prompt_tokens=len(request.prompt_ids) - cached, cached_tokens=cached)

    def _arguments(self) -> dict[str, Any]:
        """Returns further arguments of `vllm.LLM`."""
        return {}

    def _ready(self) -> tuple[Any, TokenText]:
        with self._lock:
            if self._loaded is None:
                if self._broken:  # by its end: a thread that still samples must not load it again
                    raise PolicyError("vLLM has been closed")
                folder = str(model_path(self._name))
                engine = self._thread.call(lambda: _load(folder, self._settings, self._arguments()))
                tokenizer = engine.get_tokenizer()
                with_template_arguments(tokenizer, self._settings.template_arguments)
                self._ends = sorted(end_tokens(None, tokenizer))
                self._loaded = engine, TokenText(tokenizer)
            return self._loaded


def _load(folder: str, settings: VLLMSettings, further: Mapping[str, Any]) -> Any:
    # In this process, so that weights can be handed over in memory (`trained.TrainedVLLM`).
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", all_cores())
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(settings.kv_gib))
    import torch

    on_cpu = {"enforce_eager": True, "block_size": BLOCK}
    on_gpu = {"gpu_memory_utilization": settings.gpu_share}
    try:
        return importlib.import_module("vllm").LLM(
            model=folder,
            dtype=settings.dtype,
            max_model_len=settings.context,
            max_num_seqs=settings.max_rows,
            enable_prefix_caching=True,
            logits_processors=["o1coder_gym.policies.vllm.draws:OwnDraws"],
            # `OwnDraws` counts the tokens so far, which asynchronous scheduling would show a step late.
            async_scheduling=False,
            use_tqdm_on_load=False,
            **(on_gpu if torch.cuda.is_available() else on_cpu),
            **further,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise PolicyError(f"vLLM cannot load {folder}: {' '.join(str(error).split())[:300]}") from error


def all_cores() -> str:
    """Returns the cores of this process in the form in which vLLM takes the cores for its threads."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


def _sampling(request: Generate, sample: int, ends: list[int]) -> Any:
    """Greedy to vLLM: what is drawn is settled before its sampler looks."""
    return importlib.import_module("vllm").SamplingParams(
        temperature=0.0,
        max_tokens=request.sampling.max_tokens,
        stop=list(request.prompt.stop),
        stop_token_ids=ends,
        # What ends a thought may be a control token: vLLM looks for stop strings in what it does not skip.
        skip_special_tokens=False,
        logprobs=0,
        extra_args=request.draw_args(sample),
    )
