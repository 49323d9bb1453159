"""One decoded token as one launch: the step of a batch, recorded once and replayed (CUDA graphs).

A small model on a GPU spends a decode step on launching some thousand kernels, whatever the number of rows.
A graph launches them at once, but its tensors never move or change shape: keys and values live in one buffer
for all batches, all columns of it are read, and a batch is filled up to a size that was recorded.

Shapes: L layers, B rows, R rows of a graph (B ≤ R), H key-value heads, C columns, D head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from o1coder_gym.policies.row_cache import CacheShape, RowCache, RowLayer

Record = Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]]
"""Makes of a computation one that repeats it into the same tensors."""

_FEWEST_ROWS = 8
_COLUMNS = 256
"""Rows double from one graph to the next, columns are multiples of this."""


class StepGraphs:
    """The recorded steps of one model; one batch at a time, weights may change in place."""

    def __init__(self, model: Any, shape: CacheShape, record: Record) -> None:
        """Args: a transformers causal language model, what it caches, `cuda_graph` or a function like it."""
        self._model = model
        self._shape = shape
        self._record = record
        self._replays: dict[tuple[int, int], Callable[[], torch.Tensor]] = {}
        self._inputs = self._places = torch.zeros(0)
        self._buffer = torch.zeros(2 * shape.layers, 0, shape.heads, 0, shape.size)

    def cache(self, rows: int, capacity: int) -> RowCache:
        """Returns an empty cache for a batch, which ends the batch before; C is at least `capacity`."""
        shape, rows, columns = self._shape, _graph_rows(rows), -(-capacity // _COLUMNS) * _COLUMNS
        if rows > self._buffer.shape[1] or columns > self._buffer.shape[3]:
            self._replays.clear()
            most = max(rows, self._buffer.shape[1]), max(columns, self._buffer.shape[3])
            self._buffer = torch.empty(0)  # the old one goes before the new one comes
            size = (2 * shape.layers, most[0], shape.heads, most[1], shape.size)
            # Columns that no row has written yet enter attention with weight 0, and 0 · NaN is NaN.
            self._buffer = torch.zeros(size, dtype=shape.dtype, device=shape.device)
            self._inputs = torch.zeros(3, most[0], dtype=torch.long, device=shape.device)
            self._places = torch.arange(most[1], device=shape.device)
        return RowCache(shape, rows, columns, self._buffer[:, :rows, :, :columns])

    def logits(self, cache: RowCache, tokens: Sequence[int]) -> torch.Tensor:
        """Feeds one token to each of the first B rows of a cache that is `cache`'s; returns ``[B, V]``."""
        rows, columns = _graph_rows(len(tokens)), cache.capacity
        idle = [0] * (rows - len(tokens))
        inputs = [[*tokens, *idle], [*cache.starts[: len(tokens)], *idle], [cache.length] * rows]
        self._inputs[:, :rows].copy_(torch.tensor(inputs))
        if (rows, columns) not in self._replays:
            self._replays[rows, columns] = self._record(self._step(rows, columns))
        logits = self._replays[rows, columns]()
        cache.extend(cache.length + 1)
        return logits[: len(tokens)]

    def _step(self, rows: int, columns: int) -> Callable[[], torch.Tensor]:
        """Returns the computation of one token for R rows: ``[R, V]``. Repeated, it writes the same."""
        tokens, starts, length = self._inputs[:, :rows, None]  # [R, 1] each
        places = self._places[:columns]  # a replay reads from where it was when it was recorded
        buffers = self._buffer[:, :rows, :, :columns].unflatten(0, (-1, 2))
        cache = Cache(layers=[PlacedLayer(keys, values, length[0]) for keys, values in buffers])

        def step() -> torch.Tensor:
            seen = (places >= starts) & (places <= length)
            output = self._model(
                input_ids=tokens,
                attention_mask=seen[:, None, None],
                position_ids=length - starts,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            return output.logits[:, -1]

        return step


class PlacedLayer(RowLayer):
    """A layer that writes one token at a column that a tensor names, and shows all columns."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, at: torch.Tensor) -> None:
        """Args: buffers ``[R, H, C, D]``, the column ``[1]``."""
        super().__init__(keys, values)
        self.at = at

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes ``[R, H, 1, D]``; returns the buffers."""
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer.index_copy_(2, self.at, states)
        return self.buffers


def cuda_graph(step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Records a computation on the current GPU; the result of a replay lasts until the next one."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()  # libraries prepare themselves at the first call, which a recording must not contain
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay


def _graph_rows(rows: int) -> int:
    return max(_FEWEST_ROWS, 1 << (rows - 1).bit_length())
