"""What vLLM's ``reload_weights`` leaves as it was, found in vLLM 0.31: an output layer tied to the embedding.

A CPU keeps matrices packed. The reload packs each layer anew that is sent weights; a tied output layer gets
none, and would go on with what was packed of the weights before. A server takes the method by
``--worker-extension-cls o1coder_gym.policies.vllm.repacking.Repacks``.
"""

from __future__ import annotations

from typing import Any


def repack_tied(worker: Any) -> None:
    """Packs anew what embeddings and output layers of a worker keep packed; on a GPU that is nothing."""
    for layer in worker.model_runner.get_model().modules():
        if hasattr(layer, "cpu_linear") and hasattr(layer, "org_vocab_size"):
            layer.quant_method.process_weights_after_loading(layer)


class Repacks:
    """A method of a worker of vLLM, beside its own."""

    def repack_tied(self: Any) -> None:
        """Packs anew, see `repack_tied`."""
        repack_tied(self)
