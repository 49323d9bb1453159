"""`o1coder sft`: fine-tunes a policy on D⁺, the paths whose programs passed (equation 2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.options import JsonOption, ResumeOption, SeedOption, SplitOption
from o1coder_gym.cli.policy_quality import compared, policy_quality
from o1coder_gym.errors import O1CoderError
from o1coder_gym.finetuning import TrainingSettings, finetune
from o1coder_gym.models import DEFAULT_MODEL
from o1coder_gym.policies import load_policy
from o1coder_gym.problems import load_rows
from o1coder_gym.process_data import read_data
from o1coder_gym.process_data.exports import demonstrations
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.sandbox import default_judge
from o1coder_gym.splits import SPLITS

QUALITY = "quality.json"


def sft(
    data: Annotated[Path, typer.Option("--data", help="Folder made by o1coder synthesize.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder: checkpoints, logs, and the model.")],
    model: Annotated[str, typer.Option("--model", help="Known name, Hub id or folder.")] = DEFAULT_MODEL,
    learning_rate: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-4,
    epochs: Annotated[float, typer.Option("--epochs", min=0.01, help="Passes over the paths.")] = 2.0,
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=0, help="Optimizer steps at most; 0: all.")
    ] = 0,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Paths per optimizer step.")] = 8,
    rows_at_once: Annotated[int, typer.Option("--rows-at-once", min=1, help="Paths per forward pass.")] = 2,
    lora_rank: Annotated[
        int, typer.Option("--lora-rank", min=0, help="LoRA on all linear layers; 0 trains all weights.")
    ] = 16,
    max_length: Annotated[int, typer.Option("--max-length", min=16, help="Longest path in tokens.")] = 2048,
    save_steps: Annotated[int, typer.Option("--save-steps", min=1, help="Steps between checkpoints.")] = 50,
    evaluate: Annotated[
        str | None,
        typer.Option("--evaluate", help="Problem set on which the policy is measured before and after."),
    ] = None,
    split: SplitOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="First N of its problems.")] = None,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    push_to_hub: Annotated[
        str | None, typer.Option("--push-to-hub", help="Repository to push the model to.")
    ] = None,
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
        save_steps=save_steps,
        seed=seed,
    )
    found = read_data(data)
    if not found.paths:
        raise O1CoderError(f"{data} has no passing paths to learn from; search longer, or easier problems")
    train_rows, validation_rows = (list(demonstrations(found.of_split(part))) for part in SPLITS)
    result = finetune(
        "sft",
        model,
        train_rows,
        validation_rows,
        out,
        settings,
        data=data_hash(data),
        resume=resume,
        push_to_hub=push_to_hub,
    )
    told: dict[str, Any] = {"model": str(result.model), "metrics": dict(result.metrics)}
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
