import io
import math

import pytest
from rich.console import Console

from o1coder_gym.metrics.estimates import UNDEFINED, Estimate
from o1coder_gym.reporting.tables.estimate_table import estimate_table, interval_text


def test_each_estimate_has_a_line_and_what_was_not_measured_says_so() -> None:
    estimates = {
        "kill rate": Estimate(0.9744, 0.951, 0.987, 77, rough=True),
        "one problem": Estimate(0.5, math.nan, math.nan, 1),
        "no number": Estimate(math.nan, math.nan, math.nan, 3),
        "no problem": UNDEFINED,
    }
    file = io.StringIO()
    Console(file=file, width=100).print(estimate_table(estimates, "mean", "problems", "mutation"))
    title, head, *lines = (line.split() for line in file.getvalue().splitlines())
    assert (title, head) == (["mutation"], ["mean", "95", "%", "interval", "problems"])
    assert lines[:4] == [
        ["kill", "rate", "0.974", "0.951", "–", "0.987~", "77"],
        ["one", "problem", "0.500", "–", "1"],
        ["no", "number", "–", "–", "3"],
        ["no", "problem", "not", "measured", "–", "0"],
    ]
    assert lines[4][:2] == ["~:", "rough,"]


@pytest.mark.parametrize(
    ("low", "high", "rough", "signed", "text"),
    [
        (0.12, 0.771, True, False, "12.0% – 77.1%~"),
        (0.12, 0.771, False, False, "12.0% – 77.1%"),
        (-0.05, 0.1, False, True, "-5.0% – +10.0%"),
    ],
)
def test_an_interval_is_marked_where_it_is_rough(
    low: float, high: float, rough: bool, signed: bool, text: str
) -> None:
    assert interval_text(low, high, rough=rough, signed=signed) == text
