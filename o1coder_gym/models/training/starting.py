"""The start of a training: what it would fail on later, what its model is made of, where it goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from o1coder_gym.errors import O1CoderError, UsageError, require
from o1coder_gym.models.checkpoints import CHECKPOINTS, STARTED, last_checkpoint, weight_type
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.memory import check_memory
from o1coder_gym.models.training.arguments import report_to
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import write_json
from o1coder_gym.runs.provenance import (
    Provenance,
    continuing,
    input_hashes,
    leaves,
    noted,
    package_versions,
)
from o1coder_gym.settings import to_row


class Trained(Protocol):
    """Settings of a training that concern its weights."""

    @property
    def dtype(self) -> str:
        """Of the weights, see `trained_type`."""
        ...

    @property
    def lora_rank(self) -> int:
        """R of LoRA; 0 trains all weights."""
        ...


def learns_in_float32(settings: Trained) -> bool:
    """Whether weights are float32 whatever the device: where all are learned, unless a type is asked for.

    A weight of bfloat16 has eight bits, and most steps of AdamW are smaller than the last of them: of a tiny
    model, at a learning rate of 1e-5, nine of ten weights had not moved after 40 steps. On a GPU products are
    in bfloat16 all the same.
    """
    return settings.dtype == "auto" and not settings.lora_rank


def trained_type(settings: Trained) -> str:
    """Returns the type of the weights in a training, ``"float32"`` or ``"bfloat16"``."""
    return "float32" if learns_in_float32(settings) else weight_type(settings.dtype)


def check_start(model: str, settings: Trained, *packages: str) -> Path:
    """Checks, before a run folder exists, what a training would fail on later; returns the model's folder.

    Args:
        model: Known name, Hub id or folder.
        settings: Of the training.
        packages: That it needs beside torch, of the extra ``train``.

    Raises:
        MissingExtraError: When a package is not installed.
        UsageError: When a reporter is not, or the weights have no room, with what AdamW keeps of each.
        WeightsError: When the model cannot be found.
    """
    require("train", "torch", *packages)
    report_to()
    folder = model_path(model)
    # a gradient and two moments for each weight that is learned; of LoRA's they are next to nothing
    copies = 1 if settings.lora_rank else 4
    check_memory(folder, trained_type(settings), copies=copies)
    return folder


def check_devices() -> None:
    """Checks that this process trains on one GPU: transformers would spread it over all that it sees.

    Each would take `rows_at_once` rows then, so that a batch were as many times as large as was asked for.

    Raises:
        UsageError: When a process without ranks sees several GPUs.
    """
    import torch

    seen = torch.cuda.device_count()
    if seen > 1 and ranks.count() == 1:
        raise UsageError(
            f"this process sees {seen} GPUs and trains on one: start a process for each, torchrun "
            f"--nproc-per-node {seen} -m o1coder_gym …, or choose one, CUDA_VISIBLE_DEVICES=0"
        )


def provenance(stage: str, model: str, data: str, settings: Any, **further: str) -> Provenance:
    """Returns the provenance of a training's model.

    Args:
        stage: Which training.
        model: What it starts from.
        data: Hash of what it learns from.
        settings: Dataclass of its settings, or a dict of them.
        further: Whatever else it depends on.
    """
    row = settings if isinstance(settings, dict) else to_row(settings)
    inputs = {"data": data} | input_hashes(model)
    versions = package_versions("torch", "transformers", "trl", "peft")
    return Provenance(stage, {"model": model, "settings": {**further, **row}}, inputs, versions)


def begin(made: Provenance, out: Path, resume: bool) -> str | None:
    """Starts or resumes a training, and records its provenance in ``started.json``.

    Args:
        made: The provenance of its model.
        out: Run folder.
        resume: Whether to continue from the last checkpoint, if there is one.

    Returns:
        The checkpoint to continue from, None for a new training.

    Raises:
        O1CoderError: When `out` holds checkpoints and `resume` is false, or those of a training of another
            model, other data or other settings; names what differs. Versions may differ, and the rows at
            once where they change no result.
    """
    checkpoint = last_checkpoint(out / CHECKPOINTS, resume)
    started = out / STARTED
    wanted = made.to_row()
    if checkpoint is not None and started.exists():
        begun = json.loads(started.read_text())
        inputs = noted(made.inputs, begun.get("inputs") or {})
        require_same(out, begun, {**continuing(wanted, begun), "inputs": inputs})
    if ranks.is_first():
        out.mkdir(parents=True, exist_ok=True)
        write_json(started, wanted)
    return checkpoint


def require_same(out: Path, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises `O1CoderError` if a training was begun with other values; names the first one.

    Args:
        out: Its run folder.
        begun: The values at its start, as read from a file.
        wanted: The values to continue with, JSON-able.
    """
    before, now = leaves(begun), leaves(json.loads(json.dumps(wanted)))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            message = f"{out} holds a training with {name} {before.get(name)!r}, not {now.get(name)!r}"
            raise O1CoderError(f"{message}; ask for the same, or choose another run folder")
