"""The file of a model's calibration, which lies beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

from o1coder_gym.errors import ScorerError
from o1coder_gym.metrics.calibration import UNCALIBRATED, Calibration
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.provenance import CALIBRATION as FILE


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Writes a calibration into the folder of a model."""
    row = {"method": calibration.method, "temperature": calibration.temperature}
    row |= {"logits": list(calibration.logits), "scores": list(calibration.scores)}
    row |= {"fitted_on": dict(calibration.fitted_on)}
    write_whole(folder / FILE, json.dumps(row) + "\n")


def read_calibration(folder: Path) -> Calibration:
    """Reads what `write_calibration` wrote; no calibration if there is none.

    Raises:
        ScorerError: When the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return UNCALIBRATED
    try:
        row = json.loads(path.read_text())
        knots = tuple(row["logits"]), tuple(row["scores"])
        return Calibration(row["method"], row["temperature"], *knots, row.get("fitted_on", {}))
    except (ValueError, KeyError, TypeError) as error:
        raise ScorerError(f"{path}: not a calibration") from error
