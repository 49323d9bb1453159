"""A causal language model prepared for decoding: weights, tokenizer, end tokens, cache.

Scaled dot-product attention for grouped queries that never repeats keys and values.

With a mask, transformers' own `sdpa` copies each key-value head once per query head of its group: seven
times for Qwen2.5-0.5B, at every decoded token. Query heads of one group attend to the same keys, so they
are the same computation as more query positions of one head.

Shapes: B rows, G query heads per key-value head, H key-value heads, S query positions, T columns, D size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

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
from o1coder_gym.models.chat_template import end_tokens, with_template_arguments
from o1coder_gym.models.context import context_of
from o1coder_gym.models.lookup import UNLOADABLE
from o1coder_gym.models.memory import check_memory
from o1coder_gym.policies.hf.packed_linear import pack_linear_layers
from o1coder_gym.policies.hf.prefixes import forward
from o1coder_gym.policies.hf.row_cache import CacheShape, RowCache, as_argument
from o1coder_gym.policies.token_text import TokenText


class CausalModel:
    """A causal language model with tokenizer, end tokens, context length and cache shape.

    Attributes:
        model: The transformers model, in evaluation mode.
        text: Its tokenizer.
        end_tokens: Tokens that end a turn.
        context: Longest sequence in tokens.
        shape: The shape of its cache per token; None if it uses its own attention and cache.
    """

    def __init__(self, model: Any, tokenizer: Any, attention: Literal["auto", "model"] = "auto") -> None:
        """Makes a model ready.

        Args:
            model: A transformers causal language model.
            tokenizer: Its tokenizer.
            attention: See `engine.HFSettings`.

        Raises:
            PolicyError: When this project's attention gives other results than the model's own.
        """
        self.model = model.eval()
        self.text = TokenText(tokenizer)
        self.end_tokens = end_tokens(model, tokenizer)
        self.context = context_of(model.config.get_text_config())
        own = attention == "model" or not has_plain_attention(model)
        self.shape = None if own else use_engine_attention(model)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        dtype: str,
        device: str = "auto",
        *,
        attention: Literal["auto", "model"] = "auto",
        template_arguments: Mapping[str, Any] | None = None,
    ) -> CausalModel:
        """Loads weights and tokenizer from a local folder.

        Raises:
            PolicyError: When they cannot be loaded, or not onto that device.
        """
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        logging.disable_progress_bar()
        try:
            check_memory(folder, dtype, chosen)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, dtype), device_map=chosen
            )
        except UNLOADABLE as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise PolicyError(f"cannot load {folder} on {chosen}: {told}") from error
        finally:
            logging.enable_progress_bar()
        found = cls(model, with_template_arguments(tokenizer, template_arguments), attention)
        if found.shape is not None:
            pack_linear_layers(model)  # nobody else has this model, so nobody trains it
        return found


def has_plain_attention(model: Any) -> bool:
    """Whether all layers declare that they attend to all earlier tokens."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kinds = ["sliding_attention"] if getattr(config, "sliding_window", None) else ["full_attention"]
    recurrent = any("mamba" in kind or "rwkv" in kind for kind in (config.model_type,))
    latent = getattr(config, "kv_lora_rank", None)  # caches keys and values of different sizes
    return set(kinds) == {"full_attention"} and not recurrent and not latent


def use_engine_attention(model: Any) -> CacheShape:
    """Switches a model to this project's attention, if it computes the same as the model's own.

    One forward pass of each over a few tokens decides, that of this project's with padding and a cache.

    Raises:
        PolicyError: When results differ, or layers have caches of different shapes; the model keeps its own.
    """
    kind, before = model.config.model_type, model.config._attn_implementation
    hint = "; run it by its own attention, slower: attention=model, or with vllm:"
    try:
        expected = _own_hidden(model)
        model.set_attn_implementation(GROUPED)
        shape = cache_shape(model)
        error = max(
            float((found - wanted).norm() / wanted.norm())
            for found, wanted in zip(_engine_hidden(model, shape), expected, strict=True)
        )
    except PolicyError as refusal:
        model.set_attn_implementation(before)
        raise PolicyError(f"{refusal}{hint}") from refusal
    except _RAISED as failure:
        model.set_attn_implementation(before)
        first = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        raise PolicyError(f"{kind} does not take this engine's attention ({first}){hint}") from failure
    if not error <= (1e-3 if shape.dtype == torch.float32 else 0.05):
        model.set_attn_implementation(before)
        raise PolicyError(f"{kind} computes otherwise by this engine's attention (off by {error:.2g}){hint}")
    return shape


