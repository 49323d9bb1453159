"""vLLM in process with the weights of a policy in training, passed in memory."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.engine import Completion, Generate
from o1coder_gym.policies.vllm.engine import DEFAULTS, VLLMEngine, VLLMSettings
from o1coder_gym.policies.vllm.repacking import repack_tied

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of LoRA that vLLM makes room for."""


class TrainedVLLM(VLLMEngine):
    """An engine with changing weights that frees its device memory while it sleeps."""

    def __init__(
        self, name: str, settings: VLLMSettings = DEFAULTS, *, lora_rank: int = 0, sleeps: bool = False
    ) -> None:
        """Prepares an engine; the model is loaded by the first request, or by weights.

        Args:
            name: Of the model that the training starts from.
            settings: How to run it.
            lora_rank: r of adapters to come; 0: all weights will come.
            sleeps: Whether it sleeps outside of `awake`; vLLM's sleep needs a GPU.

        Raises:
            MissingExtraError: When vllm is not installed.
        """
        super().__init__(name, settings)
        self._lora_rank = lora_rank
        self._sleeps = sleeps
        self._wakers = 0
        self._counting = threading.Lock()

    def _arguments(self) -> dict[str, Any]:
        """Returns further arguments of `vllm.LLM`."""
        adapters = {"enable_lora": True, "max_loras": 1, "max_lora_rank": room_for(self._lora_rank)}
        sleep = {"enable_sleep_mode": True} if self._sleeps else {}
        return sleep | (adapters if self._lora_rank else {})

    def take_weights(self, weights: Iterable[tuple[str, Any]]) -> None:
        """Replaces all weights, one after the other; kept prefixes are dropped.

        Not by ``load_weights`` of the model: some backends keep weights packed, a CPU's for instance, and
        would continue with those that they have packed already. vLLM's ``reload_weights`` packs again.

        Args:
            weights: Pairs of a name in transformers and a tensor on any device.

        Raises:
            PolicyError: When vLLM does not take them.
        """

        def reload(engine: Any) -> None:
            engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
            engine.collective_rpc(repack_tied)

        self._change(reload)

    def take_adapter(self, folder: Path, number: int) -> None:
        """Replaces the LoRA adapters; the base stays.

        Args:
            folder: Of the adapters as PEFT saves them; not needed afterwards.
            number: Another one than any before, ≥ 1.

        Raises:
            PolicyError: When vLLM does not take them.
        """
        request = importlib.import_module("vllm.lora.request").LoRARequest(
            f"policy-{number}", number, str(folder)
        )

        def replace(engine: Any) -> None:
            engine.llm_engine.add_lora(request)
            # Here, not when this call returns: calls that wait for their turn join right behind it, and the
            # earlier adapters are gone.
            self._adapter = request

        self._change(replace)

    def _change(self, change: Callable[[Any], object]) -> None:
        """Changes weights, and drops what was computed with the earlier ones."""
        with self.awake():
            engine, _ = self._ready()

            def work() -> None:
                change(engine)
                engine.reset_prefix_cache()

            try:
                self._batch.alone(engine, work)
            except Exception as error:
                # Whatever it raises, an assertion about shapes for instance: half of the weights may be new.
                self._broken = True
                said = " ".join(str(error).split())[:300]
                raise PolicyError(f"vLLM refused the new weights: {type(error).__name__}: {said}") from error

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Keeps weights and cache on the device while the context lasts; contexts may be nested."""
        engine, _ = self._ready()
        with self._counting:  # calls come from several threads
            if self._sleeps and not self._wakers:
                self._batch.alone(engine, lambda: _wake(engine))
            self._wakers += 1
        try:
            yield
        finally:
            with self._counting:
                self._wakers -= 1
                if self._sleeps and not self._wakers:
                    # Level 1: weights wait in the memory of the machine. They are sampled with again before
                    # the next come, where a training is watched on held-out problems.
                    self._batch.alone(engine, lambda: engine.sleep(level=1))

    def generate(self, requests: Sequence[Generate], /) -> list[tuple[Completion, ...]]:
        """Answers all requests, see `VLLMEngine`; wakes up for it."""
        with self.awake():
            return super().generate(requests)

    def close(self) -> None:
        """Ends vLLM, if it was begun, and frees its memory."""
        with self._lock:
            loaded, self._loaded, self._broken = self._loaded, None, True
        if loaded is not None:
            self._batch.alone(loaded[0], loaded[0].llm_engine.engine_core.shutdown)
            del loaded
            gc.collect()


def _wake(engine: Any) -> None:
    import torch

    # What the trainer has freed torch keeps for it, and vLLM takes its memory from the device.
    torch.cuda.empty_cache()
    engine.wake_up()


def room_for(rank: int) -> int:
    """Returns the smallest rank that vLLM accepts and that is at least `rank`.

    Raises:
        PolicyError: When it makes no room for so many.
    """
    found = next((one for one in _RANKS if one >= rank), None)
    if found is None:
        raise PolicyError(f"vLLM takes LoRA adapters up to a rank of {_RANKS[-1]}, not {rank}")
    return found
