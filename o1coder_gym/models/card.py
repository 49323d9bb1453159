"""The card of a trained model for human readers: settings, data, versions, figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.provenance import Provenance, leaves


def write_card(folder: Path, made: Provenance, metrics: Mapping[str, Any], trained: Any = None) -> None:
    """Writes the card of a trained model, ``README.md``: settings, data, versions, figures.

    Args:
        folder: The saved model.
        made: The model's provenance.
        metrics: Those that are finite numbers are shown.
        trained: The model; if it has adapters, their α is shown.
    """
    settings = leaves(dict(made.config)) | alpha_of(trained)
    figures = {name: f"{value:.6g}" for name, value in numbers(metrics).items()}
    tables = {"setting": settings, "input": made.inputs, "package": made.versions, "figure": figures}
    parts = [f"# A model of `{made.stage}`\n", "Trained by o1coder-gym.\n", *_tables(tables)]
    write_whole(folder / "README.md", "\n".join(parts))


def card_text(name: str, card: Mapping[str, Any]) -> str:
    """Returns the card of a shipped adapter for people: what it is in lines, the rest in tables."""
    told = {key: value for key, value in card.items() if not isinstance(value, Mapping)}
    lines = "".join(f"- {key}: {value}\n" for key, value in told.items())
    tables = {key: leaves(dict(value)) for key, value in card.items() if isinstance(value, Mapping)}
    return "\n".join([f"# {name}\n", lines, *_tables(tables)])


def _tables(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, cells in tables.items():
        rows = "".join(f"| {key} | {value} |\n" for key, value in cells.items())
        yield f"| {name} | |\n|---|---|\n{rows}"


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics that are finite numbers."""
    kept = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    return {name: value for name, value in kept.items() if math.isfinite(value)}


def alpha_of(trained: Any) -> dict[str, float]:
    """Returns α of a model's adapters as ``lora_alpha``; nothing for a model without adapters."""
    adapters = getattr(trained, "peft_config", None)
    return {} if adapters is None else {"lora_alpha": adapters["default"].lora_alpha}
