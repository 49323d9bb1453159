"""Calibration finds the temperature that was applied, and keeps the order."""

import math
import random

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import calibration_error, reliability
from o1coder_gym.metrics.calibration import Calibration, fit, sigmoid
from o1coder_gym.prm.metrics import auc


def drawn(temperature: float) -> tuple[list[float], list[float]]:
    """Logits that are too sure by a factor, and labels drawn from what they should have said."""
    generator = random.Random(0)
    logits = [generator.gauss(0, 2) * temperature for _ in range(4000)]
    return logits, [float(generator.random() < sigmoid(logit / temperature)) for logit in logits]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature: float) -> None:
    logits, labels = drawn(temperature)
    fitted = fit("temperature", logits, labels)
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)
    assert fitted(2.0) == pytest.approx(sigmoid(2.0 / fitted.temperature))


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_the_error_falls_and_the_order_stays(method: str) -> None:
    logits, labels = drawn(3.0)
    raw, fitted = Calibration(), fit(method, logits[:2000], labels[:2000])
    before, after = ([one(logit) for logit in logits[2000:]] for one in (raw, fitted))
    error = [calibration_error(reliability(scores, labels[2000:])) for scores in (before, after)]
    assert error[1] < 0.5 * error[0]
    assert auc(after, labels[2000:]) == pytest.approx(auc(before, labels[2000:]), abs=0.01)


def test_isotonic_pools_what_falls() -> None:
    # 1 → 0.0; 2 → 1.0 and 3 → 0.0 are pooled to 0.5; 4 → 1.0
    fitted = fit("isotonic", [1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0])
    assert fitted.scores == (0.0, 0.5, 0.5, 1.0)
    assert fitted(1.5) == 0.25
    assert (fitted(-9.0), fitted(9.0)) == (0.0, 1.0)


def test_none_is_the_sigmoid() -> None:
    assert fit("none", [1.0], [1.0]) == Calibration()
    assert Calibration()(0.0) == 0.5
    assert math.isfinite(Calibration()(-1e6))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="one of"):
        fit("platt", [1.0], [1.0])
    with pytest.raises(UsageError, match="needs examples"):
        fit("temperature", [], [])
