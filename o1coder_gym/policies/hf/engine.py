"""transformers in process: batched sampling with prefix reuse, on a CPU or a GPU.

Importing this module is light; torch is loaded when it is first asked what it can take, the weights by the
first request.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from o1coder_gym.errors import PolicyError, PromptTooLongError, require
from o1coder_gym.models.lookup import model_path
from o1coder_gym.policies.engine import Completion, Counters, Generate, Meter
from o1coder_gym.runs.provenance import multiplies_bfloat16
from o1coder_gym.specs.parameters import Count, check_fields
from o1coder_gym.steps.formats import Prompt

if TYPE_CHECKING:
    import torch

    from o1coder_gym.policies.hf.causal_model import CausalModel
    from o1coder_gym.policies.hf.decoding import Decoder, Row
    from o1coder_gym.policies.hf.own_cache import OwnCacheDecoder
    from o1coder_gym.policies.hf.row_cache import CacheShape

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HFSettings:
    """How the engine runs.

    Attributes:
        dtype: Of weights and cache; ``"auto"`` is bfloat16 where the hardware multiplies it, else float32.
        device: A torch device; ``"auto"`` is cuda where there is one, else cpu.
        max_rows: Continuations decoded together; 0 takes 64 on a CPU and 512 on a GPU.
        batch_mib: Memory for keys and values of one batch, in MiB; 0 takes 2048 on a CPU, an eighth of a GPU.
        prefix_mib: Memory for keys and values of prefixes kept between calls, in MiB.
        graphs: ``"yes"`` records decode steps as CUDA graphs on a GPU, ``"no"`` launches each operation.
        attention: ``"auto"`` is this engine's own where all layers attend to all tokens, checked at load, and
            the model's own elsewhere; ``"model"`` is the model's own with its own cache: slower, one row at a
            time, and right for whatever transformers runs.
        template_arguments: Variables of the chat template, ``{"enable_thinking": false}`` for instance.
    """

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    max_rows: Count = 0
    batch_mib: Count = 0
    prefix_mib: Count = 1024
    graphs: Literal["yes", "no"] = "yes"
    attention: Literal["auto", "model"] = "auto"
    template_arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value makes no sense."""
        check_fields(self)


DEFAULTS = HFSettings()

OnText = Callable[[Generate, int, str], None]
"""Called with a growing continuation: the request, the number of the continuation, the action so far."""


