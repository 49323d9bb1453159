"""What trainers of transformers are given: their arguments, reporters, LoRA; and how they measure."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.models.batches.row_order import NOT_LEARNED
from o1coder_gym.models.checkpoints import CHECKPOINTS, activation_checkpointing, weight_type
from o1coder_gym.models.training.settings import TrainingSettings, passes

REPORT_TO = "O1CODER_REPORT_TO"
"""Variable that says where trainers report to. It is not a setting, for no result depends on it."""


def report_to() -> list[str]:
    """Returns the trackers of a training: tensorboard, or those in `REPORT_TO`, e.g. wandb,trackio.

    Raises:
        UsageError: When one of them is not installed, or transformers does not know it.
    """
    names = [name.strip() for name in os.environ.get(REPORT_TO, "tensorboard").split(",") if name.strip()]
    for name in names:
        if name not in _REPORTERS:
            raise UnknownNameError(f"reporter in {REPORT_TO}", name, _REPORTERS)
        if name != "none" and importlib.util.find_spec(name) is None:
            raise UsageError(f"{REPORT_TO} names {name}, which is not installed: pip install {name}")
    return names


_REPORTERS = ("tensorboard", "wandb", "trackio", "mlflow", "swanlab", "none")


def common_arguments(out: Path, learning_rate: float, rows_at_once: int, seed: int) -> dict[str, Any]:
    """Returns the arguments that all trainers of transformers take alike."""
    import torch

    return {
        "output_dir": str(out / CHECKPOINTS),
        "learning_rate": learning_rate,
        "per_device_train_batch_size": rows_at_once,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it logs another loss in place of one that is no number
        "save_total_limit": 2,
        "report_to": report_to(),
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        **activation_checkpointing(),
    }


def trainer_arguments(out: Path, settings: TrainingSettings, *, evaluates: bool) -> dict[str, Any]:
    """Returns the arguments of a training by `TrainingSettings`."""
    return {
        **common_arguments(out, settings.learning_rate, settings.rows_at_once, settings.seed),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_eval_batch_size": settings.rows_at_once,
        "gradient_accumulation_steps": passes(settings.batch_size, settings.rows_at_once),
        # Below 1 transformers reads it as a share of all steps.
        "warmup_steps": 0.05,
        "save_steps": settings.save_steps,
        "eval_strategy": "epoch" if evaluates else "no",
        "bf16": weight_type(settings.dtype) == "bfloat16",
    }


def lora(
    rank: int, checkpoint: str | None = None, *, task: str = "CAUSAL_LM", trained_whole: Sequence[str] = ()
) -> Any:
    """Returns PEFT's configuration of LoRA on all linear layers, None for rank 0.

    Args:
        rank: r.
        checkpoint: Folder of the checkpoint that training resumes from; its α is kept.
        task: PEFT's ``task_type``.
        trained_whole: Modules that are trained in full beside the adapters.
    """
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=_alpha(rank, checkpoint),
        target_modules="all-linear",
        modules_to_save=list(trained_whole) or None,
        task_type=task,
    )


def _alpha(rank: int, checkpoint: str | None) -> int:
    """Returns α of LoRA: an update is α / r · B A.

    Tuning α is roughly tuning the learning rate (Hu et al. 2021, arXiv 2106.09685, § 4.1), so it is no
    setting. With α in a fixed ratio to r a learning rate keeps its meaning when the rank changes; 2 is the
    ratio at which the defaults of RL and PRM were measured.
    """
    # adapters mean nothing without the α they were trained with, and earlier versions had others
    saved = Path(checkpoint or "") / "adapter_config.json"
    return json.loads(saved.read_text())["lora_alpha"] if checkpoint and saved.exists() else 2 * rank


class MeasuredByLabel:
    """Mixin of transformers' trainers: an evaluation loss is the mean over all labels.

    They average a batch over its labels and then batches over their rows, so that the loss depended on how
    many rows are read at once.
    """

    def compute_loss(
        self: Any, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Returns the loss of a batch: its part of the optimizer's loss, or an evaluation's mean row."""
        # Labels per row × rows: transformers divides by it what is summed over labels, and then weighs
        # batches by rows.
        if not model.training and self.eval_dataset is not None:
            rows = len(inputs["labels"]) * self.accelerator.num_processes
            num_items_in_batch = self.labels_per_row * rows
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # pyright: ignore

    @cached_property
    def labels_per_row(self: Any) -> float:
        """Mean number of labels per row of the evaluation."""
        labels = [self.data_collator([row])["labels"] for row in self.eval_dataset]
        return sum(int((one != NOT_LEARNED).sum()) for one in labels) / sum(map(len, labels))
