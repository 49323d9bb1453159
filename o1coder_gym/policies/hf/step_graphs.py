"""One decoded token as one launch: the step of a batch, recorded once and replayed (CUDA graphs).

A small model on a GPU spends a decode step on launching some thousand kernels, whatever the number of rows.
A graph launches them at once, but its tensors never move or change shape: keys and values live in one memory
for all batches, all columns of a batch are read, and its rows are filled up to a number that was recorded.

Shapes: L layers, B rows, R rows of a graph (B ≤ R), H key-value heads, C columns, D head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache

from o1coder_gym.policies.hf.row_cache import CacheShape, RowCache, RowLayer, as_argument

Record = Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]]
"""Makes of a computation one that repeats it into the same tensors."""

_FEWEST_ROWS = 8
_COLUMNS = 256
"""Rows double from one graph to the next, columns are multiples of this."""
_MOST_GRAPHS = 32
"""Each keeps memory of its own for what it computes."""


class StepGraphs:
    """The recorded steps of one model; one batch at a time, weights may change in place."""

    def __init__(self, model: Any, shape: CacheShape, record: Record) -> None:
        """Prepares to record; nothing runs yet.

        Args:
            model: A transformers causal language model.
            shape: The shape of its cache per token.
            record: `cuda_graph`, or a function like it.
        """
        self._model = model
        self._shape = shape
        self._record = record
        self._replays: dict[tuple[int, int, int], Callable[[], torch.Tensor]] = {}
        self._allocate(0, 0, 0)

    def cache(self, rows: int, capacity: int) -> RowCache:
        """Returns an empty cache for a batch, which ends the batch before; C is at least `capacity`."""
        rows, columns = _graph_rows(rows), -(-capacity // _COLUMNS) * _COLUMNS
        tokens, most_rows, most_columns = len(self._memory), self._inputs.shape[1], len(self._places)
        if rows * columns > tokens or rows > most_rows or columns > most_columns:
            self._allocate(max(rows * columns, tokens), max(rows, most_rows), max(columns, most_columns))
        return RowCache(self._shape, rows, columns, self._buffer(rows, columns))

    def logits(self, cache: RowCache, tokens: Sequence[int]) -> torch.Tensor:
        """Feeds one token to each of the first B rows of a cache that is `cache`'s; returns ``[B, V]``."""
        # R ≥ B: powers of two, so that few graphs serve all numbers of rows.
        rows = _graph_rows(len(tokens))
        # Idle rows compute something that nobody reads; they see column 0 on, which is never empty.
        idle = [0] * (rows - len(tokens))
        inputs = [[*tokens, *idle], [*cache.starts[: len(tokens)], *idle], [cache.length] * rows]
        # Into the tensors that were recorded: a graph reads its inputs from fixed addresses. [3, R].
        self._inputs[:, :rows].copy_(torch.tensor(inputs))
        key = rows, len(cache.starts), cache.capacity
        if key not in self._replays:
            # All at once: which of them will be asked for again is not known.
            if len(self._replays) == _MOST_GRAPHS:
                self._replays.clear()
            self._replays[key] = self._record(self._step(*key))
        logits = self._replays[key]()
        # The replay wrote the column itself; no layer of this cache saw an `update`.
        cache.extend(cache.length + 1)
        return logits[: len(tokens)]

    def _allocate(self, tokens: int, rows: int, columns: int) -> None:
        """Allocates keys and values of so many tokens; drops earlier memory and recorded steps."""
        shape = self._shape
        self._replays.clear()
        self._memory = torch.empty(0)
        # Columns that no row has written yet enter attention with weight 0, and 0 · NaN is NaN.
        size = (tokens, 2 * shape.layers * shape.heads * shape.size)
        self._memory = torch.zeros(size, dtype=shape.dtype, device=shape.device)
        self._inputs = torch.zeros(3, rows, dtype=torch.long, device=shape.device)
        self._places = torch.arange(columns, device=shape.device)

    def _buffer(self, rows: int, columns: int) -> torch.Tensor:
        """Returns the first part of the memory as keys and values: ``[2L, rows, H, columns, D]``."""
        shape = self._shape
        part = self._memory[: rows * columns]
        return part.view(2 * shape.layers, rows, shape.heads, columns, shape.size)

    def _step(self, rows: int, all_rows: int, columns: int) -> Callable[[], torch.Tensor]:
        """Returns the computation of one token for R of a batch's rows: ``[R, V]``.

        Repeated, it writes the same. What it reads lasts as long as this object: a replay reads from where
        that was when it was recorded.
        """
        tokens, starts, length = self._inputs[:, :rows, None]  # [R, 1] each
        places = self._places[:columns]
        buffers = self._buffer(all_rows, columns)[:, :rows].unflatten(0, (-1, 2))
        # length is one number for all rows: rows are aligned on the right, so their new tokens share a column
        cache = Cache(layers=[PlacedLayer(keys, values, length[0]) for keys, values in buffers])

        def step() -> torch.Tensor:
            seen = (places >= starts) & (places <= length)  # [R, C]: where each row begins, to the new token
            output = self._model(
                input_ids=tokens,
                attention_mask=seen[:, None, None],  # [R, 1, 1, C]
                position_ids=length - starts,
                **as_argument(self._model, cache),
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
