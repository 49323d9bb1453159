"""Repacks an output layer tied to the embedding, which vLLM 0.31's ``reload_weights`` leaves unchanged.

A CPU keeps matrices packed. The reload packs each layer again that is sent weights; a tied output layer gets
none, and would continue with what was packed of the weights before. A server takes the method by
``--worker-extension-cls o1coder_gym.policies.vllm.repacking.Repacks``.
"""

from __future__ import annotations

from typing import Any


def repack_tied(worker: Any) -> None:
    """Repacks the packed embeddings and output layers of a worker; a GPU has none."""
    for layer in worker.model_runner.get_model().modules():
        if hasattr(layer, "cpu_linear") and hasattr(layer, "org_vocab_size"):
            layer.quant_method.process_weights_after_loading(layer)


class Repacks:
    """An extension of vLLM's worker: one more method."""

    def repack_tied(self: Any) -> None:
        """Repacks, see `repack_tied`."""
        repack_tied(self)
