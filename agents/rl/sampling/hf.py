"""Samples with transformers: a copy of the policy in training, on the device that trains."""

from __future__ import annotations

import copy
from typing import Any

from o1coder_gym.agents.rl.episodes import Episode
from o1coder_gym.agents.rl.sampling.actors import Draw, tagged
from o1coder_gym.agents.rl.sampling.weights import merged_weights
from o1coder_gym.policies import HFEngine, HFSettings, LanguageModelPolicy
from o1coder_gym.policies.hf.engine import DEFAULTS
from o1coder_gym.steps.formats import StepFormat


class HFActor:
    """An `Actor` that holds a second copy of the weights.

    A copy, because the engine decodes with its own attention in evaluation mode, and the model in training
    may carry adapters.

    Attributes:
        policy: Samples steps from the copy.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        step_format: StepFormat,
        settings: HFSettings = DEFAULTS,
        *,
        dtype: str = "float32",
    ) -> None:
        """Copies a model.

        Args:
            model: A transformers causal language model without adapters.
            tokenizer: Its tokenizer.
            step_format: How steps are written.
            settings: How the engine runs; `max_rows` are the episodes of a batch, sampled together where
                memory allows.
            dtype: Of the copy's weights.
        """
        import torch

        self._model = copy.deepcopy(model).requires_grad_(False).eval()
        if (wanted := getattr(torch, dtype)) != model.dtype:
            # Not the whole module: the frequencies of its positions are float32 beside weights of any type.
            for weight in self._model.parameters():
                weight.data = weight.data.to(wanted)
        self._engine = HFEngine.from_model(self._model, tokenizer, settings)
        self.policy = LanguageModelPolicy(self._engine, step_format)
        self._version = 0

    def refresh(self, learner: Any, version: int) -> None:
        """Takes over the weights of the policy in training, LoRA adapters added to their layers."""
        import torch

        self._model.to(next(learner.parameters()).device)  # a trainer has moved it since
        mine = self._model.state_dict()
        with torch.no_grad():
            for name, value in merged_weights(learner):
                mine[name].copy_(value)
        # Kept keys and values are of the old weights.
        self._engine.forget()
        self._version = version

    def sample(self, draw: Draw) -> list[Episode]:
        """Samples a batch, one engine call a step for all of it."""
        return tagged(draw(self.policy), self._version)

    def close(self) -> None:
        """Drops the computed prefixes; the copy itself is freed with the actor."""
        self._engine.forget()
