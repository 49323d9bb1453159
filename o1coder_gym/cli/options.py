"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

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
