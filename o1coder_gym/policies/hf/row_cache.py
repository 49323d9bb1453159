"""The keys and values of a batch, in one buffer of fixed capacity.

transformers' `DynamicCache` copies everything at each token (`torch.cat`); here a token is written in
place, a row leaves by one copy, and a prefix is put in or taken out by one copy for all layers.

Shapes: L layers, B rows, H key-value heads, C columns, T tokens, D head size.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass(frozen=True, slots=True)
class CacheShape:
    """The shape of a model's keys and values per token; the same in all layers.

    Attributes:
        layers: L.
        heads: H.
        size: D.
        dtype: Of keys and values.
        device: Where they live.
    """

    layers: int
    heads: int
    size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token of one row takes."""
        return 2 * self.layers * self.heads * self.size * self.dtype.itemsize


def as_argument(model: Any, cache: Cache) -> dict[str, Cache]:
    """Returns a cache as a keyword argument of a model's forward pass."""
    return {cache_name(type(model)): cache}


@lru_cache
def cache_name(kind: type) -> str:
    """Returns a model class's name for its cache, as an argument and in its output.

    The names are those of transformers since 5.24, before, and before that in models like Mamba.
    """
    taken = inspect.signature(kind.forward).parameters
    names = ("cache", "past_key_values", "cache_params")
    return next((name for name in names if name in taken), "past_key_values")


class RowLayer(CacheLayerMixin):
    """One layer's view into the buffer."""

    is_sliding = False

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Args: buffers ``[B, H, C, D]``."""
        super().__init__()
        self.buffers = keys, values
        self.length = 0
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the buffer is there from the start."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes ``[B', H, S, D]`` behind the first B' rows; returns all columns of these rows."""
        rows, end = key_states.shape[0], self.length + key_states.shape[2]
        # [B', H, S, D] into columns [length, end).
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:rows, :, self.length : end] = states
        self.length = end
        keys, values = self.buffers
        return keys[:rows, :, :end], values[:rows, :, :end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of columns after `query_length` more, and the first column."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Number of columns in use."""
        return self.length

    def get_max_length(self) -> int:
        """Capacity C."""
        return self.buffers[0].shape[2]


class RowCache(Cache):
    """Rows aligned on the right: row b holds columns ``[starts[b], length)``, zeros before.

    Attributes:
        starts: First column of each row.
        length: Columns in use.
    """

    def __init__(
        self, shape: CacheShape, rows: int, capacity: int, buffer: torch.Tensor | None = None
    ) -> None:
        """Takes memory for a batch; no column is in use yet.

        Args:
            shape: The shape of the model's cache per token.
            rows: B.
            capacity: C, columns at most.
            buffer: Memory ``[2L, B, H, C, D]`` to use instead of its own.
        """
        size = self.size(shape, rows, capacity)
        # Not zeroed: `fill` zeroes what masked attention would read.
        own = torch.empty(size, dtype=shape.dtype, device=shape.device) if buffer is None else buffer
        self._buffer = own
        pairs = range(0, 2 * shape.layers, 2)
        self._views = [RowLayer(self._buffer[i], self._buffer[i + 1]) for i in pairs]
        super().__init__(layers=list(self._views))
        self.starts = [0] * rows

    @staticmethod
    def size(shape: CacheShape, rows: int, capacity: int) -> tuple[int, int, int, int, int]:
        """Returns ``[2L, B, H, C, D]``, the size of the memory."""
        return 2 * shape.layers, rows, shape.heads, capacity, shape.size

    @property
    def length(self) -> int:
        """Columns in use."""
        return self._views[0].length

    @property
    def capacity(self) -> int:
        """C."""
        return self._buffer.shape[3]

    def fill(self, prefixes: Sequence[Sequence[torch.Tensor]]) -> None:
        """Puts prefix b, segments of ``[2L, H, T, D]`` each, into row b; the longest sets `length`."""
        # [B]: T of each prefix, all of its segments together.
        lengths = [sum(segment.shape[2] for segment in prefix) for prefix in prefixes]
        end = max(lengths)
        for row, prefix in enumerate(prefixes):
            self.starts[row] = end - lengths[row]
            if row and prefix is prefixes[row - 1]:  # samples of one prompt: one copy, not one a segment
                self._buffer[:, row, :, :end] = self._buffer[:, row - 1, :, :end]
                continue
            at = self.starts[row]
            # A masked column still enters attention with weight 0, and 0 · NaN is NaN.
            self._buffer[:, row, :, :at] = 0
            for segment in prefix:
                self._buffer[:, row, :, at : at + segment.shape[2]] = segment
                at += segment.shape[2]
        self.extend(end)

    def extend(self, length: int) -> None:
        """Counts columns as in use that were written into the buffer itself."""
        # Keys and values were copied past `update`, so no layer has counted them.
        for layer in self._views:
            layer.length = length

    def segment(self, row: int, first: int, last: int) -> torch.Tensor:
        """Copies columns ``[first, last)`` of a row: ``[2L, H, T, D]``."""
        return self._buffer[:, row, :, first:last].clone()

    def move(self, source: int, target: int) -> None:
        """Overwrites row `target` by row `source`."""
        end = self.length
        self._buffer[:, target, :, :end] = self._buffer[:, source, :, :end]
        self.starts[target] = self.starts[source]

    def mask(self, rows: int, queries: int, lengths: Sequence[int]) -> torch.Tensor:
        """Returns the causal mask ``[rows, 1, queries, length + queries]``, True where one may look.

        Args:
            rows: The first rows of the batch that take part.
            queries: New columns S, the same for all rows.
            lengths: How many of them each row really has; they are the last ones.
        """
        device = self._buffer.device
        columns = torch.arange(self.length + queries, device=device)
        # [rows, 1, 1] each, against columns [T] and queries [1, S, 1].
        starts = torch.tensor(self.starts[:rows], device=device)[:, None, None]
        first_new = self.length + queries - torch.tensor(lengths[:rows], device=device)[:, None, None]
        last = torch.arange(self.length, self.length + queries, device=device)[None, :, None]
        # A row sees its own columns of the cache, and of the new ones those that are real and not later. A
        # padding query sees itself, for a softmax over nothing is NaN and would spread to other rows' sums.
        old = (columns >= starts) & (columns < self.length)
        new = (columns >= first_new) & (columns <= last)
        return (old | new | (columns == last))[:, None]
