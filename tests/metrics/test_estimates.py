"""Intervals: by hand, and by how often they hold a truth that is known."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics.estimates import (
    FEW,
    ROUGH_LEGEND,
    Estimate,
    bootstrap_interval,
    estimate,
    estimate_difference,
    estimate_mean,
    estimate_share,
    independent_difference,
    paired_difference,
    wilson_interval,
)

RUNS = 2000
Draw = Callable[[np.random.Generator, int, int], tuple[NDArray[np.float64], float]]
"""(dice, problems, seeds) → the value of each problem, and the truth."""


def test_seeds_of_one_problem_are_no_further_trials() -> None:
    # 20 problems, 10 seeds that all say the same: 10 of 20, and not 100 of 200
    found = estimate_share([0.0, 1.0] * 10)
    assert (found.low, found.high) == pytest.approx(wilson_interval(10, 20))
    assert (found.low, found.high) == pytest.approx((0.30, 0.70), abs=0.005)
    # where seeds are coins, each problem comes out near 1/2, and much is known
    coins = estimate_share([0.4, 0.5, 0.6, 0.5] * 10)
    assert coins.high - coins.low < 0.06


def test_one_outcome_a_problem_has_the_interval_of_wilson() -> None:
    assert estimate_share([1.0] * 81 + [0.0] * 182).low == pytest.approx(wilson_interval(81, 263)[0])
    nothing = estimate_share([0.0] * 20)
    assert (nothing.low, nothing.high) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert estimate_share([1.0] * 29).low == pytest.approx(0.8830, abs=5e-5)


def test_weights_make_a_ratio() -> None:
    # (3 · 1 + 1 · 0) / 4; alone each problem would count 1/2
    found = estimate_share([1.0, 0.0], [3, 1])
    assert found.value == 0.75
    assert estimate_share([1.0, 0.0]).value == 0.5
    # equal weights are none; of whole shares, Wilson's spread is known and a ratio's is not
    values = [0.2, 0.9, 0.4, 0.1] * 10
    same, plain = estimate_share(values, [5] * 40), estimate_share(values)
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high))


def test_student_by_hand() -> None:
    # 1, 2, 3: s = 1, t(2, 0.975) = 4.3027, half = 4.3027 / √3
    found = estimate_mean([1.0, 2.0, 3.0])
    assert (found.low, found.high) == pytest.approx(
        (2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), 1e-4
    )


def test_the_rounding_of_a_mean_is_no_spread() -> None:
    # the mean of 60 times 20.1 is 20.100000000000005
    found = estimate_mean([20.1] * 60)
    assert found.value != 20.1
    assert found.rough


def test_differences_by_hand() -> None:
    # Bonett and Price 2012: (f12 + 1) / (n + 2) and (f21 + 1) / (n + 2), here 6 to 2 of 40
    gaps = [1.0] * 6 + [-1.0] * 2 + [0.0] * 32
    more, less, n = 7 / 42, 3 / 42, 42
    half = 1.959964 * math.sqrt((more + less - (more - less) ** 2) / n)
    found = estimate_difference(gaps)
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((more - less - half, more - less + half))
    assert not found.shown


def test_no_difference_is_not_known_exactly() -> None:
    found = estimate_difference([0.0] * 50)
    assert found.low < 0 < found.high
    assert found.rough
    steps = estimate_difference([0.1, -0.1] * 25)
    assert steps.high < 0.04  # the added problems differ by a seed's worth, 0.1


@pytest.mark.parametrize(
    ("degrees", "value"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (9, 2.26216), (29, 2.04523)]
)
def test_critical_values_are_those_of_the_tables(degrees: int, value: float) -> None:
    # the interval of a sample whose standard error is 1
    n = degrees + 1
    spread = math.sqrt(n * (n - 1) / 2)
    found = estimate_mean([spread, -spread, *[0.0] * (n - 2)])
    assert found.high == pytest.approx(value, rel=2e-3)


def test_critical_values_are_those_of_the_expansion() -> None:
    """To the last digit, for a wrong coefficient would hide in the 0.2 % that the expansion is off by."""
    found = [estimate_mean([0.0] * degrees + [float(degrees + 1)]).high - 1 for degrees in (3, 4, 9)]
    assert found == pytest.approx([3.178616995054061, 2.775582224236797, 2.262143575445635], rel=1e-9)


def wilson(share: float, trials: float, critical: float) -> tuple[float, float]:
    """Wilson's limits as the roots of (share − p)² = critical² p (1 − p) / trials."""
    a, b, c = 1 + critical**2 / trials, -(2 * share + critical**2 / trials), share**2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def test_trials_that_would_spread_as_the_problems_do() -> None:
    # variance of the mean of 0.2 and 0.6: 0.08 / (2 · 1), so 0.24 / 0.04 trials; t of one degree is 12.706
    found = estimate_share([0.2, 0.6])
    assert (found.low, found.high) == pytest.approx(wilson(0.4, 6, 12.7062), rel=1e-5)
    # without any spread: as many as problems weigh, 4² / (3² + 1²)
    alike = estimate_share([0.5, 0.5], [3, 1])
    assert (alike.low, alike.high) == pytest.approx(wilson(0.5, 1.6, 12.7062), rel=1e-5)


