"""Computed prompts, shared prefixes once: the starting point of decoding and of step scoring.

Shapes: L layers, B rows, H key-value heads, S new tokens, T tokens, D head size, E hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from o1coder_gym.policies.hf.prefix_tree import PrefixNode, PrefixTree
from o1coder_gym.policies.hf.row_cache import CacheShape, RowCache, as_argument


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys, values and hidden states of a run of tokens.

    Attributes:
        cache: Keys and values, ``[2L, H, T, D]``.
        hidden: The last hidden states, ``[T, E]``; None unless `keep_hidden`.
    """

    cache: torch.Tensor
    hidden: torch.Tensor | None = None

    def split(self, at: int) -> tuple[Segment, Segment]:
        """Splits it after `at` tokens into two segments with their own memory."""
        # [2L, H, at, D] and [2L, H, T − at, D]. Clones: views would keep all of the memory when one part is
        # evicted.
        first, rest = self.cache[:, :, :at].clone(), self.cache[:, :, at:].clone()
        if self.hidden is None:
            return Segment(first), Segment(rest)
        return Segment(first, self.hidden[:at].clone()), Segment(rest, self.hidden[at:].clone())


Node = PrefixNode[Segment]


class Prefixes:
    """The computed prefixes of one model; not for several threads at once."""

    def __init__(self, body: Any, shape: CacheShape, capacity: int, *, keep_hidden: bool = False) -> None:
        """Prepares to compute.

        Args:
            body: Maps tokens to hidden states.
            shape: The shape of its cache per token.
            capacity: Tokens kept after `tree.evict`.
            keep_hidden: Whether hidden states are kept too.
        """
        self.tree: PrefixTree[Segment] = PrefixTree(capacity, Segment.split)
        self._body = body
        self._shape = shape
        self._keep_hidden = keep_hidden

    def compute(self, ends: Iterable[Node]) -> None:
        """Computes the missing segments on the paths to some nodes of the tree."""
        ends = list(ends)
        # Level by level down the tree: a segment attends to those before it, which must be there. Segments of
        # one level have different pasts and are still one batch, for each row brings its own.
        while frontier := _first_missing(ends):
            for batch in _similar_lengths(frontier):
                self._compute(batch)

    def segments(self, ids: Sequence[int]) -> list[Segment]:
        """Returns the computed segments of a prompt, first to last."""
        return _computed(self.tree.insert(ids).path())

    def _compute(self, nodes: Sequence[Node]) -> None:
        """Computes one segment per node; all segments before them must be computed."""
        # [B] each: new tokens of a row, and the segments before it.
        lengths = [len(node.tokens) for node in nodes]
        pasts = [
            [before.payload.cache for before in node.path()[:-1] if before.payload is not None]
            for node in nodes
        ]
        longest = max(lengths)
        past = max(sum(cache.shape[2] for cache in caches) for caches in pasts)
        cache = RowCache(self._shape, len(nodes), past + longest)
        cache.fill(pasts)
        # Padded on the left, as rows in the cache are: all rows end in the same column.
        tokens = [(0,) * (longest - len(node.tokens)) + node.tokens for node in nodes]
        hidden = forward(self._body, cache, tokens, lengths).last_hidden_state  # [B, S, E]
        for row, (node, length) in enumerate(zip(nodes, lengths, strict=True)):
            node.payload = Segment(
                cache.segment(row, cache.length - length, cache.length),
                hidden[row, longest - length :].clone() if self._keep_hidden else None,
            )


def forward(
    model: Any, cache: RowCache, tokens: Sequence[tuple[int, ...]], lengths: Sequence[int], **options: int
) -> Any:
    """Feeds ``[B, S]`` tokens, of which row b's last ``lengths[b]`` are real; returns the model's output."""
    queries = len(tokens[0])
    mask = cache.mask(len(tokens), queries, lengths)  # [B, 1, S, T]
    columns = torch.arange(cache.length, cache.length + queries, device=mask.device)
    # Padding before a segment counts as no position.
    origins = [cache.starts[row] + queries - length for row, length in enumerate(lengths)]
    positions = (columns - torch.tensor(origins, device=mask.device)[:, None]).clamp(min=0)  # [B, S]
    return model(
        input_ids=torch.tensor(tokens, device=mask.device),
        attention_mask=mask,
        position_ids=positions,
        **as_argument(model, cache),
        use_cache=True,
        **options,
    )


def _computed(path: Iterable[Node]) -> list[Segment]:
    return [node.payload for node in path if node.payload is not None]


def _first_missing(ends: Iterable[Node]) -> list[Node]:
    """Returns, each once, the first segment of each path that is not computed."""
    missing = (next((node for node in end.path() if node.payload is None), None) for end in ends)
    return list(dict.fromkeys(node for node in missing if node is not None))


def _similar_lengths(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Groups segments so that at most half of what a batch computes is padding."""
    batch: list[Node] = []
    # Ascending lengths, so `node` is the longest: the batch costs (rows) · (its length), padding included.
    for node in sorted(nodes, key=lambda node: len(node.tokens)):
        if (len(batch) + 1) * len(node.tokens) > 2 * sum(len(n.tokens) for n in [*batch, node]):
            yield batch
            batch = []
        batch.append(node)
    yield batch
