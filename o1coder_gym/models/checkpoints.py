"""Weights on their way into a training and out of it: loaded, gone on from, saved."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.chat_template import with_template_arguments
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


def load_weights(
    folder: Path, dtype: str, template_arguments: Mapping[str, Any] | None = None
) -> tuple[Any, Any]:
    """Returns model and tokenizer of a folder, which can be padded and, tried out here, saved.

    Args:
        folder: Of a causal language model.
        dtype: See `weight_type`.
        template_arguments: Variables of the chat template; what is saved has them too.

    Raises:
        UsageError: When the model has no template that could take the arguments.
        O1CoderError: When the model could not be saved after a training.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, weight_type(dtype)))
    tokenizer = with_template_arguments(AutoTokenizer.from_pretrained(folder), template_arguments)
    make_paddable(tokenizer)
    try_saving(model, tokenizer)
    return model, tokenizer


def make_paddable(tokenizer: Any) -> None:
    """Gives a tokenizer without padding its end token, or any other, to pad with; padding is never read."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)


def try_saving(model: Any, tokenizer: Any) -> None:
    """Saves all but the weights for a try; mends a generation configuration that cannot be saved, and tells.

    Some load and yet cannot be saved, a temperature without sampling for instance, and then a training would
    be lost at its end.

    Raises:
        O1CoderError: When configuration or tokenizer cannot be saved.
    """
    with tempfile.TemporaryDirectory() as folder:
        if (generation := getattr(model, "generation_config", None)) is not None:
            try:
                generation.save_pretrained(folder)
            except (ValueError, TypeError, AttributeError) as error:
                model.generation_config = _mended(generation)
                warnings.warn(f"the generation configuration is mended: {_first_line(error)}", stacklevel=2)
        try:
            model.config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
            what = _first_line(error)
            raise O1CoderError(f"the model could not be saved after a training: {what}") from error


def _mended(generation: Any) -> Any:
    """Returns what a generation configuration says of tokens and lengths; sampling is each policy's own."""
    from transformers import GenerationConfig

    names = ("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens")
    kept = {name: getattr(generation, name, None) for name in names}
    return GenerationConfig(**{name: value for name, value in kept.items() if value is not None})


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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
