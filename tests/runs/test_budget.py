from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o1coder_gym.errors import UsageError
from o1coder_gym.runs.budget import SMALLEST_SAMPLE, Budget, Grant, Meter
from o1coder_gym.types import Usage


@pytest.mark.parametrize("field", ["tokens", "calls", "executions", "seconds"])
def test_a_negative_limit_is_refused(field: str) -> None:
    limit: dict[str, Any] = {field: -1}
    with pytest.raises(UsageError, match=field):
        Budget(**limit)


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
