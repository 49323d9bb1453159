"""Samples with vLLM in this process, which shares the device with the trainer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from o1coder_gym.agents.rl.episodes import Episode
from o1coder_gym.agents.rl.sampling.actors import Draw, Start, tagged
from o1coder_gym.agents.rl.sampling.choice import GPU_SHARE, Chosen, check_shared
from o1coder_gym.agents.rl.sampling.weights import merged_weights, passing_folder, save_adapter
from o1coder_gym.policies import LanguageModelPolicy, VLLMSettings
from o1coder_gym.policies.vllm.trained import TrainedVLLM
from o1coder_gym.runs import ranks
from o1coder_gym.steps.formats import StepFormat


class VLLMActor:
    """An `Actor` that receives its weights in memory; LoRA adapters stay adapters.

    Attributes:
        policy: Samples steps by vLLM.
    """

    def __init__(self, engine: TrainedVLLM, step_format: StepFormat, *, adapters: bool) -> None:
        """Puts an engine behind a step format.

        Args:
            engine: Of the model that the training starts from.
            step_format: How steps are written.
            adapters: Whether adapters are trained, and not all weights.
        """
        self._engine = engine
        self._adapters = adapters
        self._version = 0
        self._refreshed = 0
        self.policy = LanguageModelPolicy(engine, step_format)

    def refresh(self, learner: Any, version: int) -> None:
        """Takes over the weights of the policy in training."""
        # A new number for each refresh: vLLM would answer from the adapters that it already holds under an
        # old one.
        self._refreshed += 1
        if self._adapters:
            # vLLM reads adapters from files alone; these are in memory, and a few MB.
            with passing_folder(learner) as folder:
                save_adapter(learner, folder)
                self._engine.take_adapter(folder, self._refreshed)
        else:
            self._engine.take_weights(merged_weights(learner))
        self._version = version

    def sample(self, draw: Draw) -> list[Episode]:
        """Samples a batch, then leaves the device's memory to the trainer."""
        with self._engine.awake():
            return tagged(draw(self.policy), self._version)

    def close(self) -> None:
        """Ends vLLM."""
        self._engine.close()


def make_vllm_actor(start: Start, chosen: Chosen, *, sleeps: bool) -> VLLMActor:
    """Returns an actor that samples by vLLM in this process.

    Args:
        start: The start of the training.
        chosen: With `VLLMSettings`; what was not asked for is that of the training.
        sleeps: Whether the device's memory is the trainer's alone between two batches.

    Raises:
        UsageError: As by `check_shared`.
        MissingExtraError: When vllm is not installed.
    """
    import torch

    check_shared(chosen, ranks.count())
    assert isinstance(chosen.settings, VLLMSettings)
    # Defaults that follow from the training; what the user asked for stays.
    own = {
        "dtype": start.dtype,
        "context": min(VLLMSettings().context, start.model.config.get_text_config().max_position_embeddings),
        "max_rows": max(VLLMSettings().max_rows, start.rows),
        "gpu_share": GPU_SHARE,
    }
    settings = replace(chosen.settings, **{k: v for k, v in own.items() if k not in chosen.set})
    engine = TrainedVLLM(
        start.folder, settings, lora_rank=start.lora_rank, sleeps=sleeps and torch.cuda.is_available()
    )
    return VLLMActor(engine, start.step_format, adapters=start.lora_rank > 0)