def test_differences_of_several_seeds_by_hand() -> None:
    # 50 gaps of ±0.1 and the two that are added: s = 0.1 · √(52 / 51), t(49) = 2.009575
    found = estimate_difference([0.1, -0.1] * 25)
    assert found.high == pytest.approx(2.009575 * 0.1 * math.sqrt(52 / 51) / math.sqrt(52), rel=1e-5)


def test_nothing_is_counted_as_nothing() -> None:
    nothing = estimate_share([])
    assert (nothing.count, nothing.rough, estimate_mean([7.0]).count) == (0, True, 1)
    assert Estimate(0.9, 0.8, 1.0, 50).percent() == "90.0 (80 to 100)"
    assert not Estimate(-0.5, -1.0, 0.0, 50).shown


def test_ends_stay_in_the_range() -> None:
    assert estimate_difference([1.0] * 3).high == 1.0
    assert estimate_difference([-1.0] * 3).low == -1.0
    assert (estimate_share([0.0] * 3).low, estimate_share([1.0] * 3).high) == (0.0, 1.0)
    assert estimate_share([0.0, 0.1]).low >= 0
    assert estimate_share([1.0, 0.9]).high <= 1


@pytest.mark.parametrize("make", [estimate_share, estimate_mean, estimate_difference])
def test_nothing_and_one_problem(make: Callable[[list[float]], Estimate]) -> None:
    assert math.isnan(make([]).value)
    one = make([0.5])
    assert (one.value, one.rough) == (0.5, True)
    assert not one.shown or one.low <= 0.5 <= one.high
    assert make([]).percent() == "–"


def test_what_a_handful_decides_is_rough() -> None:
    assert estimate_share([1.0] * 4 + [0.0] * 96).rough
    assert not estimate_share([1.0] * 40 + [0.0] * 60).rough
    assert estimate_share([1.0] * 14 + [0.0] * (FEW - 15)).rough
    assert estimate_difference([1.0, -1.0, 1.0] + [0.0] * 97).rough
    assert estimate_share([1.0] * 4 + [0.0] * 96).percent().endswith("~")
    assert FEW == 50
    assert ROUGH_LEGEND.startswith("~: rough, for there are fewer than 50 problems")


def test_the_edge_of_rough() -> None:
    assert estimate_share([0.0, 1.0] * 24 + [1.0]).rough  # 49 problems
    assert not estimate_share([0.0, 1.0] * 25).rough
    # the spread of m ones among many zeros comes from m problems
    assert estimate_difference([1.0] * 8 + [0.0] * 92).rough
    assert not estimate_difference([1.0] * 9 + [0.0] * 91).rough
    assert estimate_mean([3.0] * 50).rough  # no spread at all tells nothing of it


def test_an_interval_in_words() -> None:
    found = Estimate(0.4, 0.123, 0.767, 50)
    assert (found.percent(), found.ends) == ("40.0 (12 to 77)", "0.123 – 0.767")
    assert found.percent(0, "–") == "40 (12–77)"
    rough = Estimate(0.4, math.nan, math.nan, 1, rough=True)
    assert (rough.percent(), rough.ends) == ("40.0~", "–")
    assert Estimate(0.4, 0.1, 0.9, 5, rough=True).ends == "0.100 – 0.900~"
    assert [Estimate(0, *ends, 1).shown for ends in ((-1, 1), (0.1, 1), (-1, -0.1), (0, 1))] == [
        False, True, True, False,
    ]  # fmt: skip


