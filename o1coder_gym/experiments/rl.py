"""Reinforcement learning of a policy: trained with a log and a curve, compared with its start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from o1coder_gym.agents.rl.settings import RLSettings
from o1coder_gym.envs.reasoning_model import ReasoningModel
from o1coder_gym.experiments.held_out import HeldOut
from o1coder_gym.metrics import paired_difference
from o1coder_gym.policies import load_policy
from o1coder_gym.reporting.figures import PICTURE, draw_updates
from o1coder_gym.runs.journal import RunFolder
from o1coder_gym.runs.progress import progress_bars
from o1coder_gym.steps.formats import load_format


def train(
    model: str,
    process: ReasoningModel,
    out: Path,
    folder: RunFolder,
    settings: RLSettings,
    format: str,
    *,
    held_out: HeldOut | None = None,
    resume: bool,
) -> Path:
    """Trains into `out` with a progress bar; `folder` keeps every batch's metrics in ``updates.jsonl``."""
    from o1coder_gym.agents.rl.grpo import train_policy

    with progress_bars(Console(stderr=True)) as progress:
        bar = progress.add_task("training", total=settings.updates, told="")

        log = update_log(folder)

        def show(t: int, metrics: Mapping[str, float]) -> None:
            log(t, metrics)
            told = f"pass rate {metrics['episodes/pass_rate']:.0%}"
            progress.update(bar, completed=t // settings.iterations, told=told)

        trained = train_policy(
            model,
            process,
            process.task_ids,
            out,
            settings,
            step_format=load_format(format),
            resume=resume,
            validate=held_out.measure if held_out is not None else None,
            on_update=show,
        )
        progress.update(bar, completed=settings.updates)
    draw_updates(list(folder.rows("updates")), out / PICTURE)
    return trained


def update_log(folder: RunFolder) -> Callable[[int, Mapping[str, float]], None]:
    """Returns what writes a row per batch to ``updates.jsonl``, but none twice after a resume."""
    known = {row["t"] for row in folder.rows("updates")}

    def write(t: int, metrics: Mapping[str, float]) -> None:
        if t not in known:
            numbers = {name: None if math.isnan(value) else value for name, value in metrics.items()}
            folder.append("updates", {"t": t, **numbers})

    return write


def compare(held_out: HeldOut, model: str, out: Path, format: str, seed: int) -> dict[str, Any]:
    """Measures the start and the trained policy on the same problems, with paired intervals."""
    before, after = (
        held_out.by_problem(load_policy(spec, format=format), seed)
        for spec in (f"hf:{model}", f"hf:{out / 'model'}")
    )
    result: dict[str, Any] = {"problems": len(before)}
    for name in next(iter(before.values())):
        one, two = ({key: row[name] for key, row in table.items()} for table in (before, after))
        gain = paired_difference(two, one)
        means = {"before": sum(one.values()) / len(one), "after": sum(two.values()) / len(two)}
        result[name] = {**means, "gain": gain.mean, "interval": [gain.low, gain.high]}
    return result
