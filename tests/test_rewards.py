"""Rewards by hand; each wrong setting is shown to give the wrong number."""

import math
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym import rewards
from o1coder_gym.errors import PluginError, UnknownNameError, UsageError
from o1coder_gym.rewards import Evidence, Reward, RewardConstants
from o1coder_gym.types import ActionType, CaseResult, Outcome, State, Step, Transition, Verdict


def verdict(*outcomes: Outcome) -> Verdict:
    """A verdict whose tests ended so; the whole is the first that is not a pass."""
    failures = [outcome for outcome in outcomes if outcome is not Outcome.PASS]
    return Verdict(failures[0] if failures else Outcome.PASS, tuple(CaseResult(one) for one in outcomes))


PASS = verdict(Outcome.PASS, Outcome.PASS)
HALF = verdict(Outcome.PASS, Outcome.WRONG_ANSWER)
BROKEN = verdict(Outcome.COMPILE_ERROR, Outcome.COMPILE_ERROR)
FAILED_JUDGE = verdict(Outcome.INFRASTRUCTURE, Outcome.INFRASTRUCTURE)


@pytest.mark.parametrize(
    ("result", "alpha_compile", "value"),
    [
        (PASS, 0.0, 1.0),
        (PASS, 0.2, 1.0),  # 0.2·1 + 0.8·1
        (HALF, 0.0, 0.5),
        (HALF, 0.2, 0.6),  # 0.2·1 + 0.8·0.5
        (BROKEN, 0.2, 0.0),
        (verdict(Outcome.TIMEOUT), 0.2, 0.2),  # it compiles
    ],
)
def test_terminal_value(result: Verdict, alpha_compile: float, value: float) -> None:
    assert rewards.terminal_value(result, alpha_compile) == pytest.approx(value)


def test_an_infrastructure_failure_has_no_value() -> None:
    assert math.isnan(rewards.terminal_value(FAILED_JUDGE))
    assert math.isnan(rewards.outcome_reward(FAILED_JUDGE))
    evidence = Evidence((0.5,), FAILED_JUDGE)
    for mode in rewards.REWARDS:
        assert math.isnan(rewards.load_reward(mode)(evidence).value)


def test_without_tests_a_program_has_no_value_and_is_paid_nothing() -> None:
    untested = Verdict(Outcome.PASS)
    assert math.isnan(rewards.terminal_value(untested))
    assert math.isnan(rewards.outcome_reward(untested))
    assert math.isnan(rewards.fractional_outcome(untested))
    for mode in ("outcome", "phi", "phi_dense"):
        paid = rewards.load_reward(mode)(Evidence((0.0,), untested))
        assert paid.value == 0.0
        assert [name for name, term in paid.terms.items() if math.isnan(term)] == [
            "pass",
            "value",
            "outcome",
            "phi",
        ]


def test_without_tests_the_process_rewards_are_still_paid() -> None:
    process = (0.5, 1.0)  # (0.9·0.5 + 0.81·1)/2 = 0.63; before the last step 0.9·0.5 = 0.45
    evidence = Evidence(process, Verdict(Outcome.NO_TESTS))
    constants = RewardConstants(alpha=0.4)
    assert rewards.load_reward("process", constants)(evidence).value == 1.0
    assert rewards.load_reward("phi", constants)(evidence).value == pytest.approx(0.6 * 0.63)
    assert rewards.load_reward("phi_dense", constants)(evidence).value == pytest.approx(0.6 * (0.63 - 0.45))


def test_without_tests_no_failure_is_paid_more_than_a_program_that_loads() -> None:
    constants = RewardConstants(alpha_compile=0.2, tau_fail=0.1)
    for mode in rewards.REWARDS:
        pay = rewards.load_reward(mode, constants)
        crash, loads = (
            pay(Evidence((0.5,), Verdict(o))).value for o in (Outcome.RUNTIME_ERROR, Outcome.NO_TESTS)
        )
        assert loads == pytest.approx(crash)


@pytest.mark.parametrize("mode", rewards.REWARDS)
@pytest.mark.parametrize("outcome", [Outcome.UNSUPPORTED, Outcome.INFRASTRUCTURE])
def test_what_could_not_be_judged_is_masked(mode: str, outcome: Outcome) -> None:
    verdict = Verdict(outcome, (CaseResult(Outcome.PASS), CaseResult(outcome)))
    pay = rewards.load_reward(mode, RewardConstants(alpha_compile=0.2, tau_fail=0.1))
    assert math.isnan(pay(Evidence((0.5,), verdict)).value)
    assert math.isnan(rewards.terminal_value(verdict, 0.2))


