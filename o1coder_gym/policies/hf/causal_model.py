"""A causal language model made ready for decoding: weights, text, end tokens, what it caches.

Scaled dot-product attention for grouped queries that never repeats keys and values.

With a mask, transformers' own `sdpa` copies each key-value head once per query head of its group: seven
times for Qwen2.5-0.5B, at every decoded token. Query heads of one group attend to the same keys, so they
are the same computation as more query positions of one head.

Shapes: B rows, G query heads per key-value head, H key-value heads, S query positions, T columns, D size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.utils import logging

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies.hf.row_cache import CacheShape
from o1coder_gym.policies.token_text import TokenText


class CausalModel:
    """What `decoding.Decoder` needs to know of a model.

    Attributes:
        model: The transformers model, in evaluation mode.
        text: Its tokenizer.
        end_tokens: Tokens that end a turn.
        context: Longest sequence in tokens.
        shape: What it caches per token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """Args: a transformers causal language model, its tokenizer.

        Raises:
            PolicyError: When not all of its layers have full attention with equal key-value heads.
        """
        model.set_attn_implementation(GROUPED)
        self.model = model.eval()
        self.text = TokenText(tokenizer)
        self.end_tokens = _end_tokens(model, tokenizer)
        self.context = int(model.config.get_text_config().max_position_embeddings)
        self.shape = cache_shape(model)

    @classmethod
    def from_folder(cls, folder: Path, dtype: str = "auto", device: str = "auto") -> CausalModel:
        """Loads weights and tokenizer from a local folder."""
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        precision = _native_precision(chosen) if dtype == "auto" else getattr(torch, dtype)
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=precision, device_map=chosen)
        except (OSError, ValueError) as error:
            raise PolicyError(f"cannot load {folder}: {str(error).splitlines()[0]}") from error
        finally:
            logging.enable_progress_bar()
        return cls(model, tokenizer)


def _native_precision(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on CPUs that multiply it in hardware."""
    if torch.device(device).type != "cpu":
        return torch.bfloat16
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for tokens in (tokenizer.eos_token_id, model.config.eos_token_id, model.generation_config.eos_token_id):
        found |= set(tokens if isinstance(tokens, list) else [tokens])
    return frozenset(token for token in found if token is not None)


@torch.inference_mode()
def cache_shape(model: Any) -> CacheShape:
    """Runs one token and looks at what is cached.

    Raises:
        PolicyError: When not all layers have full attention with equal key-value heads.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or (
        not hasattr(config, "layer_types") and getattr(config, "sliding_window", None)
    ):
        raise PolicyError(f"{config.model_type} does not have full attention in all layers; use vllm: for it")
    cache = DynamicCache()
    one = torch.ones(1, 1, dtype=torch.long, device=model.device)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=model.device)
    model.base_model(input_ids=one, attention_mask=mask, past_key_values=cache, use_cache=True)
    tensors = [tensor for layer in cache for tensor in layer[:2] if tensor is not None]
    if len({tensor.shape for tensor in tensors}) != 1:
        raise PolicyError(f"{config.model_type} caches layers of different shapes; use vllm: for it")
    _, heads, _, size = tensors[0].shape
    return CacheShape(len(tensors) // 2, heads, size, tensors[0].dtype, tensors[0].device)


GROUPED = "o1coder_grouped"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attends with an explicit mask; without one, or in training, it is transformers' own `sdpa`.

    Args:
        module: The attention layer.
        query: ``[B, H * G, S, D]``.
        key: ``[B, H, T, D]``.
        value: ``[B, H, T, D]``.
        attention_mask: ``[B, 1, S, T]`` or ``[B, 1, 1, T]``, True where a query may look.
        scaling: Factor of the scores; None means ``D ** -0.5``.
        options: What else transformers passes on.

    Returns:
        ``[B, S, H * G, D]``, and no weights.
    """
    if attention_mask is None or module.training:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    rows, heads, length, size = query.shape
    groups = heads // key.shape[1]
    folded = query.reshape(rows, key.shape[1], groups * length, size)
    mask = attention_mask.repeat(1, 1, groups, 1) if attention_mask.shape[2] > 1 else attention_mask
    mixed = scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scaling)
    return mixed.reshape(rows, heads, length, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
