"""The sizes of a model, computed from its configuration alone: no weights are loaded or needed.

It is built on torch's meta device, where tensors have shapes and no contents, and what a forward pass keeps
for the backward pass is what autograd saves there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from o1coder_gym.errors import WeightsError
from o1coder_gym.models.batches.shared_prefixes import token_cost
from o1coder_gym.models.lookup import KNOWN_MODELS, find_model, unknown_model
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.runs.hub import hub_reachable

_PROBED = 61
"""Tokens of the pass that is measured: no size of a model, so that a table of pairs of them is told apart."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a causal language model.

    Attributes:
        parameters: Its weights, tied ones once.
        learned: Those that are trained: adapters, or all.
        layers: Blocks.
        width: Of the hidden state.
        vocabulary: Words of the output layer.
        cached: Numbers that a token leaves in the cache of keys and values.
        kept: Numbers that a token leaves in the blocks for the backward pass.
        kept_by_layer: Those of one block.
        token_cost: See `models.batches.shared_prefixes.token_cost`.
    """

    parameters: int
    learned: int
    layers: int
    width: int
    vocabulary: int
    cached: int
    kept: int
    kept_by_layer: int
    token_cost: float


def sizes_of(name: str, lora_rank: int = 0) -> Sizes:
    """Computes the sizes of a model.

    Args:
        name: Known name, Hub id or folder; of a Hub id the configuration is fetched.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.

    Raises:
        UnknownNameError: When there is no such model.
        WeightsError: When the configuration is not here and cannot be fetched, or is of no causal language
            model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = _config_of(name)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    except (ValueError, ImportError) as error:
        raise WeightsError(f"{name} is no model whose size can be told: {_first_line(error)}") from error
    parameters = sum(weight.numel() for weight in model.parameters())
    text = config.get_text_config()
    cost = token_cost(model.base_model)  # without adapters, as prefixes are shared
    if lora_rank:
        from peft import get_peft_model

        with torch.device("meta"):
            model = get_peft_model(model, lora(lora_rank))
    learned = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    kept, layers = _kept(model), text.num_hidden_layers
    return Sizes(
        parameters,
        learned,
        layers,
        text.hidden_size,
        text.vocab_size,
        cached=2 * layers * heads * head,
        kept=kept,
        kept_by_layer=kept // layers,
        token_cost=cost,
    )


def _config_of(name: str) -> Any:
    """Returns the configuration of a model, of transformers."""
    from transformers import AutoConfig

    folder = find_model(name)
    if folder is None and name in KNOWN_MODELS:
        raise WeightsError(f"the configuration of {name} is not here yet: o1coder models fetch {name}")
    if folder is None and "/" not in name:
        raise unknown_model(name)
    reachable = folder is not None or hub_reachable()
    try:
        return AutoConfig.from_pretrained(folder or name, local_files_only=not reachable)
    except (OSError, ValueError) as error:
        away = "it is not on this machine and the Hugging Face Hub cannot be reached"
        raise WeightsError(
            f"the configuration of {name} cannot be read: {_first_line(error) if reachable else away}"
        ) from error


def _kept(model: Any) -> int:
    """Returns how many numbers a token keeps for the backward pass of the backbone."""
    import torch

    backbone = model.get_base_model().base_model if hasattr(model, "get_base_model") else model.base_model
    weights = {_storage(weight) for weight in model.parameters()}
    saved: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        # The kernels of attention that are used keep no table of all pairs of tokens; here there is one.
        pairs = tensor.dim() > 1 and tensor.shape[-1] == tensor.shape[-2] == _PROBED
        if not pairs and tensor.is_floating_point() and _storage(tensor) not in weights:
            saved[_storage(tensor)] = tensor  # held, so that no later one gets its place
        return tensor

    with torch.device("meta"):
        ids, positions = torch.zeros(2, 1, _PROBED, dtype=torch.long)
        # All four dimensions of the mask: transformers would look into a smaller one, or into none.
        mask = torch.ones(1, 1, _PROBED, _PROBED, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        backbone(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() // tensor.itemsize for tensor in saved.values()) // _PROBED


def _storage(tensor: Any) -> int:
    """Returns a key that is equal for all views of the same storage."""
    return tensor.untyped_storage()._cdata


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
