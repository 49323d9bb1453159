"""Fine-tuning of language models on conversations: SFT on answers (equation 2), DPO on pairs (equation 1).

TRL does the work; torch, TRL and PEFT are imported when a training starts. Rows hold lists of messages:
``prompt`` and ``completion`` for SFT, ``prompt``, ``chosen`` and ``rejected`` for DPO.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from o1coder_gym.errors import MissingExtraError, O1CoderError, UsageError
from o1coder_gym.models.checkpoints import (
    CHECKPOINTS,
    MODEL,
    last_checkpoint,
    load_weights,
    quiet,
    save_merged,
    weight_type,
)
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.progress import project_completions_only
from o1coder_gym.runs.provenance import Provenance, input_hashes, package_versions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is trained.

    Attributes:
        learning_rate: Peak of the schedule, linear decay after a warm-up of 5 % of the steps.
        epochs: Passes over the rows; `max_steps` > 0 cuts them short.
        max_steps: Optimizer steps at most; 0 means as many as the epochs have.
        batch_size: Rows per optimizer step.
        rows_at_once: Rows per forward pass; divides `batch_size`.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.
        max_length: Longest row in tokens; longer ones are left out.
        beta: β of DPO, how strongly the policy is held to the reference.
        save_steps: Optimizer steps between two checkpoints.
        dtype: Of the model's weights; ``"auto"`` is bfloat16 on a GPU, else float32.
        seed: Fixes order and initialisation.
    """

    learning_rate: float = 5e-4
    epochs: float = 1.0
    max_steps: int = 0
    batch_size: int = 8
    rows_at_once: int = 4
    lora_rank: int = 1
    max_length: int = 1024
    beta: float = 0.1
    save_steps: int = 50
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.rows_at_once < 1 or self.batch_size % self.rows_at_once:
            raise UsageError(f"a batch of {self.batch_size} is not made of {self.rows_at_once} rows at once")
        if self.lora_rank < 0 or self.learning_rate <= 0 or self.beta <= 0:
            raise UsageError("lora rank is at least 0, learning rate and beta are positive")


PRM_SETTINGS = TrainingSettings(learning_rate=1e-5, epochs=2.0, batch_size=16, lora_rank=16, max_length=1536)
"""Defaults of a process reward model's training."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training.

    Attributes:
        model: Folder of the trained model, LoRA merged in; a policy spec takes it as ``hf:FOLDER``.
        metrics: Last values by name, e.g. ``train_loss``, ``eval_loss``.
    """

    model: Path
    metrics: Mapping[str, float]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {"model": str(self.model), "metrics": dict(self.metrics)}


def finetune(
    stage: Literal["sft", "dpo"],
    model: str,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    data: str = "",
    resume: bool = False,
    push_to_hub: str | None = None,
) -> TrainingResult:
    """Trains a model on rows and saves it; what is finished already is returned as it is.

    Checkpoints and TensorBoard logs lie in ``out/checkpoints``, the model in ``out/model``.

    Args:
        stage: ``"sft"``, or ``"dpo"`` with the given model as the reference.
        model: Known name, Hub id or folder.
        train_rows: Rows to learn from.
        validation_rows: Rows to measure the loss on; may be empty.
        out: Run folder.
        settings: See `TrainingSettings`.
        data: Hash of the data set that the rows are from, for the record.
        resume: Go on from the last checkpoint, if there is one.
        push_to_hub: Repository to push the model to; None keeps it here.

    Raises:
        MissingExtraError: When TRL or PEFT is not installed.
        O1CoderError: When no row fits, or `out` holds checkpoints and `resume` is false.
        WeightsError: When the model cannot be found.
    """
    require_packages("torch", "trl", "peft", "datasets")
    from o1coder_gym.models.progress import show_progress

    target = out / MODEL
    made = provenance(stage, model, data, asdict(settings))
    if made.made(target):
        return read_result(out)
    checkpoint = last_checkpoint(out / CHECKPOINTS, resume)
    loaded, tokenizer = load_weights(model_path(model), settings.dtype)
    train_part, validation_part = (
        _fitting(rows, tokenizer, settings.max_length) for rows in (train_rows, validation_rows)
    )
    if not train_part:
        raise O1CoderError(f"none of {len(train_rows)} {stage} rows fits {settings.max_length} tokens")
    with quiet():
        trainer = _trainer(stage, loaded, tokenizer, train_part, validation_part, out, settings)
        show_progress(trainer)
        outcome = trainer.train(resume_from_checkpoint=checkpoint)
    metrics = dict(outcome.metrics) | last_evaluation(trainer)
    left_out = len(train_rows) + len(validation_rows) - len(train_part) - len(validation_part)
    metrics["rows_left_out"] = left_out
    trained = save_merged(trainer.model, tokenizer, target)
    result = write_result(out, stage, model, settings, metrics)
    made.write(target)
    if push_to_hub is not None:
        trained.push_to_hub(push_to_hub)
        tokenizer.push_to_hub(push_to_hub)
    return result


