"""Projection onto the vocabulary on a CPU, where TRL 1.16 spends most of a training step.

TRL projects in tiles of 4096 tokens by 32,768 words, and where Triton runs only the tokens that have a loss.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_ROWS = 16
"""Tokens of a tile that are folded at once: with 32,768 words two mebibytes, so that what the dozen
operations of a fold make of it stays in the cache. Fewer are no faster, and threads would meet more often."""


def project_completions_only() -> None:
    """Keeps prompts out of the projection, and folds its tiles a few tokens at once.

    On a CPU TRL projects every position and masks the prompts afterwards, which for the default model and
    prompts of 300 tokens is more than half of a training step; and each of its operations on a tile writes
    another one, of 30 MB for 240 tokens, which the system has to map again. The losses are the same.
    """
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    # The flag that makes TRL project only tokens with a loss; the Triton kernels themselves ask another
    # module for it.
    utils._use_triton = lambda device: True  # pyright: ignore[reportPrivateUsage]
    # Replaced in the module, not in an object: TRL looks them up by name at each call.
    for name in ("_forward_tile", "_backward_tile"):
        setattr(chunked_logprob, name, _by_rows(getattr(chunked_logprob, name)))


def _by_rows(fold: Callable[..., None]) -> Callable[..., None]:
    """Returns a function that folds a tile, [tokens, words], and each token's running values, by rows."""
    import torch

    if hasattr(fold, "__wrapped__"):
        return fold

    @functools.wraps(fold)
    def folded(*given: Any, **flags: Any) -> None:
        # [tokens, words] of the vocabulary: 4096 by 32,768 at most.
        tile = given[0]
        if tile.device.type != "cpu":  # no cache to stay in, and each operation has to be launched
            return fold(*given, **flags)
        for start in range(0, len(tile), _ROWS):
            rows = slice(start, start + _ROWS)
            fold(*(one[rows] if isinstance(one, torch.Tensor) else one for one in given), **flags)

    return folded
