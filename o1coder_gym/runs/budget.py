"""Budgets and their accounting: tokens, calls, executions, seconds.

A request reserves its worst-case cost before it is sent and is settled at its actual cost when it returns, so
a limit is never exceeded, not by one token. There are two exceptions: time passes while a request is in
flight, so a limit of seconds only stops new requests; and a server that ignores ``max_tokens`` can overdraw
the budget, in which case its tokens are booked and nothing more is granted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

from o1coder_gym.errors import UsageError
from o1coder_gym.types import Usage

SMALLEST_SAMPLE = 16
"""Shortest sample, in tokens, that is worth granting; no action fits into fewer."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one agent on one problem; None means unlimited.

    Attributes:
        tokens: Generated tokens, ≥ 0.
        calls: Actions sampled, ≥ 0; a request for n actions counts n.
        executions: Programs judged, ≥ 0.
        seconds: Wall-clock seconds after which no new request is sent, ≥ 0.
    """

    tokens: int | None = None
    calls: int | None = None
    executions: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a negative limit."""
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit >= 0:
                raise UsageError(f"budget: {field.name} must be at least 0, got {limit}")


UNLIMITED = Budget()
"""No limit at all."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The largest cost allowed to one request: `n` samples of `max_tokens` tokens each."""

    n: int
    max_tokens: int


class Meter:
    """Accounts for what one agent spends of its budget. Mutable; used by one thread.

    Every grant from `reserve_samples` or `reserve_executions` must be settled exactly once.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the clock.

        Args:
            budget: The limits.
            clock: Monotonic seconds.
        """
        self.budget = budget
        self._clock = clock
        self._started = clock()
        self._tokens = self._calls = self._executions = 0
        self._prompt_tokens = self._cached_tokens = self._scores = self._retries = 0
        self._reserved_tokens = self._reserved_calls = self._reserved_executions = 0

    @property
    def usage(self) -> Usage:
        """Settled costs so far, and the seconds since the start."""
        return Usage(
            tokens=self._tokens,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            calls=self._calls,
            executions=self._executions,
            seconds=self.seconds,
            scores=self._scores,
            retries=self._retries,
        )

    @property
    def paid(self) -> int:
        """Units spent of limited resources; tokens and executions if nothing is limited. Never decreases."""
        limits = self.budget
        if limits.tokens is None and limits.calls is None and limits.executions is None:
            return self._tokens + self._executions
        return (
            self._tokens * (limits.tokens is not None)
            + self._calls * (limits.calls is not None)
            + self._executions * (limits.executions is not None)
        )

    @property
    def overdrawn(self) -> bool:
        """Whether more tokens were generated than the budget allows."""
        return self.budget.tokens is not None and self._tokens > self.budget.tokens

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def expired(self) -> bool:
        """Whether the time limit has passed."""
        return self.budget.seconds is not None and self.seconds >= self.budget.seconds

    def resume_at(self, seconds: float) -> None:
        """Sets the clock forward to `seconds` since the start, unless it is later already."""
        # A resumed run has spent its earlier seconds too, or each resume would buy the whole limit anew.
        self._started = min(self._started, self._clock() - seconds)

    def reserve_samples(self, n: int, max_tokens: int) -> Grant | None:
        """Reserves the worst-case cost of `n` samples, reduced to what is left: first fewer, then shorter.

        A sample is shortened only if nothing else is reserved: the refund of another request may still
        pay for it in full.

        Args:
            n: Samples wanted, ≥ 1.
            max_tokens: Bound of one sample, ≥ 1.

        Returns:
            A grant of at most `n` samples, or None if nothing can be granted now.
        """
        if self.budget.calls is not None:
            n = min(n, self.budget.calls - self._calls - self._reserved_calls)
        if self.budget.tokens is not None:
            left = self.budget.tokens - self._tokens - self._reserved_tokens
            # With nothing in flight no more can come back, so a shorter sample is the only way to spend the
            # rest.
            if left < max_tokens and self._reserved_tokens == 0 and left >= SMALLEST_SAMPLE:
                max_tokens = left
            n = min(n, left // max_tokens)
        if n < 1:
            return None
        self._reserved_calls += n
        self._reserved_tokens += n * max_tokens
        return Grant(n, max_tokens)

    def settle_samples(
        self, grant: Grant, tokens: int, calls: int, *, prompt_tokens: int = 0, cached_tokens: int = 0
    ) -> None:
        """Settles a grant at its actual cost; prompt tokens are counted, not limited."""
        self._reserved_calls -= grant.n
        self._reserved_tokens -= grant.n * grant.max_tokens
        self._calls += calls
        self._tokens += tokens
        self._prompt_tokens += prompt_tokens
        self._cached_tokens += cached_tokens

    def reserve_executions(self, n: int) -> int:
        """Reserves up to `n` executions; returns how many were granted, ≥ 0."""
        if self.budget.executions is not None:
            n = min(n, self.budget.executions - self._executions - self._reserved_executions)
        self._reserved_executions += n
        return n

    def settle_executions(self, granted: int, executions: int) -> None:
        """Settles a reservation of `granted` executions at the `executions` that took place."""
        self._reserved_executions -= granted
        self._executions += executions

    def count_scores(self, states: int) -> None:
        """Counts scored states, which are not limited."""
        self._scores += states

    def count_retry(self) -> None:
        """Counts a request that was sent again."""
        self._retries += 1
