"""The actor: a copy of the policy in training that samples episodes, one engine call for all of them."""

from __future__ import annotations

import copy
from typing import Any

from o1coder_gym.policies import HFEngine, HFSettings, LanguageModelPolicy
from o1coder_gym.steps.formats import StepFormat


class Actor:
    """π_θold of PPO: what the policy was when it was last refreshed.

    A copy, because the engine decodes with its own attention in evaluation mode, and the model in training
    may carry adapters.

    Attributes:
        policy: Samples steps from the copy.
    """

    def __init__(self, model: Any, tokenizer: Any, step_format: StepFormat, rows: int = 0) -> None:
        """Copies a model.

        Args:
            model: A transformers causal language model without adapters.
            tokenizer: Its tokenizer.
            step_format: How steps are written.
            rows: Episodes of a batch, sampled together where memory allows; 0 takes the engine's own number.
        """
        self._model = copy.deepcopy(model).requires_grad_(False).eval()
        self._engine = HFEngine.from_model(self._model, tokenizer, HFSettings(max_rows=rows))
        # All prompts of a batch: its rows are made of the tokens that were shown.
        self.policy = LanguageModelPolicy(self._engine, step_format, remembered=None)

    def refresh(self, model: Any) -> None:
        """Takes over the weights of the policy in training, LoRA adapters added to their layers.

        Args:
            model: The model that was copied, trained on; plain or wrapped by PEFT.
        """
        import torch

        # PEFT wraps layers: a weight is called …base_layer.weight there, and BA·α/r comes on top of it.
        peft = hasattr(model, "get_base_model")
        source = model.get_base_model() if peft else model
        self._model.to(next(source.parameters()).device)  # a trainer has moved it since
        mine = self._model.state_dict()
        with torch.no_grad():
            for name, value in source.state_dict().items():
                if "lora_" not in name:
                    mine[name.replace(".base_layer.", ".")].copy_(value)
            for name, module in source.named_modules() if peft else ():
                if hasattr(module, "get_delta_weight"):
                    mine[f"{name}.weight"].add_(module.get_delta_weight("default"))
        # Kept keys and values are of the old weights. Prompts of earlier batches hold tokens sampled there,
        # which a run that was resumed does not have.
        self._engine.forget()
        self.policy.forget()
