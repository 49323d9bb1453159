from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.errors import UsageError
from o1coder_gym.runs.budget import SMALLEST_SAMPLE, Budget, Grant, Meter, ModelSizes
from o1coder_gym.types import Usage


@pytest.mark.parametrize("field", ["tokens", "calls", "executions", "seconds"])
def test_a_negative_limit_is_refused(field: str) -> None:
    limit: dict[str, Any] = {field: -1}
    with pytest.raises(UsageError, match=f"^budget: {field} must be at least 0, got -1$"):
        Budget(**limit)
    assert Budget(**{field: 0}) != Budget()


def test_a_nan_limit_is_refused() -> None:
    with pytest.raises(UsageError, match="seconds"):
        Budget(seconds=float("nan"))


def test_without_limits_everything_is_granted() -> None:
    meter = Meter(Budget())
    assert meter.reserve_samples(1000, 10**9) == Grant(1000, 10**9)
    assert meter.reserve_executions(10**6) == 10**6
    assert not meter.expired


def test_fewer_samples_come_before_shorter_ones() -> None:
    meter = Meter(Budget(tokens=1000))
    # 4 × 384 = 1536 does not fit, 2 × 384 = 768 does
    grant = meter.reserve_samples(4, 384)
    assert grant == Grant(2, 384)
    assert grant is not None
    # 232 are left, but what is reserved may come back, so nothing is shortened now
    assert meter.reserve_samples(1, 384) is None
    meter.settle_samples(grant, tokens=700, calls=2)
    # 300 are left for good: one short sample
    assert meter.reserve_samples(4, 384) == Grant(1, 300)


def test_a_sample_too_short_to_hold_an_action_is_refused() -> None:
    meter = Meter(Budget(tokens=SMALLEST_SAMPLE - 1))
    assert meter.reserve_samples(1, 384) is None
    assert Meter(Budget(tokens=SMALLEST_SAMPLE)).reserve_samples(1, 384) == Grant(1, SMALLEST_SAMPLE)
    assert SMALLEST_SAMPLE == 16
    assert Meter(Budget(tokens=9)).reserve_samples(1, 9) == Grant(1, 9)  # as long as was asked


def test_what_was_not_used_is_given_back() -> None:
    meter = Meter(Budget(tokens=400, calls=10))
    grant = meter.reserve_samples(1, 384)
    assert grant is not None
    meter.settle_samples(grant, tokens=16, calls=1)
    assert meter.reserve_samples(1, 384) == Grant(1, 384)


def test_calls_count_samples() -> None:
    meter = Meter(Budget(calls=3))
    assert meter.reserve_samples(2, 10) == Grant(2, 10)
    assert meter.reserve_samples(2, 10) == Grant(1, 10)
    assert meter.reserve_samples(1, 10) is None
    meter.settle_samples(Grant(2, 10), tokens=0, calls=0)
    assert meter.reserve_samples(3, 10) == Grant(2, 10)


def test_prompts_and_scores_cost_nothing_unless_told() -> None:
    meter = Meter(Budget(), clock=lambda: 0.0, sizes=ModelSizes(3, 5))
    meter.settle_samples(Grant(1, 10), tokens=2, calls=1)
    meter.settle_score(0)
    assert meter.usage == Usage(tokens=2, calls=1, scores=1, flops=12)


def test_executions_that_did_not_happen_are_given_back() -> None:
    meter = Meter(Budget(executions=2))
    assert meter.reserve_executions(3) == 2
    assert meter.reserve_executions(1) == 0
    meter.settle_executions(2, executions=1)
    assert meter.reserve_executions(3) == 1


def test_time_only_stops_new_requests() -> None:
    now = [100.0]
    meter = Meter(Budget(seconds=5.0), clock=lambda: now[0])
    now[0] = 104.9
    assert not meter.expired
    now[0] = 105.0
    assert meter.expired
    assert meter.usage == Usage(seconds=5.0)


def test_the_clock_goes_on_where_a_journal_says() -> None:
    now = [0.0]
    meter = Meter(Budget(seconds=5.0), clock=lambda: now[0])
    meter.resume_at(4.0)
    assert meter.seconds == 4.0
    now[0] = 1.0
    meter.resume_at(2.0)
    assert meter.seconds == 5.0


def test_a_row_has_what_earlier_versions_wrote_and_what_is_limited() -> None:
    earlier = {"tokens": 5, "calls": None, "executions": None, "seconds": None}
    assert Budget(tokens=5).to_row() == earlier
    assert Budget(tokens=5, flops=2.5).to_row() == {**earlier, "flops": 2.5}
    assert Budget(tokens=5, seconds=1.0, scorer_tokens=0).units == ("tokens", "scorer_tokens")


def test_flops_are_two_a_weight_and_token() -> None:
    # 2 · (3 · 7 + 5 · 2)
    assert ModelSizes(3, 5).flops(7, 2) == 62
    assert ModelSizes(3).flops(7, 2) == 42
    assert ModelSizes().flops(7) == 0
    for sizes in (ModelSizes(), ModelSizes(0)):
        with pytest.raises(UsageError) as told:
            Meter(Budget(flops=1.0), sizes=sizes)
        assert str(told.value) == (
            "a budget of FLOPs needs the number of the policy's weights, which is unknown"
        )