def bernoulli(a: float, b: float) -> Draw:
    """Problems of every difficulty, Beta(a, b); seeds are independent given the problem."""

    def draw(dice: np.random.Generator, problems: int, seeds: int) -> tuple[NDArray[np.float64], float]:
        return dice.binomial(seeds, dice.beta(a, b, problems)) / seeds, a / (a + b)

    return draw


def paired(a: float, b: float, more: float) -> Draw:
    """Two agents on the same problems, one of which is better by `more` where there is room."""

    def draw(dice: np.random.Generator, problems: int, seeds: int) -> tuple[NDArray[np.float64], float]:
        chance = dice.beta(a, b, problems) * (1 - more)
        first, second = dice.binomial(seeds, chance + more), dice.binomial(seeds, chance)
        return (first - second) / seeds, more

    return draw


def coverage(make: Callable[..., Estimate], draw: Draw, problems: int, seeds: int) -> tuple[float, float]:
    """Returns how often an interval holds the truth, and how often it is rough."""
    dice = np.random.default_rng([problems, seeds])
    held = rough = 0
    for _ in range(RUNS):
        values, truth = draw(dice, problems, seeds)
        found = make(values)
        held += found.low <= truth <= found.high
        rough += found.rough
    return held / RUNS, rough / RUNS


SHARES = {"hard and easy": bernoulli(0.3, 0.3), "mixed": bernoulli(1.0, 2.0), "alike": bernoulli(40.0, 60.0)}
GAPS = {"equal": paired(0.5, 0.5, 0.0), "better": paired(1.0, 1.0, 0.1)}


@pytest.mark.parametrize("seeds", [1, 3, 10])
@pytest.mark.parametrize("problems", [2, 10, 50, 100, 500])
@pytest.mark.parametrize("truth", SHARES)
def test_intervals_of_shares_cover_or_say_that_they_are_rough(truth: str, problems: int, seeds: int) -> None:
    covered, rough = coverage(estimate_share, SHARES[truth], problems, seeds)
    assert 0.93 <= covered <= 0.97 or rough > 0.5
    assert (rough > 0.5) is (problems < FEW)


@pytest.mark.parametrize("seeds", [1, 10])
@pytest.mark.parametrize("problems", [2, 10, 50, 100, 500])
@pytest.mark.parametrize("truth", GAPS)
def test_intervals_of_differences_cover_or_say_that_they_are_rough(
    truth: str, problems: int, seeds: int
) -> None:
    covered, rough = coverage(estimate_difference, GAPS[truth], problems, seeds)
    assert 0.93 <= covered <= 0.97 or rough > 0.5
    assert (rough > 0.5) is (problems < FEW)


def test_intervals_of_ratios_cover() -> None:
    def draw(dice: np.random.Generator, problems: int, seeds: int) -> tuple[Any, float]:
        paths = dice.integers(1, 5, problems)
        return np.stack([dice.binomial(8 * paths, dice.beta(2, 2, problems)) / (8 * paths), 1.0 * paths]), 0.5

    covered, rough = coverage(lambda pair: estimate_share(*pair), draw, 60, 1)
    assert 0.93 <= covered <= 0.97
    assert rough < 0.01


def test_intervals_over_all_runs_do_not_cover() -> None:
    """The wrong unit, for comparison: Wilson over problems × seeds."""

    def over_runs(values: NDArray[np.float64]) -> Estimate:
        runs = 10 * len(values)
        return Estimate(float(values.mean()), *wilson_interval(round(10 * float(values.sum())), runs), runs)

    assert coverage(over_runs, bernoulli(0.3, 0.3), 20, 10)[0] < 0.65


def test_any_statistic_is_resampled_over_problems() -> None:
    dice = np.random.default_rng(0)
    levels = dice.normal(size=50)
    values = np.repeat(levels, 4)  # four examples of each problem that all say the same
    groups = {str(place): list(range(4 * place, 4 * place + 4)) for place in range(50)}
    found = estimate(groups, lambda some: float(values[list(some)].mean()))
    # Student's interval of 50 problems, up to the noise of 1,000 resamples; over examples it is half as wide
    expected = estimate_mean(levels)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.06)
    assert (found.count, found.rough) == (200, False)
    assert estimate(groups, lambda some: float(values[list(some)].mean())) == found