class HFEngine:
    """A causal language model of transformers.

    Draws do not depend on what else is in a batch up to rounding: exact in float32, usually not in
    bfloat16.
    """

    parallel = 1

    def __init__(self, load: Callable[[], CausalModel], settings: HFSettings = DEFAULTS) -> None:
        """Prepares an engine; the model is loaded by the first request. See also the class methods.

        Args:
            load: Loads the model.
            settings: How to run it.

        Raises:
            MissingExtraError: When torch or transformers is not installed.
        """
        require("hf", "torch", "transformers")
        self._load = load
        self._settings = settings
        self._meter = Meter()
        self._lock = threading.RLock()
        self._loaded: tuple[CausalModel, Decoder | OwnCacheDecoder] | None = None

    @classmethod
    def from_name(cls, name: str, settings: HFSettings = DEFAULTS) -> HFEngine:
        """Makes an engine for a model that `models.lookup.model_path` finds: a name, a Hub id or a folder."""

        def load() -> CausalModel:
            folder = model_path(name)  # before transformers is imported: a name that is wrong is told at once
            from o1coder_gym.policies.hf.causal_model import CausalModel

            return CausalModel.from_folder(
                folder,
                auto_dtype(settings.device) if settings.dtype == "auto" else settings.dtype,
                settings.device,
                attention=settings.attention,
                template_arguments=settings.template_arguments,
            )

        return cls(load, settings)

    @classmethod
    def from_model(cls, model: Any, tokenizer: Any, settings: HFSettings = DEFAULTS) -> HFEngine:
        """Makes an engine for a model in memory; after its weights change call `forget`."""

        def load() -> CausalModel:
            from o1coder_gym.policies.hf.causal_model import CausalModel

            return CausalModel(model, tokenizer, settings.attention)

        return cls(load, settings)

    @property
    def batch_tokens(self) -> int:
        """Σ n · max_tokens that one call may usefully ask for: what fills its rows with 512 tokens each."""
        return 512 * self._rows

    @property
    def _rows(self) -> int:
        return self._settings.max_rows or (512 if self._on_gpu else 64)

    @property
    def _on_gpu(self) -> bool:
        if self._loaded is not None:
            return self._loaded[0].model.device.type == "cuda"
        return self._settings.device.startswith(("auto", "cuda")) and _load_torch().cuda.is_available()

    @property
    def counters(self) -> Counters:
        """A snapshot of the work done so far."""
        return self._meter.snapshot()

    def prepare(self) -> None:
        """Loads the weights now rather than at the first request.

        Raises:
            PolicyError, WeightsError, MissingExtraError: When they cannot be.
        """
        self._ready()

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Returns the ids of the whole prompt."""
        return self._ready()[0].text.encode(prompt)

    def encode_thought(self, prompt: Prompt) -> tuple[tuple[int, ...], str]:
        """Returns the ids of a prompt up to an open thought, and the tag that closes it."""
        return self._ready()[0].text.encode_thought(prompt)

    def encode_more(self, text: str) -> tuple[int, ...]:
        """Returns the ids of text inside a turn."""
        return self._ready()[0].text.encode_more(text)

    def forget(self) -> None:
        """Drops all kept prefixes."""
        with self._lock:
            self._ready()[1].forget()

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Answers all requests; batches of similar prompt lengths, bounded by rows and memory.

        Raises:
            PromptTooLongError: When a prompt does not fit the context.
            PolicyError: When torch fails.
        """
        asked = time.monotonic()
        with self._lock:
            begun = time.monotonic()
            model, decoder = self._ready()
            groups = [_start_rows(request, model.context) for request in requests]
            # [B] rows of all requests: samples of different prompts are decoded together.
            rows = [row for group in groups for row in group]
            try:
                for batch in self._batches(rows, model.shape) if model.shape else [rows]:
                    decoder.run(batch)
            except RuntimeError as error:
                raise PolicyError(f"generation failed: {str(error).splitlines()[0]}") from error
            finally:
                # Only now: during the call its own prefixes must stay, however many they are.
                decoder.evict()
            self._meter.add(requests=len(requests), busy_s=time.monotonic() - begun, queue_s=begun - asked)
        return [tuple(row.result() for row in group) for group in groups]

    @contextmanager
    def watched(self, on_text: OnText) -> Iterator[None]:
        """Reports every token to `on_text` while the context lasts, from the thread that generates."""
        decoder = self._ready()[1]
        decoder.on_token = lambda row: on_text(row.request, row.sample, row.action)
        try:
            yield
        finally:
            decoder.on_token = None

    def _ready(self) -> tuple[CausalModel, Decoder | OwnCacheDecoder]:
        with self._lock:
            if self._loaded is None:
                _load_torch()
                begun = time.monotonic()
                model = self._load()
                self._loaded = model, self._decoder(model)
                _LOG.info("loaded onto %s in %.1f s", model.model.device, time.monotonic() - begun)
            return self._loaded

    def _decoder(self, model: CausalModel) -> Decoder | OwnCacheDecoder:
        from o1coder_gym.policies.hf.decoding import Decoder
        from o1coder_gym.policies.hf.own_cache import OwnCacheDecoder
        from o1coder_gym.policies.hf.step_graphs import StepGraphs, cuda_graph

        if model.shape is None:
            return OwnCacheDecoder(model, self._meter)
        # Tokens that fit: [2, L, H, D] numbers each.
        capacity = (self._settings.prefix_mib << 20) // model.shape.bytes_per_token
        graphed = model.shape.device.type == "cuda" and self._settings.graphs == "yes"
        graphs = StepGraphs(model.model, model.shape, cuda_graph) if graphed else None
        return Decoder(model, capacity, self._meter, graphs)

    def _batches(self, rows: list[Row], shape: CacheShape) -> Iterator[list[Row]]:
        """Cuts rows, sorted by prompt length, into batches that fit."""
        columns = ((self._settings.batch_mib or _batch_mib(shape.device)) << 20) // shape.bytes_per_token
        most, longest = self._rows, 0
        batch: list[Row] = []
        # By prompt length, so that rows of a batch have little padding; prompts that share a prefix often
        # meet.
        for row in sorted(rows, key=lambda row: len(row.request.prompt_ids)):
            longest = max(longest, row.capacity)
            # Memory is rows · (longest row): a long row may force the ones before it into a batch of their
            # own.
            if batch and (len(batch) == most or (len(batch) + 1) * longest > columns):
                yield batch
                batch, longest = [], row.capacity
            batch.append(row)
        if batch:
            yield batch


def auto_dtype(device: str = "auto") -> str:
    """Returns what ``dtype=auto`` is: bfloat16 on a GPU and on CPUs that multiply it in hardware."""
    if device == "auto":
        device = "cuda" if _load_torch().cuda.is_available() else "cpu"
    return "bfloat16" if not device.startswith("cpu") or multiplies_bfloat16() else "float32"


def _load_torch() -> Any:
    """Imports torch with a thread pool that leaves the judge its core.

    The policy is read once, when the pool is loaded: threads that spin while they wait for each other make
    generation several times slower as soon as the judge needs a core.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    return torch


def _batch_mib(device: torch.device) -> int:
    """Returns the default memory of a batch in MiB."""
    if device.type != "cuda":
        return 2048
    return _load_torch().cuda.get_device_properties(device).total_memory >> 23


def _start_rows(request: Generate, context: int) -> list[Row]:
    from o1coder_gym.policies.hf.decoding import Row

    length = len(request.prompt_ids)
    if length >= context:
        raise PromptTooLongError(f"the prompt has {length} tokens; the model's context is {context}")
    limit = min(request.sampling.max_tokens, context - length)
    return [Row.start(request, sample, limit) for sample in range(request.n)]
