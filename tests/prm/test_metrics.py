"""Ranking, calibration and choice against numbers by hand and against plain re-computation."""

import math
import random
from itertools import combinations

import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import calibration_error, estimate, reliability
from o1coder_gym.prm.metrics import accuracy, auc, expected_best_of, pair_accuracy


def test_auc_by_hand() -> None:
    # good 0.9 and 0.4, bad 0.5 and 0.1: three of four pairs are in order
    assert auc([0.9, 0.4, 0.5, 0.1], [1, 1, 0, 0]) == 0.75
    assert auc([0.5, 0.5], [1, 0]) == 0.5
    assert auc([0.1, 0.9], [1, 0]) == 0.0
    assert math.isnan(auc([0.1, 0.9], [1, 1]))


def test_auc_is_the_share_of_pairs_in_order() -> None:
    generator = random.Random(0)
    scores = [round(generator.random(), 1) for _ in range(60)]
    labels = [generator.randrange(2) for _ in range(60)]
    pairs = [(s, t) for s, a in zip(scores, labels, strict=True) for t, b in zip(scores, labels, strict=True)
             if a > b]  # fmt: skip
    share = sum((s > t) + 0.5 * (s == t) for s, t in pairs) / len(pairs)
    assert auc(scores, labels) == pytest.approx(share)


def test_accuracies_by_hand() -> None:
    assert accuracy([0.9, 0.4, 0.5], [1, 1, 0]) == pytest.approx(2 / 3)
    assert pair_accuracy([0.9, 0.4, 0.5], [0.1, 0.6, 0.5]) == 0.5  # right, wrong, tie
    assert math.isnan(pair_accuracy([], []))


def test_calibration_error_by_hand() -> None:
    # bin [0.2, 0.3): scores 0.2 and 0.25, labels 0 and 1: |0.225 − 0.5| with weight 2/3
    # bin [0.9, 1]: score 1, label 1: no error, weight 1/3
    bins = reliability([0.2, 0.25, 1.0], [0, 1, 1])
    assert calibration_error(bins) == pytest.approx(2 / 3 * 0.275)
    assert math.isnan(calibration_error([]))
    assert [(one.score, one.target, one.count) for one in bins] == [(0.225, 0.5, 2), (1.0, 1.0, 1)]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_best_of_n_is_the_mean_over_all_draws(n: int) -> None:
    values = [0.0, 1.0, 0.5, 1.0, 0.25]
    scores = [0.3, 0.9, 0.3, 0.1, 0.6]
    draws = list(combinations(range(5), min(n, 5)))
    total = 0.0
    for draw in draws:
        best = max(scores[i] for i in draw)
        tied = [values[i] for i in draw if scores[i] == best]
        total += sum(tied) / len(tied)
    plain = total / len(draws)
    # a tie of two counts as their mean even where only one of them was drawn: equal by symmetry
    assert expected_best_of(values, scores, n) == pytest.approx(plain)


def test_choosing_blindly_is_the_mean() -> None:
    assert expected_best_of([0.0, 1.0, 1.0, 0.0], [0.5] * 4, 3) == pytest.approx(0.5)
    assert expected_best_of([0.2, 0.8], [0.1, 0.9], 1) == pytest.approx(0.5)
    with pytest.raises(UsageError):
        expected_best_of([], [], 3)


def test_intervals_draw_problems() -> None:
    values = [1.0] * 50 + [0.0] * 50
    one = estimate(
        {"a": range(50), "b": range(50, 100)}, lambda some: sum(values[i] for i in some) / len(some)
    )
    many = estimate({str(i): [i] for i in range(100)}, lambda some: sum(values[i] for i in some) / len(some))
    assert one.value == many.value == 0.5
    assert (one.low, one.high) == (0.0, 1.0), "two problems tell little, however many steps they have"
    assert 0.38 < many.low < 0.45 < 0.55 < many.high < 0.62
    empty = estimate({}, lambda some: 1.0)
    assert math.isnan(empty.value)
    assert empty.count == 0
