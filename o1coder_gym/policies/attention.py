"""Scaled dot-product attention for grouped queries that never repeats keys and values.

With a mask, transformers' own `sdpa` copies each key-value head once per query head of its group: seven
times for Qwen2.5-0.5B, at every decoded token. Query heads of one group attend to the same keys, so they
are the same computation as more query positions of one head.

Shapes: B rows, G query heads per key-value head, H key-value heads, S query positions, T columns, D size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

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