def test_the_outcome_is_tau_and_not_a_fraction() -> None:
    assert rewards.outcome_reward(PASS, 0.9, 0.1) == 0.9
    assert rewards.outcome_reward(HALF, 0.9, 0.1) == 0.1
    assert rewards.outcome_reward(HALF, 0.9, 0.1) != HALF.pass_ratio
    assert rewards.outcome_reward(None, 0.9, 0.1) == 0.1
    assert [rewards.outcome_reward(result) for result in (PASS, HALF, None)] == [1.0, 0.0, 0.0]


def test_the_fractional_outcome_is_a_share_of_the_way_from_tau_fail_to_tau_pass() -> None:
    # 0.1 + (0.9 − 0.1)·½ = 0.5
    assert rewards.fractional_outcome(HALF, 0.9, 0.1) == pytest.approx(0.5)
    assert rewards.fractional_outcome(None, 0.9, 0.1) == 0.1
    assert [rewards.fractional_outcome(result) for result in (PASS, HALF, BROKEN, None)] == [
        1.0,
        0.5,
        0.0,
        0.0,
    ]


def test_only_the_share_of_passed_tests_counts_unless_told() -> None:
    assert rewards.terminal_value(HALF) == 0.5
    assert rewards.terminal_value(verdict(Outcome.TIMEOUT)) == 0.0  # though it compiles


def test_phi_by_hand() -> None:
    # α·R = 0.4·1; Σ γ^j r^j = 0.9·0.5 + 0.81·1.0 + 0.729·0.2 = 1.4058; (1 − 0.4)·1.4058/3 = 0.28116
    assert rewards.phi(1.0, (0.5, 1.0, 0.2), 0.4, 0.9) == pytest.approx(0.4 + 0.28116)


def test_an_exponent_from_zero_gives_the_wrong_number() -> None:
    process = (0.5, 1.0, 0.2)
    from_zero = 0.4 * 1.0 + 0.6 / 3 * sum(0.9**j * reward for j, reward in enumerate(process))
    assert from_zero == pytest.approx(0.4 + 0.3124)
    assert rewards.phi(1.0, process, 0.4, 0.9) == pytest.approx(0.4 + 0.9 * 0.3124)


def test_phi_without_and_with_one_step() -> None:
    assert rewards.phi(1.0, (), 0.4, 0.9) == pytest.approx(0.4)
    assert rewards.phi(0.0, (), 0.4, 0.9) == 0.0
    # 0.4·0 + 0.6·(0.9·0.5)/1
    assert rewards.phi(0.0, (0.5,), 0.4, 0.9) == pytest.approx(0.27)
    assert rewards.phi(0.0, (0.5,), 0.4, 0.0) == 0.0


def test_each_mode_pays_when_it_should() -> None:
    constants = RewardConstants(alpha_compile=0.2, alpha=0.4, gamma=0.9)
    paid = {
        mode: [
            rewards.load_reward(mode, constants)(evidence).value
            for evidence in (Evidence((0.5,)), Evidence((0.5, 1.0)), Evidence((0.5, 1.0, 0.2), HALF))
        ]
        for mode in rewards.REWARDS
    }
    assert paid["outcome"] == pytest.approx([0.0, 0.0, 0.6])
    assert paid["process"] == pytest.approx([0.5, 1.0, 0.2])
    assert paid["phi"] == pytest.approx([0.0, 0.0, 0.28116])
    # 0.6·0.45; 0.6·(0.45 + 0.81)/2 − 0.27 = 0.108; 0.28116 − 0.378
    assert paid["phi_dense"] == pytest.approx([0.27, 0.108, -0.09684])


unit = st.floats(0.0, 1.0)


@given(
    process=st.lists(unit, min_size=1, max_size=8),
    alpha=unit,
    gamma=unit,
    end=st.sampled_from([PASS, HALF, BROKEN, None]),
)
def test_phi_dense_sums_to_phi(process: list[float], alpha: float, gamma: float, end: Verdict | None) -> None:
    constants = RewardConstants(alpha=alpha, gamma=gamma, tau_fail=0.1)
    prefixes = [tuple(process[: t + 1]) for t in range(len(process))]
    chain = [*map(Evidence, prefixes[:-1]), Evidence(prefixes[-1], end, truncated=end is None)]
    total = sum(rewards.phi_dense(evidence, constants).value for evidence in chain)
    expected = rewards.phi(rewards.outcome_reward(end, 1.0, 0.1), process, alpha, gamma)
    assert total == pytest.approx(expected, abs=1e-12)
    assert rewards.phi_reward(chain[-1], constants).value == pytest.approx(expected)


