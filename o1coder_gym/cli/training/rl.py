"""`o1coder rl`: reinforcement learning, of a policy's weights or of the choice among its proposals.

`policy` and `dpo` are in rl_policy.py; `choice` learns which of K proposals of a fixed policy to take.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.options import (
    DEFAULT_POLICY,
    FormatOption,
    JsonOption,
    MaxStepsOption,
    OutOption,
    PolicyOption,
    ProblemsOption,
    ResumeOption,
    SeedOption,
    SplitOption,
)
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.cli.training import rl_policy
from o1coder_gym.problems.loading import load_problems
from o1coder_gym.problems.missing_tests import without_visible_tests
from o1coder_gym.rewards import Schedule, load_schedule
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import progress_bars, warn
from o1coder_gym.runs.seeds import derive_stream

if TYPE_CHECKING:
    from o1coder_gym.agents.rl.choice_ppo import Chooser, Evaluation, Training

app = typer.Typer(no_args_is_help=True, help="Reinforcement learning.")


@app.callback()
def rl() -> None:
    """Reinforcement learning."""


app.command("policy")(rl_policy.policy)
app.command("dpo")(rl_policy.dpo)


@app.command("choice")
def choice(
    problems: ProblemsOption = "starter",
    split: SplitOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    format: FormatOption = "pseudocode",
    max_steps: MaxStepsOption = 8,
    k: Annotated[int, typer.Option("--k", min=1, help="Proposals to choose from.")] = 4,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Tokens per proposal.")] = 384,
    reward: Annotated[str, typer.Option("--reward", help="outcome, process, phi or phi_dense.")] = "outcome",
    alpha: Annotated[
        str, typer.Option("--alpha", help="α(t), t in updates: 0.5, linear?start=1&end=0.1&horizon=90, …")
    ] = "0.5",
    algorithm: Annotated[str, typer.Option("--algorithm", help="maskable_ppo or ppo.")] = "maskable_ppo",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Choices to learn from, in all.")] = 8192,
    num_envs: Annotated[int, typer.Option("--num-envs", min=1, help="Environments side by side.")] = 4,
    rollout: Annotated[
        int, typer.Option("--rollout", min=2, help="Choices per environment and update.")
    ] = 64,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=0, help="Of Adam.")] = 1e-3,
    episodes: Annotated[int, typer.Option("--episodes", min=1, help="Episodes of the evaluation.")] = 100,
    seed: SeedOption = 0,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train PPO to choose among K proposals, then compare it with random choice.

    The result serves as an agent: o1coder bench --agent choice_ppo:path=RUN_DIR.
    """
    from o1coder_gym.agents.rl.choice_ppo import Training

    schedule = load_schedule(alpha)
    env: dict[str, Any] = {"problems": problems, "split": split, "policy": policy, "format": format}
    env |= {"max_steps": max_steps, "k": k, "max_tokens": max_tokens, "reward": reward, "alpha": schedule(0)}
    training = Training(env, algorithm, steps, num_envs, rollout, learning_rate, seed=seed)
    row = asdict(training)
    del row["steps"]  # a resumed run may go further
    out = out or default_folder("rl-choice")
    console = Console(stderr=True)
    warn(without_visible_tests(load_problems(problems, split=split)))
    with RunFolder.open(out, {**row, "alpha": alpha}, resume=resume) as folder:
        with resumable(out):
            chooser = _train(training, folder, schedule, resume, console)
            result = _compare(chooser, training, episodes, console)
        folder.append("evaluations", result)
    if as_json:
        typer.echo(json.dumps({**result, "out": str(out)}))
    else:
        Console().print(_table(result))
    console.print(f"agent: choice_ppo:path={out}", soft_wrap=True)


def _train(
    training: Training, folder: RunFolder, schedule: Schedule, resume: bool, console: Console
) -> Chooser:
    from o1coder_gym.agents.rl.choice_ppo import train

    with progress_bars(console) as progress:
        bar = progress.add_task("training", total=training.steps, told="")

        def show(done: int, success_rate: float | None) -> None:
            rate = "" if success_rate is None else f"success {success_rate:.0%}"
            progress.update(bar, completed=done, told=rate)

        chooser = train(training, folder.path, resume=resume, alpha=schedule, on_progress=show)
        show(chooser.ppo.num_timesteps, None)
    return chooser


def _compare(chooser: Chooser, training: Training, episodes: int, console: Console) -> dict[str, Any]:
    """Evaluates random and learned choices on the same tasks and first proposals."""
    from o1coder_gym.agents.rl.choice_ppo import evaluate

    play = partial(
        evaluate, training=training, episodes=episodes, seed=derive_stream(training.seed, "evaluation")
    )
    with console.status(f"evaluating on {episodes} episodes"):
        results = {"random": _row(play(None)), "learned": _row(play(chooser))}
    return {"steps": chooser.ppo.num_timesteps, **results}


def _row(evaluation: Evaluation) -> dict[str, Any]:
    return {**asdict(evaluation), "success_rate": evaluation.success_rate}


def _table(result: dict[str, Any]) -> Table:
    table = Table("choice", "success rate", "95 % interval", "mean return")
    for name in ("random", "learned"):
        row = result[name]
        low, high = row["interval"]
        rate = f"{row['success_rate']:.1%} ({row['successes']} of {row['episodes']})"
        table.add_row(name, rate, f"{low:.1%} – {high:.1%}", f"{row['mean_return']:.3f}")
    return table
