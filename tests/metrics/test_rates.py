import math
from itertools import combinations

import numpy as np
import pytest

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import (
    area_under_curve,
    average_sampling_pass_rate,
    bootstrap_interval,
    estimate_pass_at_k,
    generation_flops,
    paired_difference,
    pass_at_k,
    wilson_interval,
)


def test_pass_at_k_by_hand() -> None:
    # n = 5, c = 2, k = 2: 1 − C(3, 2) / C(5, 2) = 1 − 3 / 10
    assert pass_at_k(5, 2, 2) == pytest.approx(0.7)
    assert pass_at_k(5, 2, 1) == pytest.approx(0.4)
    assert pass_at_k(5, 0, 3) == 0.0
    # any 4 of 5 samples include one of the 2 that pass
    assert pass_at_k(5, 2, 4) == 1.0


@pytest.mark.parametrize(("n", "c"), [(6, 0), (6, 1), (6, 4), (6, 6)])
def test_pass_at_k_equals_the_share_of_subsets(n: int, c: int) -> None:
    for k in range(1, n + 1):
        subsets = list(combinations(range(n), k))
        share = sum(any(i < c for i in subset) for subset in subsets) / len(subsets)
        assert pass_at_k(n, c, k) == pytest.approx(share)


def test_pass_at_k_is_stable_for_many_samples() -> None:
    # C(100000, 50000) overflows a float; the product does not
    assert 0.99 < pass_at_k(100_000, 10, 50_000) < 1.0
    # k = 1 is the plain rate
    assert pass_at_k(100_000, 7, 1) == pytest.approx(7e-5, rel=1e-9)


def test_the_interval_of_pass_at_k_is_over_problems() -> None:
    # pass@2 of the two kinds of problem is 0.7 and 0, half and half: mean 0.35, and the spread of the mean is
    # that of 0.7 times a binomial share, 0.35 ± 1.96 · 0.7 · √(0.25 / 100)
    found = estimate_pass_at_k([(5, 2), (5, 0)] * 50, 2)
    assert found.count == 100
    assert found.mean == pytest.approx(0.35)
    half = 1.96 * 0.7 * math.sqrt(0.25 / 100)
    assert (found.low, found.high) == pytest.approx((0.35 - half, 0.35 + half), abs=0.01)
    with pytest.raises(UsageError):
        estimate_pass_at_k([(5, 2), (1, 1)], 2)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 1, 6), (5, 1, 0)])
def test_pass_at_k_refuses_what_does_not_fit(n: int, c: int, k: int) -> None:
    with pytest.raises(UsageError) as told:
        pass_at_k(n, c, k)
    assert str(told.value) == f"pass@k needs 1 ≤ k ≤ n and 0 ≤ c ≤ n, got n={n}, c={c}, k={k}"


def test_pass_at_k_of_no_problem_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^pass@k needs at least one problem$"):
        estimate_pass_at_k([], 1)


def test_wilson_interval_by_hand() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 → 0.2553 to 0.3662; 15 of 148 → 0.0624 to 0.1605
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    # 0 of 20 → 0 to 0.1611; 29 of 29 → 0.8830 to 1
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(UsageError):
        wilson_interval(3, 2)


def test_bootstrap_of_a_constant_is_that_constant() -> None:
    assert bootstrap_interval([0.5] * 7) == (0.5, 0.5)


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400).tolist()
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    # mean ± 1.96 · s / √N, up to the noise of 10,000 resamples
    mean, half = np.mean(values), 1.96 * np.std(values) / math.sqrt(400)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.02)
    with pytest.raises(UsageError):
        bootstrap_interval([])


def test_bootstrap_in_blocks_covers_all_resamples() -> None:
    values = [0.0, 1.0] * 50_000
    low, high = bootstrap_interval(values, resamples=200)
    assert 0.49 < low < 0.5 < high < 0.51


