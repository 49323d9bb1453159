"""Tests of significance by hand, and against counting all signs."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.metrics.significance import detectable_difference, fewest_differing, holm, permutation_test


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (4, 0, 2 / 16),  # 4 to 0: two of 2⁴ signs
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (5, 1, 2 * (1 + 6) / 64),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_solved_or_not_is_mcnemars_exact_test(wins: int, losses: int, p: float) -> None:
    assert permutation_test([1.0] * wins + [-1.0] * losses + [0.0] * 34) == pytest.approx(p)


@given(st.lists(st.sampled_from([-1.0, -2 / 3, -0.5, -1 / 3, 0.0, 1 / 3, 0.5, 2 / 3, 1.0]), max_size=9))
def test_shares_of_seeds_are_counted_by_all_their_signs(differences: list[float]) -> None:
    seen = abs(sum(differences))
    sums = [
        abs(sum(sign * one for sign, one in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    expected = sum(one >= seen - 1e-9 for one in sums) / len(sums)
    assert permutation_test(differences) == pytest.approx(expected)


def test_what_has_no_common_denominator_is_resampled() -> None:
    odd = [math.pi / 10, math.e / 10, math.sqrt(2) / 10, math.sqrt(3) / 10]
    assert permutation_test(odd) == pytest.approx(2 / 16, abs=0.01)
    assert permutation_test(odd, seed=1) == permutation_test(odd, seed=1)


@pytest.mark.parametrize(
    "differences",
    [
        [1 / 16, 1 / 625],  # of a common denominator of 10,000, the largest that is exact
        [1 / 1000, 2 / 1000],  # the finest fraction that is looked for
        [0.5, 1 / 3],
    ],
)
def test_fractions_are_exact_to_the_last_digit(differences: list[float]) -> None:
    assert permutation_test(differences) == 0.5  # two of four signs


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1 / 73, 1 / 137], 0.5),  # 73 · 137 = 10,001
        ([1 / 1001, 2 / 1001], 0.5),
        ([math.pi / 10, math.pi / 10], 0.5),  # near 71/226, and yet none
        ([0.5, math.pi / 10, math.e / 10], 0.25),  # one fraction makes no fractions of the others
    ],
)
def test_what_is_finer_is_resampled(differences: list[float], p: float) -> None:
    found = permutation_test(differences)
    assert found == pytest.approx(p, abs=0.005)
    assert found != p  # a share of 100,001


def test_the_sample_that_was_seen_is_one_of_the_draws() -> None:
    # every draw is as extreme as the one seen: 100,001 of 100,001, in one block of draws and in two
    assert permutation_test([math.pi / 10]) == 1.0
    assert permutation_test([math.pi, *[math.e * 1e-12] * 49]) == 1.0
    # none is: 1 of 100,001, and never 0
    assert permutation_test([math.pi / 10] * 50) == 1 / 100_001


def test_items_that_do_not_differ_say_nothing_and_the_seed_is_fixed() -> None:
    odd = [math.pi / 10, math.e / 10, -math.sqrt(2) / 10]
    assert permutation_test([0.0, *odd, 0.0]) == permutation_test(odd) == permutation_test(odd, seed=0)
    assert permutation_test(odd, seed=1) != permutation_test(odd)


def test_hundreds_of_problems_are_exact_too() -> None:
    # 60 to 40 of 1,000: P(|2·B(100, ½) − 100| ≥ 20)
    p = permutation_test([1.0] * 60 + [-1.0] * 40 + [0.0] * 900)
    assert p == pytest.approx(2 * sum(math.comb(100, k) for k in range(60, 101)) / 2**100)


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03: times 3, 2, 1 and never falling
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]  # 2 · 0.6, and never falling
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_what_a_run_could_show() -> None:
    assert fewest_differing() == 6  # 2 · 2⁻⁵ = 0.0625, 2 · 2⁻⁶ = 0.031
    # nothing differs among 40: still six of them would have to
    assert detectable_difference([0.0] * 40) == 6 / 40
    # half +1, half −1: s² = 400/399; (1.960 + 0.842) · s / √400
    wide = detectable_difference([1.0, -1.0] * 200)
    assert wide == pytest.approx(2.8016 * math.sqrt(400 / 399) / 20, rel=1e-3)
    assert detectable_difference([1.0]) == 1.0


def test_one_of_several_tests_can_show_less() -> None:
    # Holm's first step asks for 0.05 / 4: 2 · 2⁻⁷ = 0.0156 is too much, 2 · 2⁻⁸ = 0.0078 is not
    assert [fewest_differing(tests) for tests in (1, 2, 4, 24)] == [6, 7, 8, 10]
    assert detectable_difference([0.0] * 40, tests=4) == 8 / 40
    # (z of 1 − 0.05 / 8, 2.498, + 0.842) · s / √400
    wide = detectable_difference([1.0, -1.0] * 200, tests=4)
    assert wide == pytest.approx(3.3393 * math.sqrt(400 / 399) / 20, rel=1e-3)
