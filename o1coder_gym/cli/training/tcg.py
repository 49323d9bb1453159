"""``o1coder tcg``: measure test generators, make their training data, train them, choose by their tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from o1coder_gym.cli.commands import command, new_app
from o1coder_gym.experiments.training import tcg
from o1coder_gym.experiments.training.tcg import SelectionSettings
from o1coder_gym.models.trainers import TrainingResult
from o1coder_gym.runs.progress import tracked
from o1coder_gym.settings import Checked
from o1coder_gym.settings.groups import RunSettings, TrainingRun
from o1coder_gym.tcg.quality.measures import ProblemQuality, reward_agreement, summarize
from o1coder_gym.tcg.training.training import train


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalCommand(Checked):
    """Measurement.

    Attributes:
        measured: What is measured on what.
        run: Where it is kept.
    """

    measured: tcg.GeneratorSettings
    run: RunSettings = RunSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCommand(Checked):
    """Output.

    Attributes:
        rows: What rows are made of.
        out: Folder for the rows and the card.
    """

    rows: tcg.RowsSettings
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTCommand(Checked):
    """Training.

    Attributes:
        sft: What is trained on what.
        run: Where it is kept.
    """

    sft: tcg.GeneratorSFT
    run: TrainingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class DPOCommand(Checked):
    """Training.

    Attributes:
        dpo: What is trained on what.
        run: Where it is kept.
    """

    dpo: tcg.GeneratorDPO
    run: TrainingRun


def evaluate(settings: EvalCommand) -> None:
    """Measure the tests of a generator: soundness, validity, diversity, power to reject wrong programs."""
    run, measured = settings.run, settings.measured
    found = tcg.measure_generator(measured, run.out, resume=run.resume, track=tracked)
    _show_quality(found, measured.as_reward, run.as_json)


def data(settings: DataCommand) -> None:
    """Make SFT rows and DPO pairs from problem sets; every case and every exchanged case is run."""
    for path in tcg.make_rows(settings.rows, settings.out, track=tracked):
        print(path)


def select(settings: SelectionSettings) -> None:
    """Choose one of several programs per problem by their tests; prints JSONL."""
    for row in tcg.select_programs(settings, track=tracked):
        print(json.dumps(row, ensure_ascii=False))


def sft(settings: SFTCommand) -> None:
    """Fine-tune a model on good test cases: the first stage."""
    of, run = settings.sft, settings.run
    push = of.push_to_hub
    _tell(train("sft", of.model, of.data, run.out, of.training, resume=run.resume, push_to_hub=push), run)


def dpo(settings: DPOCommand) -> None:
    """Teach it that outputs must match their inputs: the second stage."""
    of, run = settings.dpo, settings.run
    push = of.push_to_hub
    _tell(train("dpo", of.model, of.data, run.out, of.training, resume=run.resume, push_to_hub=push), run)


def _tell(result: TrainingResult, run: TrainingRun) -> None:
    print(json.dumps(result.to_row()) if run.as_json else result.model)


def _show_quality(found: Sequence[ProblemQuality], as_reward: bool, as_json: bool) -> None:
    rates = summarize(found)
    agreement = reward_agreement(found) if as_reward else None
    if as_json:
        summary: dict[str, Any] = {
            name: {"mean": rate.value, "low": rate.low, "high": rate.high, "problems": rate.count}
            for name, rate in rates.items()
            if rate.count
        }
        if agreement is not None:
            summary["reward"] = asdict(agreement)
        print(json.dumps(summary))
        return
    table = Table("", "mean", "95 % interval", "problems", box=None)
    for name, rate in rates.items():
        if rate.count:
            interval = f"{rate.low:.3f} – {rate.high:.3f}"
            table.add_row(name.replace("_", " "), f"{rate.mean:.3f}", interval, str(rate.count))
    Console().print(table)
    if agreement is not None:
        print(
            f"as reward: agrees with the hidden tests on {agreement.agreement:.1%} of {agreement.programs} "
            f"programs; accepts {agreement.false_positive:.1%} of the wrong ones, "
            f"rejects {agreement.false_negative:.1%} of the right ones"
        )


app = new_app("tcg", "Measure test generators, train them, choose programs by tests.")
app.command(command(EvalCommand, evaluate, name="eval"))
app.command(command(DataCommand, data, name="data"))
app.command(command(SelectionSettings, select, name="select"))
app.command(command(SFTCommand, sft, name="sft"))
app.command(command(DPOCommand, dpo, name="dpo"))