def test_pairing_sees_what_the_means_hide() -> None:
    # b fails wherever a fails and on one problem in ten besides
    a = {f"p{i}": float(i % 2) for i in range(200)}
    b = {item: 0.0 if int(item[1:]) % 10 == 1 else value for item, value in a.items()}
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx(0.1)
    assert difference.count == 200
    assert difference.shown
    assert not paired_difference(a, a).shown


def test_pairing_needs_the_same_items() -> None:
    with pytest.raises(UsageError, match="'q'"):
        paired_difference({"p": 1.0}, {"p": 1.0, "q": 0.0})


def test_aspr_by_hand() -> None:
    # P has 3 paths; rates 1/2, 1, 0 → 0.5; one problem of the three has no passing path
    outcomes = {"p": [[True, False], [True, True]], "q": [[False, False]], "r": []}
    found = average_sampling_pass_rate(outcomes)
    assert (found.rate, found.samples, found.paths, found.solved) == (0.5, 2, 3, 2)


def test_aspr_is_over_paths_and_over_problems() -> None:
    # over problems it is (1/2 + 0) / 2 = 1/4; over the three paths it is (1 + 0 + 0) / 3
    outcomes = {"p": [[True], [False]], "q": [[False]]}
    found = average_sampling_pass_rate(outcomes)
    assert found.rate == found.per_path.value == pytest.approx(1 / 3)
    assert found.per_problem.value == pytest.approx(1 / 4)
    assert found.per_path.low < 1 / 4 < found.per_problem.high


def test_aspr_of_nothing_is_not_a_number() -> None:
    found = average_sampling_pass_rate({"p": []})
    assert math.isnan(found.rate)
    assert (found.samples, found.paths, found.solved) == (0, 0, 0)
    for paths, lengths in (([[True], [True, False]], "{1, 2}"), ([[]], "{0}")):
        with pytest.raises(UsageError) as told:
            average_sampling_pass_rate({"p": paths})
        assert str(told.value) == (
            f"ASPR needs the same number of samples, at least 1, for each path; got {lengths}"
        )


def test_area_by_hand() -> None:
    # two doublings: (0 + 0.2) / 2 and (0.2 + 0.4) / 2, each of weight 1/2
    assert area_under_curve([(256, 0.0), (1024, 0.4), (512, 0.2)]) == pytest.approx((0.1 + 0.3) / 2)
    # 100 → 1000 → 10,000 are equal steps of the logarithm; linear in tokens it would be 0.95
    assert area_under_curve([(100, 0.0), (1000, 1.0), (10_000, 1.0)]) == pytest.approx(0.75)
    assert area_under_curve([(7, 1.0), (512, 1.0), (600, 1.0)]) == pytest.approx(1.0)
    assert area_under_curve([(512, 0.3)]) == 0.3
    # several heights at one budget are one point, at their mean
    assert area_under_curve([(512, 0.2), (512, 0.4)]) == pytest.approx(0.3)
    assert area_under_curve([(512, 1.0), (256, 0.0), (256, 0.5), (512, 0.5)]) == pytest.approx(
        (0.25 + 0.75) / 2
    )
    assert area_under_curve([(7, 0.5)] * 3) == pytest.approx(0.5)
    assert area_under_curve([(0.5, 0.0), (1, 1.0)]) == pytest.approx(0.5)
    with pytest.raises(UsageError) as told:
        area_under_curve([(0, 1.0), (2, 1.0)])
    assert str(told.value) == "a curve needs finite budgets above 0, at least one; got [0.0, 2.0]"
    for points in ([], [(0, 1.0), (2, 1.0)], [(1, 0.5), (math.inf, 0.5)], [(math.nan, 0.5)]):
        with pytest.raises(UsageError):
            area_under_curve(points)


def test_flops_by_hand() -> None:
    # 0.5 billion weights, 1,000 tokens: 2 · 0.5e9 · 1e3
    assert generation_flops(500_000_000, 1000) == 1e12