@given(process=st.lists(unit, max_size=8), end=st.sampled_from([PASS, HALF, BROKEN, None]), alpha=unit)
def test_all_terms_are_always_there_and_bounded(
    process: list[float], end: Verdict | None, alpha: float
) -> None:
    evidence = Evidence(tuple(process), end)
    for mode in rewards.REWARDS:
        terms = rewards.load_reward(mode, RewardConstants(alpha=alpha))(evidence).terms
        assert set(terms) == {
            "compile",
            "pass",
            "value",
            "outcome",
            "process",
            "process_return",
            "alpha",
            "phi",
        }
        assert all(0.0 <= term <= 1.0 for term in terms.values())


def test_before_the_first_step_and_without_a_verdict_terms_are_zero() -> None:
    terms = rewards.reward_terms(Evidence(()), RewardConstants(alpha=0.4))
    assert terms == dict.fromkeys(terms, 0.0) | {"alpha": 0.4}


def test_a_reward_is_a_key_whatever_its_terms_are() -> None:
    assert hash(Reward(0.5, {"own": 0.2})) == hash(Reward(0.5, {}))


OWN = """
from o1coder_gym.rewards import Reward
def number(evidence): return 3
def shaped(evidence): return Reward(0.25, {"own": 0.5, "alpha": 0.0})
def none(evidence): return None
def nothing(evidence): return Reward(None)
def endless(evidence): return Reward(float("-inf"))
def broken(evidence): return {}["verdict"]
def unknown(evidence): return float("nan")
"""


def test_a_reward_of_ones_own_has_the_usual_terms_beside_its_own(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    constants = RewardConstants(alpha=0.4)
    evidence = Evidence((0.5,), HALF)
    usual = rewards.reward_terms(evidence, constants)
    assert rewards.load_reward(f"{file}:number", constants)(evidence) == Reward(3.0, usual)
    paid = rewards.load_reward(f"{file}:shaped", constants)(evidence)
    assert (paid.value, paid.terms) == (0.25, {**usual, "own": 0.5, "alpha": 0.0})
    assert math.isnan(rewards.load_reward(f"{file}:number")(Evidence((), FAILED_JUDGE)).value)
    assert rewards.load_reward(f"{file}:number")(Evidence((), Verdict(Outcome.NO_TESTS))).value == 3.0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none", "failed: TypeError: float"),
        ("nothing", "failed: TypeError: float"),
        ("endless", "returned -inf, not a finite number or NaN"),
        ("broken", "failed: KeyError: 'verdict'"),
    ],
)
def test_a_reward_of_ones_own_that_is_no_number_is_one_sentence(tmp_path: Path, name: str, told: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    with pytest.raises(PluginError, match=f"own.py:{name} {told}"):
        rewards.load_reward(f"{file}:{name}")(Evidence((0.5,), HALF))
    assert math.isnan(rewards.load_reward(f"{file}:unknown")(Evidence((0.5,), HALF)).value)


CODE = State("p", (Step(ActionType.CODE, "x = 1"),))


@pytest.mark.parametrize(
    ("judged", "reward", "value"),
    [
        (HALF, 0.0, 0.5),
        (BROKEN, 0.0, 0.0),
        (FAILED_JUDGE, 0.0, None),
        (Verdict(Outcome.NO_TESTS), 0.0, None),
        (None, 0.3, 0.0),  # it ended without code
        (None, math.nan, None),  # the budget could not pay for a verdict
    ],
)
def test_the_value_of_an_end(judged: Verdict | None, reward: float, value: float | None) -> None:
    assert rewards.end_value(Transition(CODE, reward, True, False, verdict=judged)) == value


def test_compiling_counts_at_an_end_where_it_is_told_to() -> None:
    end = Transition(CODE, 0.0, True, False, verdict=HALF)
    assert rewards.end_value(end, 0.2) == pytest.approx(0.6)


def test_ends_are_ranked_by_value_and_what_was_not_judged_by_why() -> None:
    assert rewards.standing(0.5, Outcome.WRONG_ANSWER) == 0.5
    assert rewards.standing(None, Outcome.INFRASTRUCTURE) == rewards.standing(None, None) == -1.0
    assert rewards.standing(None, Outcome.NO_TESTS) == rewards.standing(None, Outcome.UNSUPPORTED) == 1.0


@pytest.mark.parametrize(
    ("judged", "passes"),
    [
        (PASS, True),
        (verdict(Outcome.PASS), True),
        (HALF, False),
        (Verdict(Outcome.PASS), False),
        (None, False),
    ],
)
def test_an_end_passes_by_all_of_at_least_one_test(judged: Verdict | None, passes: bool) -> None:
    assert rewards.passes(Transition(CODE, 0.0, True, False, verdict=judged)) is passes


def test_a_truncated_chain_ends_with_tau_fail() -> None:
    constants = RewardConstants(alpha=0.4, tau_fail=0.1)
    assert rewards.phi_reward(Evidence((0.0,), None, truncated=True), constants).value == pytest.approx(0.04)
    assert rewards.sparse_outcome(Evidence((0.0,), None, truncated=True), constants).value == 0.0


def test_schedules_by_hand() -> None:
    assert rewards.constant(10**6, alpha=0.3) == 0.3
    fall = partial(rewards.linear, start=1.0, end=0.2, horizon=4)
    assert [fall(t) for t in (0, 1, 2, 4, 9)] == pytest.approx([1.0, 0.8, 0.6, 0.2, 0.2])
    log = partial(rewards.logarithmic, start=1.0, end=0.0, horizon=7)
    # ln 2 / ln 8 = 1/3 at t = 1, ln 4 / ln 8 = 2/3 at t = 3
    assert [log(t) for t in (0, 1, 3, 7, 50)] == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0, 0.0])


