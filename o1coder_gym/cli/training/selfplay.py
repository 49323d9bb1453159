"""`o1coder selfplay`: the whole wheel, from a policy to a better one, in a folder that explains itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from o1coder_gym.cli.options import JsonOption, OutOption, ResumeOption
from o1coder_gym.cli.run_folders import default_folder, resumable
from o1coder_gym.errors import UsageError
from o1coder_gym.experiments.self_play import CURVE, Learned, Schedule, self_play
from o1coder_gym.experiments.self_play_config import SelfPlayConfig, read_config
from o1coder_gym.experiments.stages import RealStages
from o1coder_gym.metrics import paired_difference
from o1coder_gym.models.lookup import find_model
from o1coder_gym.reporting.figures import PICTURE, draw_curve, markdown_curve
from o1coder_gym.runs.executors import load_executor
from o1coder_gym.runs.journal import RunFolder

TESTED = "tested"
"""Name of the file of results on the test split, one row per policy and problem."""


def selfplay(
    config: Annotated[Path, typer.Option("--config", help="TOML file; see docs/self_play.md.")],
    seed: Annotated[int | None, typer.Option("--seed", help="Replaces the seed of the file.")] = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Search, learn from what was found, search again: Algorithm 1, from one file."""
    plan = read_config(config, seed=seed)
    load_executor(plan.run.executor)
    if plan.sft is None and plan.rl is None:
        raise UsageError(f"{config}: sft and rl are both skipped, so nothing would be learned")
    console = Console(stderr=True)
    out = out or default_folder("selfplay")
    with RunFolder.open(out, plan.to_row(), resume=resume) as folder:
        stages = RealStages(plan, out)
        start = Learned(_first_model(plan))
        with resumable(out):
            learned = self_play(
                stages, start, _schedule(plan), folder, lambda line: console.print(escape(line))
            )
            tables = {name: _tested(stages, name, model, folder) for name, model in _ends(start, learned)}
        result = _result(tables, learned, out)
        _write_report(folder, plan, result)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo((out / "report.md").read_text())


def _first_model(plan: SelfPlayConfig) -> str:
    """Returns the model, as an absolute folder where it is one: the run may be resumed from elsewhere."""
    folder = find_model(plan.run.model)
    return str(folder.resolve()) if folder is not None else plan.run.model


def _schedule(plan: SelfPlayConfig) -> Schedule:
    return Schedule(
        iterations=plan.run.iterations,
        patience=plan.run.patience,
        fine_tune=plan.sft is not None,
        train_scorer=plan.prm is not None,
        reinforce=plan.rl is not None,
    )


def _ends(start: Learned, learned: Learned) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("before", start.policy), ("after", learned.policy)


def _tested(
    stages: RealStages, name: str, model: str, folder: RunFolder
) -> Mapping[str, Mapping[str, float]]:
    """Returns the results of a policy on the test split, measured once per run."""
    known = {row["task_id"]: row["found"] for row in folder.rows(TESTED) if row["policy"] == name}
    if not known:
        known = dict(stages.tested(model))
        rows = ({"policy": name, "task_id": task_id, "found": found} for task_id, found in known.items())
        folder.append(TESTED, *rows)
    return known


def _result(
    tables: Mapping[str, Mapping[str, Mapping[str, float]]], learned: Learned, out: Path
) -> dict[str, Any]:
    result: dict[str, Any] = {"policy": learned.policy, "scorer": learned.scorer, "out": str(out)}
    return {**result, "problems": len(tables["before"]), **gains(tables)}


def gains(tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
    """Returns what a run gained on the test split.

    Args:
        tables: Results by ``"before"`` and ``"after"``, task id, and name of the measure, in [0, 1].

    Returns:
        By name of the measure (``pass_rate``, ``greedy``, ``format_compliance``): means ``before`` and
        ``after``, their paired ``gain`` and its 95 % ``interval``.
    """
    result: dict[str, dict[str, Any]] = {}
    for name in ("pass_rate", "greedy", "format_compliance"):
        before, after = (
            {task_id: row[name] for task_id, row in tables[when].items()} for when in ("before", "after")
        )
        gain = paired_difference(after, before)
        result[name] = {
            "before": sum(before.values()) / len(before),
            "after": sum(after.values()) / len(after),
            "gain": gain.mean,
            "interval": [gain.low, gain.high],
        }
    return result


def _write_report(folder: RunFolder, plan: SelfPlayConfig, result: Mapping[str, Any]) -> None:
    rows = list(folder.rows(CURVE))
    drawn = draw_curve(rows, folder.path / PICTURE)
    lines = ["# Self-play", "", f"{plan.problems.set}, test split, {result['problems']} problems.", ""]
    lines += ["| test | before | after | gain | 95 % interval |", "|---|---|---|---|---|"]
    for name, title in (("pass_rate", "pass@1"), ("greedy", "greedy"), ("format_compliance", "format")):
        row = result[name]
        low, high = row["interval"]
        ends = f"{row['before']:.1%} | {row['after']:.1%} | {row['gain']:+.1%}"
        lines.append(f"| {title} | {ends} | {low:+.1%} … {high:+.1%} |")
    lines += ["", "Validation split, stage by stage:", "", markdown_curve(rows)]
    lines += [f"![Learning curve]({PICTURE})", ""] if drawn else []
    lines += ["Settings and versions: config.json. Stages: iteration-NN/STAGE/stage.json.", ""]
    (folder.path / "report.md").write_text("\n".join(lines))