@torch.inference_mode()
def cache_shape(model: Any) -> CacheShape:
    """Runs one token and reads the shape of what the model caches.

    Raises:
        PolicyError: When not all layers have full attention with equal key-value heads.
    """
    config = model.config.get_text_config()
    if not has_plain_attention(model):
        raise PolicyError(f"{config.model_type} does not have full attention in all layers")
    # transformers' own cache tells the shape: what a model caches is in its code, not in its configuration.
    cache = DynamicCache()
    one = torch.ones(1, 1, dtype=torch.long, device=model.device)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=model.device)
    model.base_model(
        input_ids=one, attention_mask=mask, use_cache=True, **as_argument(model.base_model, cache)
    )
    tensors = [tensor for layer in cache for tensor in layer[:2] if tensor is not None]
    # One buffer [2L, B, H, C, D] holds all layers, so they must be alike.
    if len({tensor.shape for tensor in tensors}) != 1:
        raise PolicyError(f"{config.model_type} caches layers of different shapes")
    _, heads, _, size = tensors[0].shape
    return CacheShape(len(tensors) // 2, heads, size, tensors[0].dtype, tensors[0].device)


_RAISED = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions of models whose layers cannot take this attention or cache."""


def _check_tokens(model: Any) -> list[tuple[int, ...]]:
    """Returns two short texts of different lengths."""
    vocabulary = model.config.get_text_config().vocab_size
    # A prime stride: different tokens at different places, the same ones in every run.
    return [tuple(7919 * place % vocabulary for place in range(1, length + 1)) for length in (23, 12)]


@torch.inference_mode()
def _own_hidden(model: Any) -> list[torch.Tensor]:
    """Returns the last token's hidden state ``[E]`` of each text by the model's own attention."""
    # [1, T] each: alone, without padding or cache, is what the model computes by definition.
    rows = [torch.tensor([ids], device=model.device) for ids in _check_tokens(model)]
    return [model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -1].float() for ids in rows]


@torch.inference_mode()
def _engine_hidden(model: Any, shape: CacheShape) -> list[torch.Tensor]:
    """Returns the same computed as in decoding: left-padded, the last token with a cache, ``[E]`` each."""
    texts = _check_tokens(model)
    longest = max(map(len, texts)) - 1
    cache = RowCache(shape, len(texts), longest + 1)
    cache.fill([()] * len(texts))
    # [B, S], S = longest: all tokens but the last, which decoding would feed by itself.
    padded = [(0,) * (longest + 1 - len(ids)) + ids[:-1] for ids in texts]
    forward(model.base_model, cache, padded, [len(ids) - 1 for ids in texts])
    # Right after the prefill row b begins where its padding ends; `fill` of empty prefixes could not know it.
    cache.starts = [longest + 1 - len(ids) for ids in texts]
    hidden = forward(model.base_model, cache, [ids[-1:] for ids in texts], [1] * len(texts)).last_hidden_state
    return [row[-1].float() for row in hidden]


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
    # G = query heads ÷ key-value heads.
    groups = heads // key.shape[1]
    # [B, H, G·S, D]: the G query heads of a group become S more positions each of one head.
    folded = query.reshape(rows, key.shape[1], groups * length, size)
    # [B, 1, G·S, T]; of one position the row serves all heads by broadcasting.
    mask = attention_mask.repeat(1, 1, groups, 1) if attention_mask.shape[2] > 1 else attention_mask
    mixed = scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scaling)
    return mixed.reshape(rows, heads, length, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
