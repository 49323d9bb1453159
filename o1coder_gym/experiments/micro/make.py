"""A problem file, and a tiny model that half knows how to solve it: an experiment that fits a laptop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from o1coder_gym.experiments.micro.problems import micro_rows, write_rows
from o1coder_gym.experiments.micro.tiny_model import OnStep, TinySettings, train_tiny_model
from o1coder_gym.models.lookup import find_model
from o1coder_gym.runs.journal import RunFolder

SPLITS: Mapping[str, int] = MappingProxyType({"train": 512, "validation": 64, "test": 128})
"""Problems by split, unless other numbers are asked for."""


@dataclass(frozen=True, slots=True)
class Micro:
    """The files that were made.

    Attributes:
        problems: The problem file; its splits are train, validation and test.
        model: Folder of the tiny model; ``hf:MODEL`` is its policy.
    """

    problems: Path
    model: Path


def make_micro(
    out: Path,
    splits: Mapping[str, int] = SPLITS,
    settings: TinySettings = TinySettings(),
    *,
    resume: bool = False,
    on_step: OnStep | None = None,
) -> Micro:
    """Makes micro-problems and trains a tiny model: ``o1coder micro`` without printing.

    Args:
        out: The run folder: ``problems.jsonl`` and ``model``.
        splits: Number of problems by split, each from 0 to 2,000.
        settings: Of the model; its seed draws the problems, too.
        resume: Whether to continue the run that `out` holds; a finished model is not trained again, an
            unfinished one from its last checkpoint on.
        on_step: Called with each optimizer step and its loss.

    Raises:
        UsageError: When a count is out of range or there is no such split.
        JournalError: When `out` holds a run and `resume` is false, or a run of other settings.
        MissingExtraError: When torch or transformers is not installed.
    """
    made = Micro(out / "problems.jsonl", out / "model")
    config = {"command": "micro", "splits": dict(splits), "model": asdict(settings)}
    with RunFolder.open(out, config, resume=resume):
        write_rows(micro_rows(dict(splits), settings.seed), made.problems)
        if find_model(str(made.model)) is None:
            train_tiny_model(made.model, settings, checkpoint=out / "checkpoint.pt", on_step=on_step)
    return made
