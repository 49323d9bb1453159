"""`o1coder micro`: a problem file, and a tiny model that half knows how to solve it, in a minute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.progress import TaskID

from o1coder_gym.cli.commands import command
from o1coder_gym.cli.json_text import to_json
from o1coder_gym.experiments.micro.make import SPLITS, make_micro
from o1coder_gym.experiments.micro.tiny_model import TinySettings
from o1coder_gym.runs.progress import notes, progress_bars
from o1coder_gym.settings import AtLeastOne, Checked, Count
from o1coder_gym.settings.groups import AsJson, Resume, Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroSettings(Checked):
    """Problems and model.

    Attributes:
        out: Folder for problems.jsonl and model.
        train: Problems of this split.
        validation: Problems of this split.
        test: Problems of this split.
        steps: Optimizer steps of the model.
    """

    out: Path
    train: Count = SPLITS["train"]
    validation: Count = SPLITS["validation"]
    test: Count = SPLITS["test"]
    steps: AtLeastOne = 250
    seed: Seed = 0
    resume: Resume = False
    as_json: AsJson = False


def micro(settings: MicroSettings) -> None:
    """Make micro-problems and train a tiny model that solves some of them.

    Everything runs on a laptop.
    """
    model = TinySettings(steps=settings.steps, seed=settings.seed)
    splits = {name: getattr(settings, name) for name in SPLITS}
    with progress_bars(notes()) as progress:
        bars: list[TaskID] = []

        def show(step: int, loss: float) -> None:
            if not bars:  # a model that is there already needs no bar
                bars.append(progress.add_task("training", total=settings.steps, told=""))
            progress.update(bars[0], completed=step, told=f"loss {loss:.3f}")

        made = make_micro(settings.out, splits, model, resume=settings.resume, on_step=show)
    if settings.as_json:
        print(to_json({"problems": str(made.problems), "model": str(made.model)}))
    else:
        print(f"o1coder bench --problems {made.problems} --split test --policy hf:{made.model}")


app = command(MicroSettings, micro, name="micro")
