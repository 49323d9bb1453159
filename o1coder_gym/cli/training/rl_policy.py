"""`o1coder rl policy` and `o1coder rl dpo`: reinforcement learning on the weights of a policy."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.cli.bars import train_shown
from o1coder_gym.cli.options import (
    Dtype,
    DtypeOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MaxStepsOption,
    OutOption,
    ProblemsOption,
    ProcessDataOption,
    ResumeOption,
    ScorerOption,
    SeedOption,
    SplitOption,
    batch_option,
    epochs_option,
    rows_at_once_option,
)
from o1coder_gym.cli.run_folders import default_folder
from o1coder_gym.experiments.rl import RLPlan, TrainedPolicy, train_on_pairs, train_policy
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.runs.progress import warn
from o1coder_gym.runs.provenance import input_hashes

DEFAULTS = RLSettings()
ModelOption = Annotated[str, typer.Option("--model", help="Known name, Hub id or folder to start from.")]
RateOption = Annotated[float, typer.Option("--lr", help="Learning rate.")]
RankOption = Annotated[int, typer.Option("--lora-rank", min=0, help="LoRA rank; 0 trains all weights.")]


def policy(
    model: ModelOption = DEFAULT_MODEL,
    problems: ProblemsOption = "starter",
    split: SplitOption = None,
    limit: LimitOption = None,
    held_out: Annotated[
        str | None, typer.Option("--held-out", help="Split measured before and after.")
    ] = None,
    held_out_limit: Annotated[int | None, typer.Option(min=1, help="First N held-out problems only.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples per held-out problem.")] = 4,
    scorer: ScorerOption = None,
    format: FormatOption = "pseudocode",
    max_steps: MaxStepsOption = 8,
    generator: Annotated[str, typer.Option(help="Makes tests beside the public ones.")] = "mutation",
    tests: Annotated[int, typer.Option("--tests", min=0, help="Tests it makes per problem; 0: none.")] = 16,
    credit: Annotated[
        str, typer.Option(help="step: per-step returns of φ; phi: φ per episode; outcome: R alone.")
    ] = DEFAULTS.credit,
    updates: Annotated[int, typer.Option(min=1, help="Batches of episodes.")] = DEFAULTS.updates,
    batch_problems: Annotated[int, typer.Option(min=1, help="Problems per batch.")] = DEFAULTS.problems,
    episodes: Annotated[int, typer.Option(min=2, help="Episodes per problem.")] = DEFAULTS.episodes,
    iterations: Annotated[int, typer.Option(min=1, help="Optimizer steps per batch.")] = DEFAULTS.iterations,
    rows_at_once: Annotated[int, rows_at_once_option("episodes")] = DEFAULTS.rows_at_once,
    learning_rate: RateOption = DEFAULTS.learning_rate,
    beta: Annotated[float, typer.Option(min=0, help="Weight of the KL to the start.")] = DEFAULTS.beta,
    clip: Annotated[float, typer.Option(help="ε of PPO.")] = DEFAULTS.clip,
    alpha: Annotated[
        str, typer.Option(help="α(t): 0.5, linear?start=1&end=0.1&horizon=90, …")
    ] = DEFAULTS.alpha,
    gamma: Annotated[float, typer.Option(help="γ of φ.")] = DEFAULTS.gamma,
    fractional: Annotated[
        bool, typer.Option("--fractional", help="R in proportion to tests passed.")
    ] = False,
    lora_rank: RankOption = 0,
    dtype: DtypeOption = Dtype.AUTO,
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = DEFAULTS.temperature,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens per step.")] = DEFAULTS.max_tokens,
    save_every: Annotated[
        int, typer.Option(min=1, help="Batches between checkpoints.")
    ] = DEFAULTS.save_every,
    validate_every: Annotated[int, typer.Option(min=0, help="Batches between looks at --held-out.")] = 0,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a policy on φ: GRPO and PPO-clip with credit per step, or the outcome-only control."""
    settings = RLSettings(
        credit=credit,
        updates=updates,
        problems=batch_problems,
        episodes=episodes,
        iterations=iterations,
        rows_at_once=rows_at_once,
        learning_rate=learning_rate,
        beta=beta,
        clip=clip,
        alpha=alpha,
        gamma=gamma,
        fractional=fractional,
        lora_rank=lora_rank,
        dtype=dtype.value,
        temperature=temperature,
        max_tokens=max_tokens,
        save_every=save_every,
        validate_every=validate_every,
        seed=seed,
    )
    rows = load_rows(problems, split=split)[:limit]
    plan = RLPlan(
        model=model,
        problems=problems,
        task_ids=tuple(row.problem.task_id for row in rows),
        settings=settings,
        scorer=scorer,
        format=format,
        max_steps=max_steps,
        generator=generator,
        tests=tests,
        inputs=input_hashes(f"hf:{model}", scorer),
    )
    watched = load_rows(problems, split=held_out)[:held_out_limit] if held_out is not None else ()
    result = train_policy(
        plan,
        out or default_folder("rl-policy"),
        rows=rows,
        held_out=watched,
        samples=samples,
        resume=resume,
        on_warning=warn,
        train=train_shown,
    )
    _show(result, as_json)


def dpo(
    model: ModelOption,
    data: ProcessDataOption,
    learning_rate: RateOption = 5e-6,
    beta: Annotated[float, typer.Option(help="How strongly it is held to its start.")] = 0.1,
    imitation: Annotated[
        float, typer.Option(min=0, help="Weight of the better step's own likelihood; 0: DPO alone.")
    ] = 1.0,
    epochs: Annotated[float, epochs_option("pairs")] = 1.0,
    batch: Annotated[int, batch_option("pairs")] = 16,
    rows_at_once: Annotated[int, rows_at_once_option("pairs")] = 4,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs at most, of largest margin; 0: all.")] = 0,
    lora_rank: RankOption = 0,
    dtype: DtypeOption = Dtype.AUTO,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a policy on sibling pairs: one round of iterative DPO; synthesize anew for the next."""
    settings = DPOSettings(
        learning_rate=learning_rate,
        beta=beta,
        imitation=imitation,
        epochs=epochs,
        batch_size=batch,
        rows_at_once=rows_at_once,
        pairs=pairs,
        lora_rank=lora_rank,
        dtype=dtype.value,
        seed=seed,
    )
    _show(train_on_pairs(model, data, out or default_folder("rl-dpo"), settings, resume=resume), as_json)


def _show(trained: TrainedPolicy, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**trained.to_row(), "model": str(trained.model)}))
        return
    if trained.gains:
        table = Table("held out", "before", "after", "gain", "95 % interval")
        for name, one in trained.gains.items():
            table.add_row(
                name,
                f"{one.before:.1%}",
                f"{one.after:.1%}",
                f"{one.gain:+.1%}",
                f"{one.low:+.1%} … {one.high:+.1%}",
            )
        Console().print(table)
    typer.echo(trained.model)