@given(t=st.integers(0, 1000))
def test_the_authors_schedule_is_linear(t: int) -> None:
    schedule = rewards.linear(t, start=1.0, end=0.1, horizon=90)
    assert schedule == pytest.approx(max(0.1, 1.0 - 0.01 * t))


def test_schedules_by_name() -> None:
    assert rewards.load_schedule("0.3")(7) == 0.3
    assert rewards.load_schedule("linear:1,0.1,90")(45) == pytest.approx(0.55)
    assert rewards.load_schedule("logarithmic:1,0,7")(1) == pytest.approx(2 / 3)
    for spec in ("steep:1,0,7", "linear:1,0", "linear:1,0,x", "half", "1.5", "linear:2,0,7", "linear:1,0,0"):
        with pytest.raises(UsageError):
            rewards.load_schedule(spec)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("linear:1,0", "schedule 'linear:1,0' is not linear:START,END,HORIZON"),
        ("logarithmic:1,0,7,8", "schedule 'logarithmic:1,0,7,8' is not logarithmic:START,END,HORIZON"),
    ],
)
def test_a_schedule_of_other_numbers_is_refused_with_its_form(spec: str, complaint: str) -> None:
    with pytest.raises(UsageError) as told:
        rewards.load_schedule(spec)
    assert str(told.value) == complaint


def test_schedules_are_also_named_with_arguments() -> None:
    assert rewards.load_schedule("linear?start=1&end=0.1&horizon=90")(45) == pytest.approx(0.55)
    assert rewards.linear(1, start=1.0, end=0.2, horizon=1) == pytest.approx(0.2)
    with pytest.raises(UsageError) as told:
        rewards.linear(0, start=1.0, end=0.0, horizon=0)
    assert str(told.value) == "a schedule needs t >= 0 and horizon >= 1, got t=0, horizon=0"


def test_constants_at_the_edge_are_allowed() -> None:
    assert RewardConstants(tau_pass=0.5, tau_fail=0.5).tau_fail == 0.5
    with pytest.raises(UsageError, match="alpha must lie in"):
        RewardConstants(alpha=-0.5)
    with pytest.raises(UsageError) as told:
        RewardConstants(tau_pass=0.2, tau_fail=0.5)
    assert str(told.value) == "tau_fail (0.5) must not be above tau_pass (0.2)"
    with pytest.raises(UnknownNameError, match="unknown reward mode 'sparse'"):
        rewards.load_reward("sparse")


def test_bad_constants_are_refused() -> None:
    with pytest.raises(UsageError, match="alpha must lie in"):
        RewardConstants(alpha=1.5)
    with pytest.raises(UsageError, match="gamma must lie in"):
        RewardConstants(gamma=math.nan)
    with pytest.raises(UsageError, match="tau_fail"):
        RewardConstants(tau_pass=0.2, tau_fail=0.5)
    with pytest.raises(UsageError, match="schedule"):
        rewards.linear(-1, start=1.0, end=0.0, horizon=5)
    with pytest.raises(UnknownNameError, match="phi_dense"):
        rewards.load_reward("phy")
