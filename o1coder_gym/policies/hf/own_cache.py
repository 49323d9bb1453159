"""The decode loop for models that this project's attention does not fit: their own cache, one row at a time.

Slower, and right for whatever transformers runs: sliding windows, latent attention, recurrent layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

from o1coder_gym.policies.engine import Meter
from o1coder_gym.policies.hf.causal_model import CausalModel
from o1coder_gym.policies.hf.decoding import OnToken, Row
from o1coder_gym.policies.hf.row_cache import cache_name
from o1coder_gym.policies.sampling import draw

Step = Callable[[Sequence[int], Any], tuple[torch.Tensor, Any]]
"""Feeds tokens behind a state; returns the logits ``[1, V]`` after the last one and the next state."""

_PROBE = (3, 1, 4, 1, 5, 9, 2, 6)
_CLOSE = 0.02


class OwnCacheDecoder:
    """Runs one model over rows, one after the other; the samples of one prompt share its computation.

    Attributes:
        on_token: Called with a row after each of its tokens; None: no callback.
    """

    def __init__(self, model: CausalModel, meter: Meter) -> None:
        """Args: the model, where work is counted."""
        self._causal = model
        self._meter = meter
        self._step = _cached(model.model) if _caches_rightly(model.model) else _uncached(model.model)
        self.on_token: OnToken | None = None

    def forget(self) -> None:
        """Nothing is kept between calls."""

    def evict(self) -> None:
        """Nothing is kept between calls."""

    @torch.inference_mode()
    def run(self, rows: Sequence[Row]) -> None:
        """Finishes all `rows`."""
        # Rows of a request are neighbours, so groupby finds all samples of a prompt.
        for prompt, group in groupby(rows, key=lambda row: row.request.prompt_ids):
            logits, state = self._step(prompt, None)
            for place, row in enumerate(group):
                row.computed = 0 if place else len(prompt)
                # A copy each: models write into their cache, and the next sample starts behind the same
                # prompt.
                self._finish(row, logits, copy.deepcopy(state))
                self._meter.add_batch(1)
                self._meter.add(
                    generated_tokens=len(row.ids), prompt_tokens=row.computed, cached_tokens=row.cached
                )

    def _finish(self, row: Row, logits: torch.Tensor, state: Any) -> None:
        while True:
            uniform = row.uniform[len(row.ids)]
            (token,), (logprob,) = draw(logits, [row.request.sampling], [uniform])
            finished = row.accept(token, logprob, self._causal)
            if self.on_token is not None:
                self.on_token(row)
            if finished:
                return
            logits, state = self._step([token], state)


def _cached(model: Any) -> Step:
    """Feeds new tokens only; the state is the model's cache, by the name that the model gives it."""
    name = cache_name(type(model))

    def step(tokens: Sequence[int], state: Any) -> tuple[torch.Tensor, Any]:
        ids = torch.tensor([list(tokens)], device=model.device)
        output = model(input_ids=ids, use_cache=True, **(state or {}))
        cache = output.get(name)
        return output.logits[:, -1], None if cache is None else {name: cache}

    return step


def _uncached(model: Any) -> Step:
    """Feeds everything again; the state is the tokens so far."""

    def step(tokens: Sequence[int], state: Any) -> tuple[torch.Tensor, Any]:
        # Quadratic in the length, and right for a model whose cache is not: it is only chosen where the check
        # has failed.
        whole = [*(state or ()), *tokens]
        ids = torch.tensor([whole], device=model.device)
        return model(input_ids=ids, use_cache=False).logits[:, -1], whole

    return step


@torch.inference_mode()
def _caches_rightly(model: Any) -> bool:
    """Whether feeding tokens one by one gives the same as feeding them at once."""
    tokens = [token % model.config.get_text_config().vocab_size for token in _PROBE]
    # [1, V] logits; what is computed without a cache is right by definition.
    expected, _ = _uncached(model)(tokens, None)
    try:
        *_, logits = _one_by_one(_cached(model), tokens)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        return False
    return bool((logits - expected).norm() <= _CLOSE * expected.norm())


def _one_by_one(step: Step, tokens: Sequence[int]) -> Iterator[torch.Tensor]:
    logits, state = step(tokens[:-2], None)
    for token in tokens[-2:]:
        if not state:
            raise ValueError("the model gives no cache")
        logits, state = step([token], state)
        yield logits
