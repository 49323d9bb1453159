"""``o1coder tcg``: measure test generators, make their training data, train them, choose by their tests."""

from __future__ import annotations

import sys
from typing import Literal

from rich.console import Console

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
from o1coder_gym.reporting.tables.estimate_table import estimate_table
from o1coder_gym.runs.progress import tracked
from o1coder_gym.settings.groups import FitRun, JsonLines, RunSettings, TrainingRun


def evaluate(settings: GeneratorSettings, run: RunSettings) -> None:
    """Measure the tests of a generator: soundness, validity, diversity, power to reject wrong programs."""
    report = tcg.measure_generator(settings, run.out, resume=run.resume, track=tracked)
    if run.as_json:
        print(to_json(report.to_row()))
    else:
        rates = {name.replace("_", " "): rate for name, rate in report.rates.items()}
        Console().print(estimate_table(rates, "mean", "problems"))
        if report.agreement is not None:
            print(f"as reward: {report.agreement}")
    if learned := tcg.learned_problems(settings):
        print(f"{settings.generator} was trained on {len(learned)} of these problems", file=sys.stderr)


def data(settings: RowsSettings, run: FitRun) -> None:
    """Make SFT rows and DPO pairs from problem sets, running every case and every exchanged case."""
    files = [str(path) for path in tcg.make_rows(settings, run.out, track=tracked)]
    print(to_json({"files": files}) if run.as_json else "\n".join(files))


def select(settings: SelectionSettings, _: JsonLines) -> None:
    """Choose one of several programs per problem by tests; prints JSONL."""
    for row in tcg.select_programs(settings, track=tracked):
        print(to_json(row))


def sft(settings: GeneratorSFT, run: TrainingRun) -> None:
    """Fine-tune a model on good test cases: the first stage."""
    _train("sft", settings, run)


def dpo(settings: GeneratorDPO, run: TrainingRun) -> None:
    """Teach the fine-tuned model that outputs must match their inputs: the second stage."""
    _train("dpo", settings, run)


def _train(stage: Literal["sft", "dpo"], settings: GeneratorSFT | GeneratorDPO, run: TrainingRun) -> None:
    result = tcg.train_generator(stage, settings, run.out, resume=run.resume)
    print(to_json(result.to_row()) if run.as_json else result.model)


app = new_app("tcg", "Measure and train test generators, and choose programs by tests.")
app.command(command(GeneratorSettings, evaluate, "eval", RunSettings))
app.command(command(RowsSettings, data, "data", FitRun))
app.command(command(SelectionSettings, select, "select", JsonLines))
app.command(command(GeneratorSFT, sft, "sft", TrainingRun, ranked=True))
app.command(command(GeneratorDPO, dpo, "dpo", TrainingRun, ranked=True))
