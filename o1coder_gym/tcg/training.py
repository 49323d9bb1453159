"""Trains the test case generator: SFT on good cases, then DPO against exchanged outputs (paper, section 3.1).

TRL does the work; torch, TRL and PEFT are imported when a training starts. LoRA of rank 1 on all linear
layers with a learning rate of 5e-4 is the paper's setting; rank 0 trains all weights.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from o1coder_gym.errors import MissingExtraError, O1CoderError, UsageError
from o1coder_gym.models import model_path
from o1coder_gym.splits import SPLITS
from o1coder_gym.tcg.data_card import read_split

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training.

    Attributes:
        model: Folder of the trained model, LoRA merged in; a policy spec takes it as ``hf:FOLDER``.
        metrics: Last values by name, e.g. ``train_loss``, ``eval_loss``.
    """

    model: Path
    metrics: Mapping[str, float]


def train(
    stage: Literal["sft", "dpo"],
    model: str,
    data: Path,
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    resume: bool = False,
    push_to_hub: str | None = None,
) -> TrainingResult:
    """Trains one stage and saves the model.

    Checkpoints and TensorBoard logs lie in ``out/checkpoints``, the model in ``out/model``.

    Args:
        stage: ``"sft"``, or ``"dpo"`` with the given model as γ_ref (equation 1).
        model: Known name, Hub id or folder.
        data: Folder made by `o1coder tcg data`.
        out: Run folder.
        settings: See `TrainingSettings`.
        resume: Go on from the last checkpoint, if there is one.
        push_to_hub: Repository to push the model to; None keeps it here.

    Raises:
        MissingExtraError: When TRL or PEFT is not installed.
        O1CoderError: When rows are missing, or `out` holds checkpoints and `resume` is false.
        WeightsError: When the model cannot be found.
    """
    for package in ("torch", "trl", "peft", "datasets"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "train")
    rows = [read_split(data, stage, split) for split in SPLITS]
    checkpoint = _last_checkpoint(out / "checkpoints", resume)
    loaded, tokenizer = _load(model_path(model), settings)
    train_rows, validation_rows = (_fitting(part, tokenizer, settings.max_length) for part in rows)
    if not train_rows:
        raise O1CoderError(f"{data}: none of {len(rows[0])} {stage} rows fits {settings.max_length} tokens")
    left_out = sum(map(len, rows)) - len(train_rows) - len(validation_rows)
    trainer = _trainer(stage, loaded, tokenizer, train_rows, validation_rows, out, settings)
    outcome = trainer.train(resume_from_checkpoint=checkpoint)
    metrics = dict(outcome.metrics) | (trainer.evaluate() if validation_rows else {})
    metrics["rows_left_out"] = left_out
    trained = trainer.model.merge_and_unload() if settings.lora_rank else trainer.model
    target = out / "model"
    trained.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _write_report(out, stage, model, settings, metrics)
    if push_to_hub is not None:
        trained.push_to_hub(push_to_hub)
        tokenizer.push_to_hub(push_to_hub)
    return TrainingResult(target, {name: value for name, value in metrics.items() if _is_number(value)})


def _last_checkpoint(folder: Path, resume: bool) -> str | None:
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    if found and not resume:
        raise O1CoderError(f"{folder} holds checkpoints already; resume, or choose another run folder")
    return str(found[-1]) if found else None


def _load(folder: Path, settings: TrainingSettings) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    on_gpu = torch.cuda.is_available()
    name = ("bfloat16" if on_gpu else "float32") if settings.dtype == "auto" else settings.dtype
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, name))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _fitting(
    rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[dict[str, Any]]:
    """Returns the rows whose every answer fits; a cut one would teach to stop in the middle."""

    def length(row: dict[str, Any]) -> int:
        answers = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
        chats = [row["prompt"] + answer for answer in answers]
        return max(len(tokenizer.apply_chat_template(chat, return_dict=False)) for chat in chats)

    return [row for row in rows if length(row) <= max_length]


def _trainer(
    stage: Literal["sft", "dpo"],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_rows: list[dict[str, Any]],
    validation_rows: list[dict[str, Any]],
    out: Path,
    settings: TrainingSettings,
) -> Any:
    """Assembles TRL's trainer of a stage."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

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
    common = _arguments(out, settings, evaluates=bool(validation_rows))
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


def _arguments(out: Path, settings: TrainingSettings, *, evaluates: bool) -> dict[str, Any]:
    """Returns the arguments that both of TRL's configurations take."""
    import torch

    return {
        "output_dir": str(out / "checkpoints"),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.rows_at_once,
        "per_device_eval_batch_size": settings.rows_at_once,
        "gradient_accumulation_steps": settings.batch_size // settings.rows_at_once,
        "max_length": settings.max_length,
        "warmup_steps": 0.05,
        "logging_steps": 1,
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "eval_strategy": "epoch" if evaluates else "no",
        "report_to": "tensorboard",
        "seed": settings.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
    }


def _write_report(
    out: Path, stage: str, model: str, settings: TrainingSettings, metrics: Mapping[str, Any]
) -> None:
    report = {"stage": stage, "model": model, "settings": asdict(settings)}
    report["metrics"] = {name: value for name, value in metrics.items() if _is_number(value)}
    part = out / "training.json.part"
    part.write_text(json.dumps(report, indent=2) + "\n")
    os.replace(part, out / "training.json")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
