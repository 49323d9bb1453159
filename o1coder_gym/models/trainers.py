"""What all trainings of models share: settings, transformers' arguments, LoRA, results."""

from __future__ import annotations

from typing import Any


def lora(rank: int) -> Any:
    """Returns PEFT's configuration of LoRA on all linear layers, None for rank 0."""
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
