"""Tokens drawn inside vLLM as the transformers engine draws them (`sampling.draw`). Imports vLLM and torch.

vLLM's own sampler sorts the whole vocabulary where top-k meets top-p, which on a CPU takes longer than a
small model itself, and its seeds fail on a CPU when a prompt is computed in parts. A server takes them by
``--logits-processors o1coder_gym.policies.vllm.draws:OwnDraws``, and requests with `Generate.draw_args`.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from o1coder_gym.policies.sampling import draw, uniforms
from o1coder_gym.types import Sampling

_processors: Any = importlib.import_module("vllm.v1.sample.logits_processor")
_builtin: Any = importlib.import_module("vllm.v1.sample.logits_processor.builtin")

Row = tuple[Sampling, np.ndarray, Sequence[int]]
"""How a row is sampled, its uniform numbers, its tokens so far (vLLM's own list, which grows)."""


class OwnDraws(_processors.LogitsProcessor):
    """Draws the next token of each row and leaves vLLM's greedy sampler no other."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        """As vLLM calls it."""
        self._rows: dict[int, Row] = {}

    def is_argmax_invariant(self) -> bool:
        """Tells vLLM to ask for greedy rows too; all are."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follows the rows as they come, go and move."""
        _builtin.process_dict_updates(self._rows, batch_update, _row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns ``[B, V]`` logits in which one token of each row is possible."""
        if not self._rows:
            return logits
        slots = sorted(self._rows)
        rows = [self._rows[slot] for slot in slots]
        # The n-th token takes the n-th number of its row's stream, in whatever step it is computed.
        now = [uniform[len(tokens)] for _, uniform, tokens in rows]
        drawn, _ = draw(logits[slots], [sampling for sampling, _, _ in rows], now)
        # 0 for the drawn token and −∞ for all others: the greedy sampler behind can take no other.
        logits[slots] = -torch.inf
        logits[slots, drawn] = 0.0
        return logits


def _row(params: Any, prompt: object, tokens: Sequence[int]) -> Row | None:
    told = params.extra_args
    if not told:
        return None
    sampling = Sampling(told["temperature"], told["top_p"], told["top_k"], params.max_tokens)
    return sampling, uniforms(told["seed"], told["sample"], params.max_tokens), tokens
