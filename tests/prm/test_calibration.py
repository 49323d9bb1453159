"""The file of a calibration gives back what was written, and is refused where it is damaged."""

from pathlib import Path

import pytest

from o1coder_gym.errors import ScorerError
from o1coder_gym.metrics.calibration import Calibration, fit
from o1coder_gym.prm.calibration import read_calibration, write_calibration


def test_it_survives_the_disk(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) == Calibration()
    fitted = fit("isotonic", [1.0, 2.0], [0.0, 1.0])
    write_calibration(tmp_path, fitted)
    assert read_calibration(tmp_path) == fitted
    (tmp_path / "calibration.json").write_text("[]")
    with pytest.raises(ScorerError, match="not a calibration"):
        read_calibration(tmp_path)
