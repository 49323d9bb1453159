"""Options that several commands share, so that they are called and explained the same everywhere.

Options of the commands that train on rows, so that they are called and explained the same everywhere.

What a row is differs: a row, a path, a pair. Options that count or measure rows are made from its name.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from typer.models import OptionInfo

DEFAULT_POLICY = "hf:qwen2.5-coder-0.5b"

PolicyOption: TypeAlias = Annotated[
    str,
    typer.Option("--policy", help="What proposes steps: hf:NAME, scripted:FILE, … (o1coder list policies)"),
]
ProblemsOption: TypeAlias = Annotated[str, typer.Option("--problems", help="Name or path of a problem set.")]
LimitOption: TypeAlias = Annotated[int | None, typer.Option("--limit", min=1, help="First N problems only.")]
ProcessDataOption: TypeAlias = Annotated[
    Path, typer.Option("--data", help="Folder made by o1coder synthesize.")
]
ScorerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--scorer", help="Step scorer (PRM) of agents that ask for one: heuristic (default), prm:FOLDER, …"
    ),
]
FormatOption: TypeAlias = Annotated[str, typer.Option("--format", help="Step format: pseudocode or vanilla.")]
SplitOption: TypeAlias = Annotated[str | None, typer.Option("--split", help="Split of the set, e.g. test.")]
SkipBadOption: TypeAlias = Annotated[
    bool, typer.Option("--skip-bad", help="Count and report malformed rows instead of stopping at the first.")
]
TokensOption: TypeAlias = Annotated[
    int | None, typer.Option("--tokens", min=0, help="Budget per problem: generated tokens.")
]
CallsOption: TypeAlias = Annotated[
    int | None, typer.Option("--calls", min=0, help="Budget per problem: sampled steps.")
]
ExecutionsOption: TypeAlias = Annotated[
    int | None, typer.Option("--executions", min=0, help="Budget per problem: judged programs.")
]
SecondsOption: TypeAlias = Annotated[
    float | None, typer.Option("--seconds", min=0, help="Budget per problem: wall-clock seconds.")
]
MaxStepsOption: TypeAlias = Annotated[int, typer.Option("--max-steps", min=1, help="Steps per episode.")]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", help="Seed of the run.")]
OutOption: TypeAlias = Annotated[Path | None, typer.Option("--out", help="Run folder.")]
ResumeOption: TypeAlias = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the run in --out; nothing paid for is paid again."),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


class Dtype(enum.Enum):
    """Of the weights in training."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


TrainingOutOption: TypeAlias = Annotated[
    Path, typer.Option("--out", help="Run folder: checkpoints, logs, and the model.")
]
ModelOption: TypeAlias = Annotated[str, typer.Option("--model", help="Known name, Hub id or folder.")]
LearningRateOption: TypeAlias = Annotated[float, typer.Option("--lr", help="Peak learning rate.")]
OptimizerStepsOption: TypeAlias = Annotated[
    int, typer.Option("--max-steps", min=0, help="Optimizer steps at most; 0: all.")
]
LoraRankOption: TypeAlias = Annotated[
    int, typer.Option("--lora-rank", min=0, help="LoRA on all linear layers; 0 trains all weights.")
]
DtypeOption: TypeAlias = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        help="Of the weights; auto: bfloat16 on a GPU, else float32, for a PRM always float32. A CPU that "
        "can multiply in bfloat16 is faster with it; meant for LoRA.",
    ),
]
SaveStepsOption: TypeAlias = Annotated[
    int, typer.Option("--save-steps", min=1, help="Steps between checkpoints.")
]
PushOption: TypeAlias = Annotated[
    str | None, typer.Option("--push-to-hub", help="Repository to push the model to.")
]


def epochs_option(rows: str) -> OptionInfo:
    """Returns ``--epochs``."""
    return typer.Option("--epochs", min=0.01, help=f"Passes over the {rows}.")


def batch_option(rows: str) -> OptionInfo:
    """Returns ``--batch``."""
    return typer.Option("--batch", min=1, help=f"{rows.capitalize()} per optimizer step.")


def rows_at_once_option(rows: str) -> OptionInfo:
    """Returns ``--rows-at-once``."""
    return typer.Option("--rows-at-once", min=1, help=f"{rows.capitalize()} per forward pass.")


def max_length_option(row: str) -> OptionInfo:
    """Returns ``--max-length``."""
    return typer.Option("--max-length", min=16, help=f"Longest {row} in tokens.")
