"""`o1coder sft`: fine-tunes a policy on D⁺, the paths whose programs passed (Eq. 2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.options import (
    Dtype,
    DtypeOption,
    JsonOption,
    LearningRateOption,
    LoraRankOption,
    ModelOption,
    OptimizerStepsOption,
    ProcessDataOption,
    PushOption,
    ResumeOption,
    SaveStepsOption,
    SeedOption,
    SplitOption,
    TrainingOutOption,
    batch_option,
    epochs_option,
    max_length_option,
    rows_at_once_option,
)
from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.held_out import compared, policy_quality
from o1coder_gym.models.finetuning import finetune
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.trainers import TrainingSettings
from o1coder_gym.policies import load_policy
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.process_data import read_data
from o1coder_gym.process_data.learned_tokens import path_encoder
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs.progress import warn
from o1coder_gym.sandbox import default_judge

QUALITY = "quality.json"


def sft(
    data: ProcessDataOption,
    out: TrainingOutOption,
    model: ModelOption = DEFAULT_MODEL,
    learning_rate: LearningRateOption = 1e-4,
    epochs: Annotated[float, epochs_option("paths")] = 2.0,
    max_steps: OptimizerStepsOption = 0,
    batch: Annotated[int, batch_option("paths")] = 8,
    rows_at_once: Annotated[int, rows_at_once_option("paths")] = 2,
    lora_rank: LoraRankOption = 16,
    max_length: Annotated[int, max_length_option("path")] = 2048,
    dtype: DtypeOption = Dtype.AUTO,
    save_steps: SaveStepsOption = 50,
    evaluate: Annotated[
        str | None,
        typer.Option("--evaluate", help="Problem set on which the policy is measured before and after."),
    ] = None,
    split: SplitOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N of its problems.")] = None,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    push_to_hub: PushOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a policy on whole passing paths; only the path has a loss, not the prompt."""
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
    found = read_data(data)
    if not found.paths:
        raise O1CoderError(f"{data} has no passing paths to learn from; search longer, or easier problems")
    train_rows, validation_rows = (found.of_split(part).paths for part in SPLITS)
    result = finetune(
        "sft",
        model,
        train_rows,
        validation_rows,
        out,
        settings,
        encode=path_encoder(found),
        data=data_hash(data),
        resume=resume,
        push_to_hub=push_to_hub,
    )
    told = result.to_row()
    if evaluate is not None:
        told["quality"] = _quality(model, result.model, evaluate, split, limit, found.format)
        (out / QUALITY).write_text(json.dumps(told["quality"], indent=2) + "\n")
    if as_json:
        typer.echo(json.dumps(told))
        return
    if "quality" in told:
        Console(stderr=True).print(_table(told["quality"], evaluate or ""))
    typer.echo(f"hf:{result.model}")


def _quality(
    before: str, after: Path, problems: str, split: str | None, limit: int | None, format: str
) -> dict[str, Any]:
    rows = load_rows(problems, split=split)[:limit]
    warn(without_visible_tests(rows), without_hidden_tests(rows))
    measured = []
    for name in (before, str(after)):
        with Console(stderr=True).status(f"measuring {name} on {len(rows)} problems"):
            policy = load_policy(f"hf:{name}", format=format)
            measured.append(policy_quality(policy, rows, default_judge(), format=format))
    return {"problems": problems, "split": split, **compared(*measured)}


def _table(quality: dict[str, Any], problems: str) -> Table:
    table = Table(problems, "pass@1", "95 % interval", "format", "with code", "steps", box=None)
    for name in ("before", "after"):
        row = quality[name]
        low, high = row["interval"]
        rate = f"{row['pass@1']:.1%} ({row['solved']} of {row['problems']})"
        cells = (rate, f"{low:.1%} – {high:.1%}", f"{row['compliance']:.1%}", f"{row['committed']:.1%}")
        table.add_row(name, *cells, "–" if row["steps"] is None else f"{row['steps']:.2f}")
    low, high = quality["interval"]
    table.add_row("difference", f"{quality['difference']:+.1%}", f"{low:+.1%} – {high:+.1%}")
    return table
