"""``o1coder tcg sft`` and ``o1coder tcg dpo``: the two stages of training a test case generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from o1coder_gym.cli.options import JsonOption, ResumeOption, SeedOption
from o1coder_gym.finetuning import TrainingSettings
from o1coder_gym.models import DEFAULT_MODEL
from o1coder_gym.tcg.training import train

DataOption = Annotated[Path, typer.Option("--data", help="Folder made by o1coder tcg data.")]
RunOption = Annotated[Path, typer.Option("--out", help="Run folder: checkpoints, logs, and the model.")]
RateOption = Annotated[float, typer.Option("--lr", help="Peak learning rate.")]
EpochsOption = Annotated[float, typer.Option("--epochs", min=0.01, help="Passes over the rows.")]
MaxStepsOption = Annotated[int, typer.Option("--max-steps", min=0, help="Optimizer steps at most; 0: all.")]
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Rows per optimizer step.")]
AtOnceOption = Annotated[int, typer.Option("--rows-at-once", min=1, help="Rows per forward pass.")]
RankOption = Annotated[
    int, typer.Option("--lora-rank", min=0, help="LoRA on all linear layers; 0 trains all weights.")
]
LengthOption = Annotated[int, typer.Option("--max-length", min=16, help="Longest row in tokens.")]
PushOption = Annotated[str | None, typer.Option("--push-to-hub", help="Repository to push the model to.")]


def sft(
    data: DataOption,
    out: RunOption,
    model: Annotated[str, typer.Option("--model", help="Known name, Hub id or folder.")] = DEFAULT_MODEL,
    learning_rate: RateOption = 5e-4,
    epochs: EpochsOption = 1.0,
    max_steps: MaxStepsOption = 0,
    batch: BatchOption = 8,
    rows_at_once: AtOnceOption = 4,
    lora_rank: RankOption = 1,
    max_length: LengthOption = 1024,
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
        seed=seed,
    )
    _train("sft", model, data, out, settings, resume, push_to_hub, as_json)


def dpo(
    data: DataOption,
    out: RunOption,
    model: Annotated[str, typer.Option("--model", help="The model that SFT made; it is the reference too.")],
    learning_rate: RateOption = 5e-5,
    beta: Annotated[float, typer.Option("--beta", help="How strongly it is held to the reference.")] = 0.1,
    epochs: EpochsOption = 1.0,
    max_steps: MaxStepsOption = 0,
    batch: BatchOption = 8,
    rows_at_once: AtOnceOption = 2,
    lora_rank: RankOption = 1,
    max_length: LengthOption = 1024,
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
    if as_json:
        typer.echo(json.dumps({"model": str(result.model), "metrics": dict(result.metrics)}))
    else:
        typer.echo(result.model)
