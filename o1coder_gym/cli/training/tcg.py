"""``o1coder tcg``: measure test generators, make their training data, train them, choose by their tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.training import tcg
from o1coder_gym.experiments.training.tcg import (
    GeneratorDPO,
    GeneratorSettings,
    GeneratorSFT,
    RowsSettings,
    SelectionSettings,
)
from o1coder_gym.metrics.estimates import ROUGH_LEGEND
from o1coder_gym.reporting.tables.terminal_table import legend_text
from o1coder_gym.runs.progress import tracked
from o1coder_gym.settings.groups import FitRun, JsonLines, RunSettings, TrainingRun
from o1coder_gym.tcg.quality.measures import ProblemQuality, reward_agreement, summarize


def evaluate(settings: GeneratorSettings, run: RunSettings) -> None:
    """Measure the tests of a generator: soundness, validity, diversity, power to reject wrong programs."""
    found = tcg.measure_generator(settings, run.out, resume=run.resume, track=tracked)
    _show_quality(found, settings.as_reward, run.as_json)
    if learned := tcg.learned_problems(settings):
        print(f"{settings.generator} was trained on {len(learned)} of these problems", file=sys.stderr)


def data(settings: RowsSettings, run: FitRun) -> None:
    """Make SFT rows and DPO pairs from problem sets; every case and every exchanged case is run."""
    files = [str(path) for path in tcg.make_rows(settings, run.out, track=tracked)]
    print(to_json({"files": files}) if run.as_json else "\n".join(files))


def select(settings: SelectionSettings, _: JsonLines) -> None:
    """Choose one of several programs per problem by their tests; prints JSONL."""
    for row in tcg.select_programs(settings, track=tracked):
        print(to_json(row))


def sft(settings: GeneratorSFT, run: TrainingRun) -> None:
    """Fine-tune a model on good test cases: the first stage."""
    _train("sft", settings, run)


def dpo(settings: GeneratorDPO, run: TrainingRun) -> None:
    """Teach it that outputs must match their inputs: the second stage."""
    _train("dpo", settings, run)


def _train(stage: Literal["sft", "dpo"], settings: GeneratorSFT | GeneratorDPO, run: TrainingRun) -> None:
    result = tcg.train_generator(stage, settings, run.out, resume=run.resume)
    print(to_json(result.to_row()) if run.as_json else result.model)


def _show_quality(found: Sequence[ProblemQuality], as_reward: bool, as_json: bool) -> None:
    rates = summarize(found)
    agreement = reward_agreement(found) if as_reward else None
    if as_json:
        summary: dict[str, Any] = {
            name: {"mean": rate.value, "low": rate.low, "high": rate.high}
            | {"problems": rate.count, "rough": rate.rough}
            for name, rate in rates.items()
            if rate.count
        }
        if agreement is not None:
            summary["reward"] = asdict(agreement)
        print(to_json(summary))
        return
    table = Table("", "mean", "95 % interval", "problems", box=None)
    for name, rate in rates.items():
        value = f"{rate.mean:.3f}" if rate.count else "not measured"
        table.add_row(name.replace("_", " "), value, rate.ends, str(rate.count))
    Console().print(table, legend_text(ROUGH_LEGEND))
    if agreement is not None:
        print(f"as reward: {agreement}")


app = new_app("tcg", "Measure test generators, train them, choose programs by tests.")
app.command(command(GeneratorSettings, evaluate, "eval", RunSettings))
app.command(command(RowsSettings, data, "data", FitRun))
app.command(command(SelectionSettings, select, "select", JsonLines))
app.command(command(GeneratorSFT, sft, "sft", TrainingRun))
app.command(command(GeneratorDPO, dpo, "dpo", TrainingRun))
