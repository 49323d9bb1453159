"""Weights on their way into a training and out of it: loaded, gone on from, saved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.runs.files import replacing

CHECKPOINTS, MODEL = "checkpoints", "model"
"""Folders of a training's run folder."""


def last_checkpoint(folder: Path, resume: bool) -> str | None:
    """Returns the last whole checkpoint in a folder, None if there is none.

    Raises:
        O1CoderError: When there is one and `resume` is false.
    """
    # a training that was killed while it saved leaves a checkpoint without its last file
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    found = sorted(whole, key=lambda path: int(path.name.rpartition("-")[2]))
    if found and not resume:
        raise O1CoderError(f"{folder} holds checkpoints already; resume, or choose another run folder")
    return str(found[-1]) if found else None


def weight_type(dtype: str) -> str:
    """Returns ``"float32"`` or ``"bfloat16"``; for ``"auto"`` bfloat16 on a GPU, else float32."""
    import torch

    if dtype != "auto":
        return dtype
    return "bfloat16" if torch.cuda.is_available() else "float32"


def load_weights(folder: Path, dtype: str) -> tuple[Any, Any]:
    """Returns model and tokenizer of a folder; a tokenizer without padding pads with its end token.

    Args:
        folder: Of a causal language model.
        dtype: See `weight_type`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, weight_type(dtype)))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def save_merged(model: Any, tokenizer: Any, folder: Path) -> Any:
    """Saves a trained model, adapters merged in, in place of an earlier one; returns what was saved.

    The model comes through a second folder, so `folder` is whole or absent.
    """
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    with replacing(folder) as part:
        with quiet():
            merged.save_pretrained(part)
        tokenizer.save_pretrained(part)
        if folder.exists():  # of a training that was killed before it said that it was done
            shutil.rmtree(folder)
    return merged


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the progress bars of transformers and datasets out of ours."""
    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.enable_progress_bar()
        datasets.enable_progress_bars()
