"""The decode loop: prompts computed once, rows sampled together, finished rows dropped.

`Decoder.run` is prefill, then one token for all live rows until none is left. The last token of each
prompt is left to the first decode step, so that a prompt seen before costs nothing but that step.

Shapes: B rows, S new tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from o1coder_gym.policies.engine import Completion, Generate, Meter
from o1coder_gym.policies.hf.causal_model import CausalModel
from o1coder_gym.policies.hf.prefix_tree import PrefixNode
from o1coder_gym.policies.hf.prefixes import Prefixes, Segment, forward
from o1coder_gym.policies.hf.row_cache import RowCache
from o1coder_gym.policies.hf.step_graphs import StepGraphs
from o1coder_gym.policies.sampling import draw, uniforms
from o1coder_gym.policies.token_text import TokenText


@dataclass(slots=True)
class Row:
    """One continuation while it grows.

    Attributes:
        request: The request that it answers.
        sample: Which of the request's continuations it is, from 0.
        limit: Number of tokens at most.
        uniform: One number in [0, 1) per token.
        action: The opening and the text so far, exact for whole characters.
        computed: Prompt tokens computed for it.
        ids: Tokens sampled so far.
        logprobs: Of `ids`.
        completion: Set when it is finished.
    """

    request: Generate
    sample: int
    limit: int
    uniform: np.ndarray
    action: str
    computed: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    completion: Completion | None = None

    @classmethod
    def start(cls, request: Generate, sample: int, limit: int) -> Row:
        """Makes row number `sample` of a request."""
        return cls(request, sample, limit, uniforms(request.seed, sample, limit), request.prompt.opening)

    @property
    def capacity(self) -> int:
        """Columns that it may need."""
        return len(self.request.prompt_ids) + self.limit

    @property
    def cached(self) -> int:
        """Prompt tokens reused; counted at the first row of a request for all of them."""
        return len(self.request.prompt_ids) - self.computed if self.sample == 0 else 0

    def result(self) -> Completion:
        """Returns the finished continuation."""
        assert self.completion is not None, "asked before it was finished"
        return self.completion

    def accept(self, token: int, logprob: float, model: CausalModel) -> bool:
        """Takes one token; returns whether the row is finished."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        # An end token has no text: it is counted and learned, but not part of the action.
        if token in model.end_tokens:
            self._finish(model.text, ended=True)
            return True
        self.action += model.text.piece(token)
        if self.request.boundary(self.action) is not None or len(self.ids) == self.limit:
            self._finish(model.text, ended=False)
            return True
        return False

    def _finish(self, text: TokenText, *, ended: bool) -> None:
        cut = not ended and len(self.ids) == self.limit
        found = text.completion(self.request, self.ids, self.logprobs, ended=ended, cut=cut)
        self.completion = replace(found, prompt_tokens=self.computed, cached_tokens=self.cached)


OnToken = Callable[[Row], None]
"""Called with a row after each of its tokens."""


