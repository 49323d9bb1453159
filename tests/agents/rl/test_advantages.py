"""Returns and advantages by hand; the tempting wrong ones give other numbers."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.agents.rl.advantages import STABILISER, divergence, step_advantages, step_returns
from o1coder_gym.rewards import Evidence, RewardConstants, phi, phi_dense
from o1coder_gym.types import CaseResult, Outcome, Verdict

PASS = Verdict(Outcome.PASS, (CaseResult(Outcome.PASS),))
FAIL = Verdict(Outcome.WRONG_ANSWER, (CaseResult(Outcome.WRONG_ANSWER),))


def test_returns_by_hand() -> None:
    # φ = 0.4·1 + 0.6·(0.45 + 0.81 + 0.1458)/3 = 0.68116
    # G_2 = φ − 0.6·0.45 = 0.41116, G_3 = φ − 0.6·(0.45 + 0.81)/2 = 0.30316
    assert step_returns(1.0, (0.5, 1.0, 0.2), 0.4, 0.9) == pytest.approx((0.68116, 0.41116, 0.30316))


def test_rewards_to_go_of_the_mean_are_other_numbers() -> None:
    # αR + (1 − α)/m Σ_{i≥t} γ^i r^i forgets that m depends on what comes: 0.4 + 0.2·(0.81 + 0.1458) = 0.59116
    assert step_returns(1.0, (0.5, 1.0, 0.2), 0.4, 0.9)[1] != pytest.approx(0.59116)


unit = st.floats(0.0, 1.0)


@given(
    process=st.lists(unit, min_size=1, max_size=6), alpha=unit, gamma=unit, end=st.sampled_from([PASS, FAIL])
)
def test_returns_are_the_sums_of_dense_rewards(
    process: list[float], alpha: float, gamma: float, end: Verdict
) -> None:
    constants = RewardConstants(alpha=alpha, gamma=gamma)
    outcome = float(end is PASS)
    paid = [
        phi_dense(Evidence(tuple(process[: t + 1]), end if t + 1 == len(process) else None), constants).value
        for t in range(len(process))
    ]
    returns = step_returns(outcome, process, alpha, gamma)
    assert returns == pytest.approx([sum(paid[t:]) for t in range(len(paid))], abs=1e-12)
    assert returns[0] == pytest.approx(phi(outcome, process, alpha, gamma))


def test_advantages_by_hand() -> None:
    # first steps 0.9, 0.5, 0.4: mean 0.6; second 0.6 and 0.2: mean 0.4; a third has no peer: φ, 0.5 less 0.6
    # all six: mean 29/60, Σ of squares 1.71, σ² = (1.71 − 6·(29/60)²) / 5 = 0.0616…
    scale = math.sqrt((1.71 - 6 * (29 / 60) ** 2) / 5) + STABILISER
    found = step_advantages([(0.9, 0.6), (0.5, 0.2, 0.3), (0.4,)], 3, gap=0.4)
    expected = [[0.3, 0.2], [-0.1, -0.2, -0.1], [-0.2]]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx([value / scale for value in wanted])


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_a_longer_episode_of_equal_reward_is_not_blamed_for_its_length(outcome: float) -> None:
    # γ = 1 and marks of 0.8: φ = R/2 + 0.4 at any length, G_2 = G_3 = … = R/2
    returns = [step_returns(outcome, (0.8,) * length, 0.5, 1.0) for length in (2, 2, 4)]
    assert returns[2] == pytest.approx((outcome / 2 + 0.4, *[outcome / 2] * 3))
    for row in step_advantages(returns, 3, gap=0.5):
        assert row == pytest.approx([0.0] * len(row))


def test_rewards_of_unknown_scale_have_no_floor() -> None:
    small = step_advantages([(0.01,), (0.03,)], 2, gap=0.0)
    assert small[1] == pytest.approx([0.01 / (0.02 / math.sqrt(2) + STABILISER)])
    assert step_advantages([(1.0,), (3.0,)], 2, gap=0.0)[1] == pytest.approx(small[1], abs=0.01)
    assert step_advantages([(0.01,), (0.03,)], 2, gap=0.5)[1][0] < 0.03


def test_without_process_rewards_and_at_equal_length_they_are_those_of_grpo() -> None:
    outcomes = (1.0, 0.0, 0.0, 1.0, 1.0)
    found = step_advantages([step_returns(outcome, (0.0,), 1.0, 0.9) for outcome in outcomes], 5)
    mean, sigma = 0.6, math.sqrt(0.3)  # (3·0.16 + 2·0.36) / 4
    for outcome, row in zip(outcomes, found, strict=True):
        assert row == pytest.approx([(outcome - mean) / (sigma + STABILISER)])


def test_an_episode_that_could_not_be_judged_neither_learns_nor_counts() -> None:
    with_failure = step_advantages([(1.0,), (math.nan, math.nan), (0.0,)], 3)
    assert with_failure[1] == [0.0, 0.0]
    assert [with_failure[0], with_failure[2]] == step_advantages([(1.0,), (0.0,)], 2)
    assert step_advantages([(math.nan,), ()], 2) == [[0.0], []]


def test_where_outcomes_are_equal_process_rewards_do_not_weigh_as_much_as_an_outcome() -> None:
    # φ: 0.9 and 0 in the one group, 0.01 and 0.03 in the other; mean 0.235, deviations as below; σ = 0.44 is
    # more than the floor 0.5/√2
    deviations = (0.665, 0.235, 0.225, 0.205)
    scale = math.sqrt(sum(deviation**2 for deviation in deviations) / 3) + STABILISER
    found = step_advantages([(0.9,), (0.0,), (0.01,), (0.03,)], 2, gap=0.5)
    assert [row[0] for row in found] == pytest.approx([value / scale for value in (0.45, -0.45, -0.01, 0.01)])
    # in units of its own σ the second group would be as far apart as the first
    assert abs(found[2][0]) < 0.05 * abs(found[0][0])


def test_a_batch_in_which_all_fail_is_measured_by_what_a_success_would_be_worth() -> None:
    # σ of these returns is 0.01, and over it the differences would be ±1; the floor is 0.5/√4 = 0.25
    found = step_advantages([(0.01,), (0.03,), (0.02,), (0.02,)], 4, gap=0.5)
    scale = 0.25 + STABILISER
    assert [row[0] for row in found] == pytest.approx([-0.01 / scale, 0.01 / scale, 0.0, 0.0])
    # a lone success stands as far out as in GRPO: (1 − 1/4)/√(1/4) = 1.5, a little less for the stabiliser
    lone = step_advantages([(0.5,), (0.0,), (0.0,), (0.0,)], 4, gap=0.5)
    assert lone[0][0] == pytest.approx(1.5, abs=1e-3)


def test_mirrored_episodes_of_one_return_do_not_explode() -> None:
    # γ = 1: (1, 0) and (0, 1) have the same φ; their second returns differ by 0.5
    returns = [step_returns(0.0, process, 0.5, 1.0) for process in ((1.0, 0.0), (0.0, 1.0))]
    assert returns == [pytest.approx((0.25, -0.25)), pytest.approx((0.25, 0.25))]
    found = step_advantages(returns, 2, gap=0.5)
    scale = 0.5 / math.sqrt(2) + STABILISER  # σ of (0.25, −0.25, 0.25, 0.25) is 0.25
    assert found == [pytest.approx([0.0, -0.25 / scale]), pytest.approx([0.0, 0.25 / scale])]
    only_process = step_advantages(returns, 2, gap=0.0)  # α = 0: σ = 0.25, and no floor
    assert only_process[1] == pytest.approx([0.0, 0.25 / (0.25 + STABILISER)])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("solved", [0.0, 0.02, 0.5, 1.0])
def test_no_advantage_leaves_its_bounds_and_noise_weighs_less_than_an_outcome(
    seed: int, solved: float
) -> None:
    draws = random.Random(seed)
    alpha, group = 0.5, 8
    outcomes = [float(draws.random() < solved) for _ in range(64)]
    returns = [
        step_returns(R, [0.5 + 0.02 * draws.gauss(0, 1) for _ in range(draws.randint(1, 8))], alpha, 0.9)
        for R in outcomes
    ]
    found = step_advantages(returns, group, alpha)
    assert all(abs(value) <= math.sqrt(group) for row in found for value in row)
    if len(set(outcomes)) == 1:  # longer chains have a smaller (1/m) Σ γ^j r^j, as in φ itself
        assert max(abs(value) for row in found for value in row) < 1.5


def test_a_success_is_worth_one_unless_told() -> None:
    returns = [(0.01,), (0.03,)]
    assert step_advantages(returns, 2)[1] == pytest.approx([0.01 / (1 / math.sqrt(2) + STABILISER)])


def test_a_lone_episode_is_its_own_mean() -> None:
    assert step_advantages([(0.7,)], 1) == [[0.0]]
    assert step_advantages([(math.nan, 0.2), (0.7, 0.3)], 2)[0] == [0.0, 0.0]  # its end was not judged


def test_divergence_is_the_smaller_of_rise_and_fall() -> None:
    # process 0.2 → 0.5 rises by 0.3, pass rate 0.6 → 0.5 falls by 0.1
    assert divergence([0.2, 0.2, 0.5, 0.5], [0.6, 0.6, 0.5, 0.5], window=2) == pytest.approx(0.1)
    assert divergence([0.2, 0.2, 0.25, 0.25], [0.6, 0.6, 0.3, 0.3], window=2) == pytest.approx(0.05)
    # what was before both windows is of no account
    process, verified = [0.9, 0.9, 0.2, 0.2, 0.5, 0.5], [0.1, 0.1, 0.6, 0.6, 0.5, 0.5]
    assert divergence(process, verified, window=2) == pytest.approx(0.1)
    assert divergence([0.2, 0.5, 0.5], [0.9, 0.1, 0.1], window=2) == 0.0  # one update less than two windows
    assert divergence([0.2] * 10 + [0.5] * 10, [0.6] * 10 + [0.5] * 10) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="shorter"):
        divergence([0.2, 0.2, 0.5], [0.6, 0.5], window=1)
    assert divergence([0.2, 0.2, 0.5, 0.5], [0.5, 0.5, 0.6, 0.6], window=2) == 0.0
    assert divergence([0.2, 0.5], [0.6, 0.5], window=2) == 0.0
    nan = math.nan
    assert divergence([0.2, nan, 0.2, 0.5, 0.5], [0.6, 0.6, 0.6, 0.5, 0.5], window=2) == pytest.approx(0.1)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_the_scale_of_rewards_does_not_overflow(scale: float) -> None:
    found = step_advantages([[scale], [-scale], [0.0], [0.0]], 4, 0.0)
    one, half = math.sqrt(1.5), 0.0
    wanted = [[one], [-one], [half], [half]] if scale > 1 else [[0.0]] * 4  # far below the stabiliser
    assert [value for (value,) in found] == pytest.approx([value for (value,) in wanted])
