"""Bins of scores by hand."""

import math

import numpy as np
import pytest

from o1coder_gym.metrics.reliability import by_score, calibration_error, reliability


def test_examples_are_grouped_into_ten_bins_of_equal_width() -> None:
    # 0.05 and 0.09 are in the first; 0.95 and 1 in the last; 0.1 begins the second
    scores, targets = [0.95, 0.05, 0.1, 0.09, 1.0], [1.0, 0.0, 1.0, 1.0, 0.0]
    assert [group.tolist() for group in by_score(np.array(scores))] == [[1, 3], [2], [0, 4]]
    found = reliability(scores, targets)
    assert [(one.score, one.target, one.count) for one in found] == [
        (pytest.approx(0.07), 0.5, 2), (0.1, 1.0, 1), (pytest.approx(0.975), 0.5, 2),
    ]  # fmt: skip
    assert [one.count for one in reliability(scores, targets, 2)] == [3, 2]
    # 2/5 · 0.43 + 1/5 · 0.9 + 2/5 · 0.475
    assert calibration_error(found) == pytest.approx(0.172 + 0.18 + 0.19)
    assert math.isnan(calibration_error([]))


@pytest.mark.parametrize(
    ("scores", "sizes"),
    [
        ([0.15, 0.19, 0.22], [2, 1]),  # tenths, unless said otherwise
        ([0.85, 0.95], [1, 1]),
        ([0.95, 1.0], [2]),  # 1 belongs to the last bin
        ([], []),
    ],
)
def test_scores_are_put_into_tenths(scores: list[float], sizes: list[int]) -> None:
    assert [one.count for one in reliability(scores, [1.0] * len(scores))] == sizes
    assert [len(one) for one in by_score(np.asarray(scores, float))] == sizes
