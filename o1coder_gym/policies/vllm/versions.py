"""What a vLLM server is taught in order to sample for a training: which weights it has.

A server takes it by ``--worker-extension-cls o1coder_gym.policies.vllm.versions:KnowsItsWeights``, and is
asked through its route ``/collective_rpc``, which ``VLLM_SERVER_DEV_MODE=1`` opens.
"""

from __future__ import annotations

from typing import Any


class KnowsItsWeights:
    """Methods of a worker of vLLM, beside its own."""

    held_weights = ""

    def take_weights(self: Any, file: str, version: str) -> str:
        """Replaces all weights, and packs them anew where the backend keeps them packed.

        Args:
            file: A safetensors file with the names of transformers, which this machine sees.
            version: What `which_weights` answers afterwards.

        Returns:
            `version`.
        """
        from safetensors import safe_open

        self.held_weights = "incomplete"
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            self.reload_weights(weights_iterator=((name, weights.get_tensor(name)) for name in names))
        return self.note_weights(version)

    def note_weights(self: Any, version: str) -> str:
        """Notes the version of weights that came another way; returns it."""
        self.held_weights = version
        return version

    def which_weights(self: Any) -> str:
        """Returns the version of its weights, "" for those that it was started with."""
        return self.held_weights
