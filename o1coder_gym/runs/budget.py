"""Budgets and their accounting: tokens, calls, executions, seconds, prompt and scorer tokens, FLOPs.

A request reserves its worst-case cost before it is sent and is settled at its actual cost when it returns, so
a limit is never exceeded, not by one token. There are three exceptions. Time passes while a request is in
flight, so a limit of seconds only stops new requests. A server that ignores ``max_tokens`` can overdraw the
budget; its tokens are booked and nothing more is granted. And the length of a prompt, the policy's or the
scorer's, is known only when it has been read. A policy's prompt reserves the one token that it costs at
least: a guess that is too high would refuse what the budget pays for. A chain to be scored reserves the
length of the longest so far, the first one is sent alone, and one that is alone reserves the shortest. What
is overdrawn is booked; what was bought with it is withheld (`Meter.owed`), and nothing more is granted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from o1coder_gym.errors import UsageError
from o1coder_gym.types import Usage

SMALLEST_SAMPLE = 16
"""Shortest sample, in tokens, that is worth granting; no action fits into fewer.

FLOPs are spent to the last token instead: prompts leave rests of any length, and a search that costs C has to
be the same within any limit from C on.
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one agent on one problem; None means unlimited.

    Attributes:
        tokens: Generated tokens, ≥ 0.
        calls: Actions sampled, ≥ 0; a request for n actions counts n.
        executions: Programs judged, ≥ 0.
        seconds: Wall-clock seconds after which no new request is sent, ≥ 0.
        prompt_tokens: Prompt tokens that the search shows its policy for the first time, ≥ 0; a prompt costs
            at least one.
        scorer_tokens: Tokens that the step scorer reads, ≥ 0.
        flops: FLOPs of policy and scorer, ≥ 0: 2 per weight and token generated, of `prompt_tokens`, or
            scored. They need `ModelSizes`. A request that is sent again counts once: it was in a batch that
            another one spoilt, and what a search gets must not depend on its neighbours.
    """

    tokens: int | None = None
    calls: int | None = None
    executions: int | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    scorer_tokens: int | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a negative limit."""
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit >= 0:
                raise UsageError(f"budget: {field.name} must be at least 0, got {limit}")

    @property
    def units(self) -> tuple[str, ...]:
        """The limited quantities, by the names of `Usage`; time is not among them."""
        return tuple(unit for unit in UNITS if getattr(self, unit) is not None)

    @property
    def size(self) -> tuple[float, ...]:
        """Sorts budgets by their limits, in order; one without any is the largest.

        A limit that is missing beside others counts as 0: answers within FLOPs are read off a run of tokens.
        """
        limits = astuple(self)
        return (
            tuple(limit or 0.0 for limit in limits) if any(one is not None for one in limits) else (math.inf,)
        )

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict: limits that earlier versions did not have only where they are set."""
        row = asdict(self)
        return {name: limit for name, limit in row.items() if limit is not None or name in _ALWAYS_WRITTEN}


UNITS = ("tokens", "calls", "executions", "prompt_tokens", "scorer_tokens", "flops")
"""What a budget can limit, beside time; fields of `Usage` too."""
_ALWAYS_WRITTEN = ("tokens", "calls", "executions", "seconds")

UNLIMITED = Budget()
"""No limit at all."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one request may cost: `n` samples of `max_tokens` tokens each at most, and a prompt at least."""

    n: int
    max_tokens: int
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The sizes from which a token's cost follows.

    Attributes:
        policy: Weights of the policy's model; None if not known, and then no FLOPs are counted.
        scorer: Weights of the step scorer's model, 0 without one.
    """

    policy: int | None = None
    scorer: int = 0

    def check(self, budget: Budget) -> None:
        """Refuses a budget that cannot be counted.

        Raises:
            UsageError: When FLOPs are limited, and the policy's size is not known.
        """
        if budget.flops is not None and not self.policy:
            raise UsageError("a budget of FLOPs needs the number of the policy's weights, which is unknown")

    def flops(self, tokens: int, scorer_tokens: int = 0) -> int:
        """Returns the FLOPs of policy and scorer over so many tokens, as `metrics.generation_flops` does."""
        return 0 if self.policy is None else 2 * (self.policy * tokens + self.scorer * scorer_tokens)


UNKNOWN_SIZES = ModelSizes()
"""FLOPs are not counted."""


class Meter:
    """Accounts for what one agent spends of its budget. Mutable; used by one thread.

    Every grant from `reserve_samples`, `reserve_executions` or `reserve_score` must be settled exactly once.
    """

    def __init__(
        self,
        budget: Budget,
        clock: Callable[[], float] = time.monotonic,
        sizes: ModelSizes = UNKNOWN_SIZES,
    ) -> None:
        """Starts the clock.

        Args:
            budget: The limits.
            clock: Monotonic seconds.
            sizes: The model sizes from which FLOPs are computed.

        Raises:
            UsageError: When FLOPs are limited, and the policy's size is not known.
        """
        sizes.check(budget)
        self.budget = budget
        self._sizes = sizes
        self._clock = clock
        self._started = clock()
        self._tokens = self._calls = self._executions = 0
        self._prompt_tokens = self._cached_tokens = self._scores = self._retries = 0
        self._scorer_tokens = self._flops = 0
        self._reserved_tokens = self._reserved_calls = self._reserved_executions = 0
        self._reserved_prompt_tokens = self._reserved_scorer_tokens = self._reserved_scores = 0
        # What a score costs is known only afterwards: those so far stand for the next one.
        self._longest_scored: int | None = None
        self._shortest_scored: int | None = None
        # Without a limit whatever costs time counts, so that an agent that only asks for free things is
        # noticed.
        self._counted = [f"_{unit}" for unit in budget.units or ("tokens", "executions")]

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
            scorer_tokens=self._scorer_tokens,
            flops=self._flops,
        )

    @property
    def paid(self) -> int:
        """Grows with each payment towards a limit; with each token and execution where none is limited."""
        return sum(getattr(self, account) for account in self._counted)

    @property
    def overdrawn(self) -> bool:
        """Whether more tokens were generated than the budget allows."""
        return self.budget.tokens is not None and self._tokens > self.budget.tokens

    @property
    def owed(self) -> float:
        """Generated tokens that would have to be given back to pay for what was read; ∞ where none would do.

        A sample that these tokens are taken from is not paid for, nor is a score while any is owed.
        """
        limits = self.budget
        for limit, read in (
            (limits.prompt_tokens, self._prompt_tokens),
            (limits.scorer_tokens, self._scorer_tokens),
        ):
            if limit is not None and read > limit:
                return math.inf
        if limits.flops is None or self._flops <= limits.flops:
            return 0.0
        return (self._flops - limits.flops) / self._sizes.flops(1)

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
        # A resumed run has spent its earlier seconds too, or each resume would buy the whole limit again.
        self._started = min(self._started, self._clock() - seconds)

    def reserve_samples(self, n: int, max_tokens: int, prompt: int = 0) -> Grant | None:
        """Reserves the worst-case cost of `n` samples, cut to the rest of the budget: fewer, then shorter.

        A sample is shortened only if nothing else is reserved: the refund of another request may still
        pay for it in full.

        Args:
            n: Samples wanted, ≥ 1.
            max_tokens: Bound of one sample, ≥ 1.
            prompt: Tokens that their prompt costs at least, ≥ 0.

        Returns:
            A grant of at most `n` samples, or None if nothing can be granted now.
        """
        if self.budget.calls is not None:
            # Less what is reserved: requests in flight must not be granted the same rest twice.
            n = min(n, self.budget.calls - self._calls - self._reserved_calls)
        if not self._pays_prompt(prompt):
            return None
        if (left := self._tokens_left(prompt)) is not None:
            # With nothing in flight no more can come back: only a shorter sample spends the rest.
            in_flops = self.budget.flops is not None
            alone = self._reserved_tokens == 0 and not (in_flops and self._reserved_scores)
            if alone and (1 if in_flops else SMALLEST_SAMPLE) <= left < max_tokens:
                max_tokens = left
            n = min(n, left // max_tokens)
        if n < 1:
            return None
        self._reserved_calls += n
        self._reserved_tokens += n * max_tokens
        self._reserved_prompt_tokens += prompt
        return Grant(n, max_tokens, prompt)

    def _pays_prompt(self, tokens: int) -> bool:
        """Whether the limit of prompt tokens pays for so many more; one of 0 pays for no prompt at all."""
        limit = self.budget.prompt_tokens
        if limit is None:
            return True
        return limit > 0 and limit - self._prompt_tokens - self._reserved_prompt_tokens >= tokens

    def _tokens_left(self, prompt: int) -> int | None:
        """Returns the tokens that may be generated behind a prompt; None for any number."""
        limits = self.budget
        left = None if limits.tokens is None else limits.tokens - self._tokens - self._reserved_tokens
        if limits.flops is None or limits.flops == math.inf:
            return left
        behind_prompt = self._flops_left(limits.flops) - self._sizes.flops(prompt)
        # The FLOPs that are left, in tokens of the policy; at least 0, for a prompt may have overdrawn them.
        of_flops = max(0, int(behind_prompt // self._sizes.flops(1)))
        return of_flops if left is None else min(left, of_flops)

    def _flops_left(self, limit: float) -> float:
        of_policy = self._reserved_tokens + self._reserved_prompt_tokens
        return limit - self._flops - self._sizes.flops(of_policy, self._reserved_scorer_tokens)

    def settle_samples(
        self,
        grant: Grant,
        tokens: int,
        calls: int,
        *,
        prompt_tokens: int = 0,
        cached_tokens: int = 0,
    ) -> None:
        """Settles a grant at its actual cost.

        Args:
            grant: The reservation.
            tokens: Generated in all samples, ≥ 0.
            calls: Samples, ≥ 0.
            prompt_tokens: What the prompt adds to earlier ones of the search, ≥ 0.
            cached_tokens: The rest of the prompt, which is free.
        """
        # The whole reservation goes, also of samples that were not drawn: the rest is free for the next
        # request.
        self._reserved_calls -= grant.n
        self._reserved_tokens -= grant.n * grant.max_tokens
        self._reserved_prompt_tokens -= grant.prompt_tokens
        self._calls += calls
        self._tokens += tokens
        self._prompt_tokens += prompt_tokens
        self._cached_tokens += cached_tokens
        # 2 · weights · tokens (`metrics.generation_flops`), paid prompt tokens included.
        self._flops += self._sizes.flops(tokens + prompt_tokens)

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

    def reserve_score(self, tokens: int | None = None) -> int | None:
        """Reserves a state to be scored.

        Args:
            tokens: What it costs, where that is known.

        Returns:
            The tokens reserved, or None if nothing can be granted now.
        """
        limits = self.budget
        if tokens is None:
            # Alone it has all that is left, so that the longest so far would refuse what can be paid.
            alone = self._reserved_calls == self._reserved_scores == 0
            tokens = (self._shortest_scored if alone else self._longest_scored) or 0
        if limits.scorer_tokens is not None or (limits.flops is not None and self._sizes.scorer):
            if self._longest_scored is None and self._reserved_scores:
                return None  # the first is away, and will tell
            left = math.inf
            if limits.scorer_tokens is not None:
                left = limits.scorer_tokens - self._scorer_tokens - self._reserved_scorer_tokens
            # At least one token has to be left, also where nothing was scored yet: a limit of 0 pays for no
            # score.
            needed = max(tokens, 1)
            if left < needed:
                return None
            if limits.flops is not None and self._flops_left(limits.flops) < self._sizes.flops(0, needed):
                return None
        self._reserved_scores += 1
        self._reserved_scorer_tokens += tokens
        return tokens

    def settle_score(self, granted: int, tokens: int = 0) -> None:
        """Charges a score at the `tokens` that the scorer read, where `granted` had been reserved."""
        self._reserved_scores -= 1
        self._reserved_scorer_tokens -= granted
        self._scores += 1
        self._scorer_tokens += tokens
        self._flops += self._sizes.flops(0, tokens)
        self._longest_scored = max(tokens, self._longest_scored or 0)
        shortest = self._shortest_scored
        self._shortest_scored = tokens if shortest is None else min(tokens, shortest)

    def count_retry(self) -> None:
        """Counts a request that was sent again."""
        self._retries += 1
