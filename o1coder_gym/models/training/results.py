"""What a training leaves in its run folder beside the weights: figures, the card, the questions learned."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.card import alpha_of, numbers, write_card
from o1coder_gym.models.checkpoints import MODEL
from o1coder_gym.problems.likeness.trained_on import keys_of, write_keys
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.provenance import Provenance


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training.

    Attributes:
        model: Folder of the trained model, LoRA merged in; a policy spec takes it as ``hf:FOLDER``.
        metrics: Last values by name, e.g. ``train_loss``, ``eval_loss``.
    """

    model: Path
    metrics: Mapping[str, float]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {"model": str(self.model), "metrics": dict(self.metrics)}


def write_result(
    out: Path, made: Provenance, metrics: Mapping[str, Any], keys: Collection[str], trained: Any = None
) -> TrainingResult:
    """Writes ``training.json``, and beside the saved model its card and the questions; returns the result.

    Args:
        out: Run folder.
        made: What the model was made of.
        metrics: Those that are finite numbers are kept.
        keys: Of the questions that it learned from.
        trained: The model; if it has adapters, their α is written down.
    """
    write_learned(out / MODEL, made, keys)
    write_card(out / MODEL, made, metrics, trained)
    settings = dict(made.config["settings"])
    stage = f"{made.stage} {settings.pop('objective', '')}".rstrip()
    report = {"stage": stage, "model": made.config["model"], "settings": settings}
    report |= alpha_of(trained) | {"metrics": numbers(metrics)}
    write_whole(out / "training.json", json.dumps(report, indent=2) + "\n")
    return read_result(out)


def read_result(out: Path) -> TrainingResult:
    """Reads what `write_result` wrote.

    Raises:
        O1CoderError: When the folder holds no finished training.
    """
    try:
        return TrainingResult(out / MODEL, json.loads((out / "training.json").read_text())["metrics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{out} holds no finished training") from error


def write_learned(folder: Path, made: Provenance, keys: Collection[str]) -> None:
    """Writes which questions a model learned from, those that its first model had learned from too."""
    write_keys(folder, keys_of((), made.config["model"]).union(keys))
