"""``o1coder tcg sft`` and ``o1coder tcg dpo``: the two stages of training a test case generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from o1coder_gym.cli.options import (
    Dtype,
    DtypeOption,
    JsonOption,
    LearningRateOption,
    LoraRankOption,
    ModelOption,
    OptimizerStepsOption,
    PushOption,
    ResumeOption,
    SaveStepsOption,
    SeedOption,
    TrainingOutOption,
    batch_option,
    epochs_option,
    max_length_option,
    rows_at_once_option,
)
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.trainers import TrainingSettings
from o1coder_gym.tcg.training.training import train

DataOption = Annotated[Path, typer.Option("--data", help="Folder made by o1coder tcg data.")]


def sft(
    data: DataOption,
    out: TrainingOutOption,
    model: ModelOption = DEFAULT_MODEL,
    learning_rate: LearningRateOption = 5e-4,
    epochs: Annotated[float, epochs_option("rows")] = 1.0,
    max_steps: OptimizerStepsOption = 0,
    batch: Annotated[int, batch_option("rows")] = 8,
    rows_at_once: Annotated[int, rows_at_once_option("rows")] = 4,
    lora_rank: LoraRankOption = 1,
    max_length: Annotated[int, max_length_option("row")] = 1024,
    dtype: DtypeOption = Dtype.AUTO,
    save_steps: SaveStepsOption = 50,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    push_to_hub: PushOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a model on good test cases: the first stage."""
    settings = TrainingSettings(
        learning_rate=learning_rate,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch,
        rows_at_once=rows_at_once,
        lora_rank=lora_rank,
        max_length=max_length,
        dtype=dtype.value,
        save_steps=save_steps,
        seed=seed,
    )
    _train("sft", model, data, out, settings, resume, push_to_hub, as_json)


def dpo(
    data: DataOption,
    out: TrainingOutOption,
    model: Annotated[str, typer.Option("--model", help="The model that SFT made; it is the reference too.")],
    learning_rate: LearningRateOption = 5e-5,
    beta: Annotated[float, typer.Option("--beta", help="How strongly it is held to the reference.")] = 0.1,
    epochs: Annotated[float, epochs_option("rows")] = 1.0,
    max_steps: OptimizerStepsOption = 0,
    batch: Annotated[int, batch_option("rows")] = 8,
    rows_at_once: Annotated[int, rows_at_once_option("rows")] = 2,
    lora_rank: LoraRankOption = 1,
    max_length: Annotated[int, max_length_option("row")] = 1024,
    dtype: DtypeOption = Dtype.AUTO,
    save_steps: SaveStepsOption = 50,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    push_to_hub: PushOption = None,
    as_json: JsonOption = False,
) -> None:
    """Teach it that outputs must match their inputs: the second stage."""
    settings = TrainingSettings(
        learning_rate=learning_rate,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch,
        rows_at_once=rows_at_once,
        lora_rank=lora_rank,
        max_length=max_length,
        dtype=dtype.value,
        save_steps=save_steps,
        beta=beta,
        seed=seed,
    )
    _train("dpo", model, data, out, settings, resume, push_to_hub, as_json)


def _train(
    stage: Literal["sft", "dpo"],
    model: str,
    data: Path,
    out: Path,
    settings: TrainingSettings,
    resume: bool,
    push_to_hub: str | None,
    as_json: bool,
) -> None:
    result = train(stage, model, data, out, settings, resume=resume, push_to_hub=push_to_hub)
    typer.echo(json.dumps(result.to_row()) if as_json else result.model)