class Decoder:
    """Runs one model over batches of rows; not for several threads at once.

    Attributes:
        tree: The prefixes kept between calls.
        on_token: Called with a row after each of its tokens; None: no callback.
    """

    def __init__(
        self, model: CausalModel, capacity: int, meter: Meter, graphs: StepGraphs | None = None
    ) -> None:
        """Prepares to run.

        Args:
            model: The model, with this project's attention.
            capacity: Number of prefix tokens kept between calls.
            meter: Where work is counted.
            graphs: Its recorded steps; None launches each operation, and reads no column that is not in use.
        """
        assert model.shape is not None, "a model with its own attention is run by `OwnCacheDecoder`"
        self._causal = model
        self._shape = model.shape
        self._meter = meter
        self._graphs = graphs
        self._prefixes = Prefixes(model.model.base_model, model.shape, capacity)
        self.tree = self._prefixes.tree
        self.on_token: OnToken | None = None
        self._kept: torch.Tensor | None = None

    def forget(self) -> None:
        """Drops all kept prefixes."""
        self.tree.clear()

    def evict(self) -> None:
        """Drops kept prefixes until they fit."""
        self.tree.evict()

    @torch.inference_mode()
    def run(self, rows: Sequence[Row]) -> None:
        """Finishes all `rows` in one batch, and keeps their prefixes."""
        self._prefill(rows)
        self._decode(list(rows))
        self._meter.add_batch(len(rows))
        self._meter.add(generated_tokens=sum(len(row.ids) for row in rows))

    def _prefill(self, rows: Sequence[Row]) -> None:
        """Computes the missing parts of all prompts but their last tokens, shared parts once."""
        # Without its last token, which the first decode step feeds: that step needs logits, and a prompt
        # that is wholly known would otherwise have to be computed once more for them.
        ends = {ids: self.tree.insert(ids[:-1]) for ids in _prompts(rows)}
        _account(rows, ends)
        self._prefixes.compute(ends.values())
        self._meter.add(
            prompt_tokens=sum(row.computed for row in rows), cached_tokens=sum(row.cached for row in rows)
        )

    def _decode(self, rows: list[Row]) -> None:
        """Samples token after token for all live rows, until none is left."""
        paths = {
            ids: [segment.cache for segment in self._prefixes.segments(ids[:-1])] for ids in _prompts(rows)
        }
        # C, columns of the longest row: rows are aligned on the right, so it bounds them all.
        capacity = max(len(row.request.prompt_ids) + row.limit for row in rows)
        cache = self._cache(len(rows), capacity)
        cache.fill([paths[row.request.prompt_ids] for row in rows])
        while rows:
            # [B] tokens in; the logits of the same B rows out.
            tokens = [row.ids[-1] if row.ids else row.request.prompt_ids[-1] for row in rows]
            sampling = [row.request.sampling for row in rows]
            uniform = [row.uniform[len(row.ids)] for row in rows]
            drawn = draw(self._logits(cache, tokens), sampling, uniform)
            # From the last row down: the last live row moves into the place of one that is finished, and
            # must have taken its own token by then.
            for slot, token, logprob in reversed(list(zip(range(len(rows)), *drawn, strict=True))):
                finished = rows[slot].accept(token, logprob, self._causal)
                if self.on_token is not None:
                    self.on_token(rows[slot])
                if finished:
                    # Before its place is overwritten: a child state begins with these tokens.
                    self._keep(rows[slot], cache, slot)
                    last = rows.pop()
                    if slot < len(rows):
                        cache.move(len(rows), slot)
                        rows[slot] = last

    def _cache(self, rows: int, capacity: int) -> RowCache:
        if self._graphs is not None:
            return self._graphs.cache(rows, capacity)
        shape = self._shape
        return RowCache(shape, rows, capacity, self._memory(RowCache.size(shape, rows, capacity)))

    def _memory(self, size: tuple[int, ...]) -> torch.Tensor | None:
        """Returns the last batch's memory if this one fits into it; None where an allocator keeps it.

        On a CPU memory of this size is given back to the system and taken again for each batch, and its pages
        cost more to map than their keys and values to write.
        """
        shape = self._shape
        if shape.device.type != "cpu":
            return None
        needed = math.prod(size)
        if self._kept is None or self._kept.numel() < needed:
            self._kept = torch.empty(needed, dtype=shape.dtype)
        return self._kept[:needed].view(size)

    def _logits(self, cache: RowCache, tokens: Sequence[int]) -> torch.Tensor:
        """Feeds one token to each live row; returns ``[B, V]``."""
        if self._graphs is not None:
            return self._graphs.logits(cache, tokens)
        model, fed = self._causal.model, [(token,) for token in tokens]
        return forward(model, cache, fed, [1] * len(fed), logits_to_keep=1).logits[:, -1]

    def _keep(self, row: Row, cache: RowCache, slot: int) -> None:
        """Puts the computed tokens of a finished row into the prefix tree."""
        assert row.completion is not None
        # The last token was drawn but never fed, so it has no keys and values.
        computed = row.completion.token_ids[: len(row.ids) - 1]
        first = cache.starts[slot]
        # Only what is missing is copied: rows of one prompt share the segments that the first one kept.
        for node in self.tree.insert((*row.request.prompt_ids, *computed)).path():
            last = first + len(node.tokens)
            if node.payload is None:
                node.payload = Segment(cache.segment(slot, first, last))
            first = last


def _prompts(rows: Iterable[Row]) -> Iterator[tuple[int, ...]]:
    return iter(dict.fromkeys(row.request.prompt_ids for row in rows))


def _account(rows: Iterable[Row], ends: Mapping[tuple[int, ...], PrefixNode[Segment]]) -> None:
    """Assigns computed prompt tokens to the first row of a request; shared ones to the first request."""
    claimed: set[PrefixNode[Segment]] = set()
    for row in rows:
        if row.sample == 0:
            path = ends[row.request.prompt_ids].path()
            # A segment that two requests share is computed once, so only one of them pays for it.
            missing = {node for node in path if node.payload is None} - claimed
            claimed |= missing
            row.computed = 1 + sum(len(node.tokens) for node in missing)