def spent(budget: Budget) -> Meter:
    """A meter on which 12 tokens, 2 calls, an execution, a prompt, a score and a retry are booked."""
    meter = Meter(budget, clock=lambda: 0.0, sizes=ModelSizes(3, 5))
    grant = meter.reserve_samples(2, 10)
    assert grant is not None
    meter.settle_samples(grant, tokens=12, calls=2, prompt_tokens=4, cached_tokens=6)
    meter.settle_executions(meter.reserve_executions(1), executions=1)
    granted = meter.reserve_score()
    assert granted is not None
    meter.settle_score(granted, tokens=7)
    meter.count_retry()
    return meter


def test_all_that_is_spent_is_booked() -> None:
    # 2 · (3 · (12 + 4) + 5 · 7) = 166
    assert spent(Budget()).usage == Usage(
        tokens=12, prompt_tokens=4, cached_tokens=6, calls=2, executions=1, scores=1, retries=1,
        scorer_tokens=7, flops=166,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "paid"),
    [
        (Budget(), 13),
        (Budget(seconds=9.0), 13),
        (Budget(calls=9), 2),
        (Budget(tokens=99, flops=999.0), 178),
        (Budget(scorer_tokens=9, prompt_tokens=9), 11),
    ],
)
def test_payments_are_those_towards_a_limit(budget: Budget, paid: int) -> None:
    assert spent(budget).paid == paid


@pytest.mark.parametrize(("tokens", "overdrawn"), [(20, False), (21, True)])
def test_a_server_that_ignores_its_limit_overdraws(tokens: int, overdrawn: bool) -> None:
    for budget, told in ((Budget(tokens=20), overdrawn), (Budget(calls=1), False)):
        meter = Meter(budget)
        grant = meter.reserve_samples(1, 20)
        assert grant is not None
        meter.settle_samples(grant, tokens, 1)
        assert meter.overdrawn is told


def sampled(meter: Meter, tokens: int, prompt_tokens: int) -> None:
    """Spends one request."""
    grant = meter.reserve_samples(1, max(tokens, 1))
    assert grant is not None
    meter.settle_samples(grant, tokens, 1, prompt_tokens=prompt_tokens)


def test_a_prompt_reserves_what_it_costs_at_least() -> None:
    meter = Meter(Budget(prompt_tokens=33))
    first = meter.reserve_samples(1, 10)  # how long prompts are is not known yet
    assert first == Grant(1, 10, 0)
    assert first is not None
    meter.settle_samples(first, 10, 1, prompt_tokens=30)
    # 3 are left: three more that cost a token each, whatever the longest cost
    assert [meter.reserve_samples(1, 10, 1) for _ in range(4)] == [Grant(1, 10, 1)] * 3 + [None]
    assert meter.reserve_samples(2, 10) == Grant(2, 10, 0)  # behind a prompt that is paid
    assert meter.owed == 0
    meter.settle_samples(Grant(1, 10, 1), 10, 1, prompt_tokens=4)
    assert meter.owed == float("inf")
    assert Meter(Budget(prompt_tokens=0)).reserve_samples(1, 10) is None
    assert Meter(Budget(prompt_tokens=1)).reserve_samples(1, 10) == Grant(1, 10, 0)


def test_flops_limit_tokens_behind_the_prompt() -> None:
    # two weights: 4 FLOPs a token, so 400 are 100 tokens
    meter = Meter(Budget(flops=400.0), sizes=ModelSizes(2))
    first = meter.reserve_samples(3, 40)
    assert first == Grant(2, 40, 0)
    assert first is not None
    meter.settle_samples(first, 50, 2, prompt_tokens=10)
    # 40 tokens are left, one of them for the prompt
    assert meter.reserve_samples(3, 15, 1) == Grant(2, 15, 1)
    assert meter.reserve_samples(1, 15, 1) is None
    meter = Meter(Budget(flops=400.0), sizes=ModelSizes(2))
    sampled(meter, 10, 10)
    # 80 tokens are left: 10 and a token of a prompt are away, one more for this one's prompt, so 68
    assert meter.reserve_samples(1, 10, 1) == Grant(1, 10, 1)
    assert meter.reserve_samples(9, 25, 1) == Grant(2, 25, 1)
    meter = Meter(Budget(flops=400.0), sizes=ModelSizes(2))
    sampled(meter, 50, 10)
    sampled(meter, 30, 10)
    assert (meter.usage.flops, meter.reserve_samples(1, 1)) == (400, None)
    assert Meter(Budget(tokens=20, flops=400.0), sizes=ModelSizes(2)).reserve_samples(1, 40) == Grant(1, 20)
    assert Meter(Budget(tokens=200, flops=80.0), sizes=ModelSizes(2)).reserve_samples(1, 40) == Grant(1, 20)
    endless = Meter(Budget(flops=float("inf")), sizes=ModelSizes(2))
    assert endless.reserve_samples(3, 10**9) == Grant(3, 10**9)