def test_a_biased_statistic_is_corrected() -> None:
    # resamples repeat examples, so their largest value is at most that of the sample, and mostly less
    values = np.arange(40.0)
    groups = {str(place): [place] for place in range(40)}
    found = estimate(groups, lambda some: float(values[list(some)].std()))
    plain = np.quantile([np.random.default_rng(run).choice(values, 40).std() for run in range(500)], [0.5])
    assert plain[0] < found.value < (found.low + found.high) / 2 + 0.5


def test_an_undefined_statistic_has_no_interval() -> None:
    found = estimate({"p": [0], "q": [1]}, lambda some: math.nan)
    assert math.isnan(found.value)
    alone = estimate({"p": [0, 1], "empty": []}, lambda some: 1.0)
    assert math.isnan(alone.low)
    assert alone.rough
    assert found.rough
    assert (estimate({}, lambda some: 1.0).count, estimate({}, lambda some: 1.0).rough) == (0, True)
    fifty = {str(place): [place] for place in range(50)}
    assert not estimate(fifty, lambda some: sum(some) / 50).rough
    sometimes = estimate({"p": [0], "q": [1]}, lambda some: 1.0 if len({*some}) == 2 else math.nan)
    assert (sometimes.low, sometimes.high) == (1.0, 1.0)


def resampled(groups: dict[str, list[int]], statistic: Callable[[list[int]], float]) -> tuple[float, float]:
    """The bootstrap of `estimate` in plain steps: 1,000 draws of problems, bias-corrected (Efron 1987)."""
    members, dice, drawn = list(groups.values()), np.random.default_rng(0), []
    whole = statistic([index for group in members for index in group])
    for _ in range(1000):
        places = dice.integers(len(members), size=len(members))
        drawn.append(statistic([index for place in places for index in members[place]]))
    below = (sum(one < whole for one in drawn) + sum(one == whole for one in drawn) / 2) / 1000
    bias = NormalDist().inv_cdf(min(max(below, 0.0005), 0.9995))
    n = len(members)
    t = (estimate_mean([0.0] * (n - 1) + [float(n)]).high - 1) * math.sqrt(n / (n - 1))
    tails = [NormalDist().cdf(2 * bias - t), NormalDist().cdf(2 * bias + t)]
    low, high = np.quantile(drawn, tails)
    return float(low), float(high)