def last_evaluation(trainer: Any) -> dict[str, float]:
    """Returns what a trainer measured after its last step, measured now if a kill came between the two.

    Empty without validation rows.
    """
    if trainer.eval_dataset is None:
        return {}
    state = trainer.state
    measured = [row for row in state.log_history if "eval_loss" in row and row["step"] == state.global_step]
    return dict(measured[-1]) if measured else trainer.evaluate()


def provenance(stage: str, model: str, data: str, settings: Mapping[str, Any]) -> Provenance:
    """Returns what a training makes its model of: settings, start, data, versions."""
    inputs = {"data": data} | input_hashes(model)
    versions = package_versions("torch", "transformers", "trl", "peft")
    return Provenance(stage, {"model": model, "settings": dict(settings)}, inputs, versions)


def require_packages(*packages: str) -> None:
    """Raises `MissingExtraError` for the first package of the extra ``train`` that is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train")


def _fitting(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Row]:
    """Returns the rows whose every answer fits; a cut one would teach to stop in the middle."""

    def length(row: Row) -> int:
        answers = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
        chats = [row["prompt"] + answer for answer in answers]
        return max(len(tokenizer.apply_chat_template(chat, return_dict=False)) for chat in chats)

    return [row for row in rows if length(row) <= max_length]


def _trainer(
    stage: Literal["sft", "dpo"],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    out: Path,
    settings: TrainingSettings,
) -> Any:
    """Assembles TRL's trainer of a stage."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    project_completions_only()
    columns = ("prompt", "completion") if stage == "sft" else ("prompt", "chosen", "rejected")
    sets = [
        Dataset.from_list([{name: row[name] for name in columns} for row in rows]) if rows else None
        for rows in (train_rows, validation_rows)
    ]
    lora = None
    if settings.lora_rank:
        lora = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=16 * settings.lora_rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
    common = trainer_arguments(out, settings, evaluates=bool(validation_rows))
    common["max_length"] = settings.max_length
    common["gradient_checkpointing"] = torch.cuda.is_available()  # TRL's default saves memory that CPUs have
    if stage == "sft":
        config = SFTConfig(**common, completion_only_loss=True)
        return SFTTrainer(
            model=model,
            args=config,
            train_dataset=sets[0],
            eval_dataset=sets[1],
            processing_class=tokenizer,
            peft_config=lora,
        )
    config = DPOConfig(**common, beta=settings.beta)
    return DPOTrainer(
        model=model,
        args=config,
        train_dataset=sets[0],
        eval_dataset=sets[1],
        processing_class=tokenizer,
        peft_config=lora,
    )


def trainer_arguments(out: Path, settings: TrainingSettings, *, evaluates: bool) -> dict[str, Any]:
    """Returns the arguments that all trainers of transformers take."""
    import torch

    return {
        "output_dir": str(out / CHECKPOINTS),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.rows_at_once,
        "per_device_eval_batch_size": settings.rows_at_once,
        "gradient_accumulation_steps": settings.batch_size // settings.rows_at_once,
        "warmup_steps": 0.05,
        "logging_steps": 1,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "eval_strategy": "epoch" if evaluates else "no",
        "report_to": "tensorboard",
        "seed": settings.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": weight_type(settings.dtype) == "bfloat16",
    }


def write_result(
    out: Path, stage: str, model: str, settings: Any, metrics: Mapping[str, Any]
) -> TrainingResult:
    """Writes ``training.json`` and returns what it says."""
    report = {"stage": stage, "model": model, "settings": asdict(settings)}
    report["metrics"] = {name: value for name, value in metrics.items() if _is_number(value)}
    part = out / "training.json.part"
    part.write_text(json.dumps(report, indent=2) + "\n")
    os.replace(part, out / "training.json")
    return read_result(out)


def read_result(out: Path) -> TrainingResult:
    """Reads what `write_result` wrote.

    Raises:
        O1CoderError: When the folder holds no finished training.
    """
    try:
        return TrainingResult(out / MODEL, json.loads((out / "training.json").read_text())["metrics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{out} holds no finished training") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