def test_flops_are_spent_to_the_last_token() -> None:
    meter = Meter(Budget(flops=100.0), sizes=ModelSizes(2))
    sampled(meter, 5, 15)  # 80
    assert meter.reserve_samples(1, 384, 5) is None
    last = meter.reserve_samples(2, 384, 1)
    assert last == Grant(1, 4, 1)
    assert last is not None
    meter.settle_samples(last, 4, 1, prompt_tokens=3)  # 108
    assert meter.owed == 2
    assert meter.reserve_samples(1, 384) is None


def test_nothing_is_shortened_while_a_score_is_away() -> None:
    meter = Meter(Budget(flops=400.0), sizes=ModelSizes(2, 5))
    granted = meter.reserve_score()
    assert granted == 0
    assert meter.reserve_samples(1, 384) is None
    meter.settle_score(granted, tokens=8)
    assert meter.reserve_samples(1, 384) == Grant(1, 80)
    by_tokens = Meter(Budget(tokens=80), sizes=ModelSizes(2, 5))  # which no score spends
    assert by_tokens.reserve_score() == 0
    assert by_tokens.reserve_samples(1, 384) == Grant(1, 80)


def test_what_is_away_to_the_scorer_is_taken_from_the_flops_of_the_policy() -> None:
    meter = Meter(Budget(flops=400.0), sizes=ModelSizes(2, 5))
    meter.settle_score(meter.reserve_score() or 0, tokens=8)  # 80
    assert meter.reserve_score() == 8
    # 400 − 80 − 80 are 60 tokens of the policy
    assert meter.reserve_samples(3, 25) == Grant(2, 25)


def test_a_score_reserves_the_tokens_of_the_longest_so_far() -> None:
    meter = Meter(Budget(scorer_tokens=24))
    assert meter.reserve_score() == 0
    assert meter.reserve_score() is None
    meter.settle_score(0, tokens=8)
    assert [meter.reserve_score() for _ in range(3)] == [8, 8, None]
    meter.settle_score(8, tokens=6)
    assert meter.reserve_score() is None  # 2 are left
    meter.settle_score(8, tokens=6)
    assert meter.reserve_score() is None  # 4 are left
    assert meter.reserve_score(4) == 4  # a replay knows what it costs
    assert meter.reserve_score(1) is None
    assert Meter(Budget(scorer_tokens=0)).reserve_score() is None
    assert Meter(Budget(scorer_tokens=1)).reserve_score() == 0


def test_a_score_alone_reserves_the_tokens_of_the_shortest_so_far() -> None:
    meter = Meter(Budget(scorer_tokens=24))
    for tokens in (10, 7):
        granted = meter.reserve_score()
        assert granted is not None
        meter.settle_score(granted, tokens)
    assert meter.reserve_score() == 7  # 7 are left, and the longest had 10
    assert meter.owed == 0
    meter.settle_score(7, tokens=8)
    assert meter.owed == float("inf")


def test_scores_are_paid_in_flops_where_these_are_limited() -> None:
    def scored(flops: float, tokens: int, scorer: int = 5) -> list[int | None]:
        meter = Meter(Budget(flops=flops), sizes=ModelSizes(1, scorer))
        first = meter.reserve_score()
        if first is None:
            return [None]
        meter.settle_score(first, tokens)
        return [first, meter.reserve_score()]

    # 10 a token
    assert scored(9.0, 0) == [None]
    assert scored(10.0, 0) == [0, 0]
    assert scored(160.0, 8) == [0, 8]
    assert scored(159.0, 8) == [0, None]
    assert scored(0.0, 8, scorer=0) == [0, 8]  # a scorer without weights costs nothing
    unlimited = Meter(Budget())
    assert [unlimited.reserve_score() for _ in range(3)] == [0, 0, 0]


request = st.tuples(st.integers(1, 6), st.integers(1, 400), st.floats(0, 1), st.booleans())


@given(
    tokens=st.integers(0, 2000),
    calls=st.integers(0, 30),
    executions=st.integers(0, 10),
    requests=st.lists(request, max_size=40),
)
def test_a_limit_is_never_exceeded(
    tokens: int, calls: int, executions: int, requests: list[tuple[int, int, float, bool]]
) -> None:
    meter = Meter(Budget(tokens=tokens, calls=calls, executions=executions))
    away: list[tuple[Grant, float]] = []
    for n, max_tokens, share, settle_now in requests:
        granted = meter.reserve_executions(n)
        grant = meter.reserve_samples(n, max_tokens)
        if grant is not None:
            assert 1 <= grant.n <= n
            assert 1 <= grant.max_tokens <= max_tokens
            away.append((grant, share))
        meter.settle_executions(granted, executions=granted)
        if settle_now:
            for grant, share in away:
                meter.settle_samples(grant, round(share * grant.n * grant.max_tokens), grant.n)
            away = []
    for grant, share in away:
        meter.settle_samples(grant, round(share * grant.n * grant.max_tokens), grant.n)
    assert meter.usage.tokens <= tokens
    assert meter.usage.calls <= calls
    assert meter.usage.executions <= executions
