"""`o1coder rl`: reinforcement learning, of a policy's weights or of the choice among its proposals.

`policy` and `dpo` are in rl_policy.py; `choice` learns which of K proposals of a fixed policy to take.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.cli.run_folders import resumable, run_folder
from o1coder_gym.cli.training import rl_policy
from o1coder_gym.experiments.training.choice import ChoiceSettings, train_choice
from o1coder_gym.experiments.training.plan import PlanSettings, plan_run
from o1coder_gym.models.checkpoints import export_policy
from o1coder_gym.models.memory import gib
from o1coder_gym.reporting.tables.estimate_table import interval_text
from o1coder_gym.runs.progress import notes, progress_bars, warn
from o1coder_gym.settings import AtLeastOne, Checked, Flag
from o1coder_gym.settings.groups import AsJson, RunSettings


def choice(settings: ChoiceSettings, run: RunSettings) -> None:
    """Train PPO to choose among K proposals, then compare it with random choice.

    The result serves as an agent: o1coder bench --agent choice_ppo?path=RUN_DIR.
    """
    console = notes()
    out, steps = run_folder("rl-choice", run.out, resume=run.resume), settings.training.steps
    with resumable(out), progress_bars(console) as progress:
        bar = progress.add_task("training", total=steps, told="")

        def show(done: int, success_rate: float | None) -> None:
            rate = "" if success_rate is None else f"success {success_rate:.0%}"
            progress.update(bar, completed=done, told=rate)

        result = train_choice(settings, out, resume=run.resume, on_progress=show, on_warning=warn)
    if run.as_json:
        print(to_json({**result, "out": str(out)}))
    else:
        Console().print(_table(result))
    console.print(f"agent: choice_ppo:path={out}", soft_wrap=True)


def _table(result: dict[str, Any]) -> Table:
    table = Table("choice", "success rate", "95 % interval", "mean return")
    for name in ("random", "learned"):
        row = result[name]
        rate = f"{row['success_rate']:.1%} ({row['successes']} of {row['episodes']})"
        interval = interval_text(*row["interval"], rough=row["rough"])
        table.add_row(name, rate, interval, f"{row['mean_return']:.3f}")
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings(Checked):
    """Checkpoint.

    Attributes:
        run: Run folder of rl policy, rl dpo or sft, finished or stopped.
        step: Optimizer steps of the checkpoint; without it the last one.
        out: Folder of the model; without it RUN/model-STEP.
    """

    run: Annotated[Path, Flag("RUN")]
    step: AtLeastOne | None = None
    out: Path | None = None
    as_json: AsJson = False


def export(settings: ExportSettings) -> None:
    """Turn a checkpoint of a stopped training into a model, with its adapters merged in."""
    model = export_policy(settings.run, settings.step, settings.out)
    print(to_json({"model": str(model)}) if settings.as_json else f"hf:{model}")


def plan(settings: PlanSettings) -> None:
    """Estimate what training a policy will take: device memory, tokens, hours.

    No weights are loaded. The training flags are those of o1coder rl policy.
    """
    found = plan_run(settings)
    if settings.as_json:
        print(to_json(found.to_row()))
        return
    console, table = Console(), Table("memory of a device", "GiB", box=None)
    for name, size in (*found.memory.items(), ("at once", found.device_memory)):
        table.add_row(name, f"{size / 2**30:.2f}")
    console.print(table)
    room = "has room" if found.fits else "has no room"
    lines = (
        f"{settings.machine}: {gib(found.there)}, {room}",
        f"{found.parameters:,} parameters, {found.learned:,} learned",
        f"{found.sampled:,} tokens sampled, {found.trained:,} learned from, {found.scored:,} scored",
        ", ".join(f"{_duration(hours)} of {part}" for part, hours in found.hours.items())
        + ", judging not counted",
    )
    console.print(*lines, sep="\n", markup=False, highlight=False)
    console.print(found.launch, markup=False, highlight=False, soft_wrap=True)  # a command, to be copied


def _duration(hours: float) -> str:
    minutes = 60 * hours
    return f"{hours:.2g} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 1 else "under a minute"


app = new_app("rl", "Train a policy, or a chooser among its proposals, by reinforcement learning.")
app.command(rl_policy.policy_app)
app.command(command(PlanSettings, plan, name="plan"))
app.command(rl_policy.dpo_app)
app.command(command(ChoiceSettings, choice, "choice", RunSettings))
app.command(command(ExportSettings, export, name="export"))