VALUES = np.random.default_rng(3).exponential(size=60)
PAIRS = {str(place): [2 * place, 2 * place + 1] for place in range(30)}
STATISTICS: dict[str, Callable[[Sequence[int]], float]] = {
    "mean": lambda some: float(VALUES[list(some)].mean()),
    "with ties": lambda some: max(float(VALUES[list(some)].mean()), float(VALUES.mean())),  # half of them
    # a resample has fewer different examples than the sample, and all are positive
    "always below": lambda some: float(VALUES[sorted({*some})].sum()),
    "always above": lambda some: -float(VALUES[sorted({*some})].sum()),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_the_bootstrap_is_that_of_plain_steps(name: str) -> None:
    found = estimate(PAIRS, STATISTICS[name])
    assert (found.low, found.high) == pytest.approx(resampled(PAIRS, STATISTICS[name]), rel=1e-12)
    assert estimate(PAIRS, STATISTICS[name], seed=1) != found


def test_a_statistic_on_which_a_handful_decides_is_rough() -> None:
    """With the problems that have a success among a hundred, what is found of successes comes and goes."""
    hits = np.zeros(100)
    groups = {str(place): [place] for place in range(100)}

    def share(some: Sequence[int]) -> float:
        return float(hits[list(some)].mean())

    hits[:5] = 1
    assert estimate(groups, share, resamples=20).rough
    hits[:20] = 1
    assert not estimate(groups, share, resamples=20).rough
    # without one problem it is not defined at all
    alone = estimate(groups, lambda some: 1.0 if 0 in some else math.nan, resamples=20)
    assert (alone.value, alone.rough) == (1.0, True)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("make", [estimate_share, estimate_mean])
def test_equal_values_have_no_spread_that_rounding_could_make(
    make: Callable[[list[float]], Estimate], share: float
) -> None:
    """The mean of 60 times 0.1 is not 0.1 in its last digit: the interval would have no width."""
    found = make([share] * 60)
    assert found.rough
    if make is estimate_share:
        assert (found.low, found.high) == pytest.approx(wilson(share, 60, 2.000995), rel=1e-5)


def binomial(n: int, p: float) -> NDArray[np.float64]:
    logs = np.cumsum(np.log(np.concatenate([[1.0], np.arange(1, n + 1)])))
    k = np.arange(n + 1)
    return np.exp(logs[n] - logs[k] - logs[n - k] + k * math.log(p) + (n - k) * math.log1p(-p))


@pytest.mark.parametrize("problems", [50, 55, 64, 80, 100, 128, 164, 200, 257, 500])
def test_shares_of_solved_problems_cover_exactly(problems: int) -> None:
    """By sums of the binomial distribution, for every share: 93 to 97 %, or mostly marked as rough."""
    found = [estimate_share([1.0] * k + [0.0] * (problems - k)) for k in range(problems + 1)]
    low, high = np.asarray([one.low for one in found]), np.asarray([one.high for one in found])
    rough = np.asarray([one.rough for one in found])
    for share in np.linspace(0.01, 0.99, 197):
        chance = binomial(problems, float(share))
        covered = float(chance[(low <= share) & (share <= high)].sum())
        assert 0.93 <= covered <= 0.97 or chance[rough].sum() > 0.5, share


def test_pairs_are_compared_item_by_item() -> None:
    a, b = {"q": 1.0, "p": 0.0, "r": 1.0}, {"p": 1.0, "q": 0.0, "r": 0.0}
    assert paired_difference(a, b) == estimate_difference([-1.0, 1.0, 1.0])
    with pytest.raises(UsageError) as refused:
        paired_difference({"a": 1.0, "b": 1.0}, {"d": 0.0, "c": 1.0})
    told = "paired results need the same items, at least one; only on one side: ['a', 'b', 'c']"
    assert str(refused.value) == told
    with pytest.raises(UsageError):
        paired_difference({}, {})


def test_no_difference_at_all_by_hand() -> None:
    # 50 zeros, one problem for either side: √(2 / 52) / √52
    found = estimate_difference([0.0] * 50)
    assert found.high == pytest.approx(1.959964 * math.sqrt(2) / 52, rel=1e-6)


@pytest.mark.parametrize(("successes", "total"), [(-1, 5), (6, 5)])
def test_rates_above_one_are_refused(successes: int, total: int) -> None:
    with pytest.raises(UsageError, match=f"^got {successes} successes of {total} trials$"):
        wilson_interval(successes, total)


@pytest.mark.parametrize("total", range(1, 40))
def test_nothing_and_everything_end_at_the_edge(total: int) -> None:
    assert (wilson_interval(0, total)[0], wilson_interval(total, total)[1]) == (0.0, 1.0)


def test_the_percentile_bootstrap_is_that_of_plain_steps() -> None:
    values = np.random.default_rng(5).normal(size=40)
    for resamples, seed, confidence in ((10_000, 0, 0.95), (501, 2, 0.8)):
        drawn = np.random.default_rng(seed).integers(40, size=(resamples, 40))
        tail = (1 - confidence) / 2
        expected = np.quantile(values[drawn].mean(axis=1), [tail, 1 - tail])
        given = (
            {} if resamples == 10_000 else {"resamples": resamples, "seed": seed, "confidence": confidence}
        )
        assert bootstrap_interval(values.tolist(), **given) == pytest.approx(tuple(expected), rel=1e-12)
    with pytest.raises(UsageError, match=r"^a bootstrap interval needs at least one value$"):
        bootstrap_interval([])


def test_the_percentile_bootstrap_goes_in_blocks() -> None:
    # 4,000,000 // 1,500,000 = 2 resamples a block, 5 in all: the last block has one
    values = np.zeros(1_500_000)
    values[:1000] = 1.0
    dice = np.random.default_rng(0)
    means = [values[dice.integers(len(values), size=(rows, len(values)))].mean(axis=1) for rows in (2, 2, 1)]
    expected = np.quantile(np.concatenate(means), [0.025, 0.975])
    assert bootstrap_interval(values, resamples=5) == pytest.approx(tuple(expected), rel=1e-12)  # pyright: ignore


def test_a_difference_of_other_problems_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80, and 9 of 10 against 3 of 10.
    for (a, m), (b, n), low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
    ):
        first, second = ([1.0] * count + [0.0] * (total - count) for count, total in ((a, m), (b, n)))
        found = independent_difference(estimate_share(first), estimate_share(second))
        assert (found.value, found.count) == (pytest.approx(a / m - b / n), min(m, n))
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert math.isnan(independent_difference(Estimate(0.5, math.nan, math.nan, 1), found).low)
