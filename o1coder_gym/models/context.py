"""How long a text a model reads: the positions that its configuration names."""

from __future__ import annotations

from typing import Any


def context_of(config: Any) -> int:
    """Returns the longest sequence in tokens; models without a limit get a large one."""
    names = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
    lengths = (getattr(config, name, None) for name in names)
    return next((int(length) for length in lengths if length), 1 << 20)


def longest_row(model: Any, most: int) -> int:
    """Returns the tokens of the longest row that a model is trained on.

    Behind its context a model has no positions, or such as it has never seen; search never asks for them.

    Args:
        model: Of transformers, or of PEFT.
        most: Tokens at most, if the context is longer.
    """
    return min(most, context_of(model.config.get_text_config()))
