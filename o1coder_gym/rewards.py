"""The rewards of the decision process: terminal value, φ, its dense form, and the schedules of α(t).

Everything here is a pure function of `Evidence`. A reward function returns the reward of one transition
together with all of its terms, so that what was paid can always be taken apart.

Choices where the paper names no value: m counts every action of the chain, the code step included;
R is `tau_pass` only when *all* tests pass; a chain that is cut at the step limit has R = `tau_fail`.

A program that loads where there are no tests (`Outcome.NO_TESTS`) has no v and no R: both are NaN among the
terms, and whoever learns from them masks it. What is *paid* stays finite, unlike after a failure of the
judge: trainers of other projects take every reward of an environment as a number, and such a problem comes
up in every epoch. It is the least that a program which loads can earn (α_c in place of v, `tau_fail` in place
of R: 0 by default), so that no program is preferred to one that loads, and none looks solved.

`end_value` is the value of a finished episode to a search: v in [0, 1], or None if the judge failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from o1coder_gym.errors import PluginError, UnknownNameError, UsageError
from o1coder_gym.specs import Spec, parse, registry
from o1coder_gym.specs.own_code import is_place, load_object
from o1coder_gym.specs.parameters import AtLeastOne, Share
from o1coder_gym.types import Outcome, Transition, Verdict

__path__: list[str] = []  # Python looks for `rewards.trl` in what has a path only; see importing/moved.py

Schedule: TypeAlias = Callable[[int], float]
"""α(t). The clock t counts optimizer steps since the start of RL: never seconds, never env steps."""


@dataclass(frozen=True, slots=True)
class RewardConstants:
    """The constants of the paper's reward formulas, all in [0, 1].

    Attributes:
        alpha_compile: α_c, weight of `compile` in the terminal value; 0 as in the authors' code.
        alpha: α(t), weight of the outcome in φ.
        gamma: γ, discount of the process rewards inside φ; 0.9 as in the authors' code.
        tau_pass: R of a program that passes all tests.
        tau_fail: R of any other end.
    """

    alpha_compile: float = 0.0
    alpha: float = 0.5
    gamma: float = 0.9
    tau_pass: float = 1.0
    tau_fail: float = 0.0

    def __post_init__(self) -> None:
        """Raises `UsageError` when a constant is outside [0, 1] or τ_fail is above τ_pass."""
        for name in ("alpha_compile", "alpha", "gamma", "tau_pass", "tau_fail"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"{name} must lie in [0, 1], got {value!r}")
        if self.tau_fail > self.tau_pass:
            raise UsageError(f"tau_fail ({self.tau_fail}) must not be above tau_pass ({self.tau_pass})")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the reward of one transition may depend on.

    Attributes:
        process: r^{1:t}, the step scorer's value of each step so far, this one last; in [0, 1]; empty
            before the first step.
        verdict: Of the program committed by this step; None if it committed none.
        truncated: Whether this step reached the step limit without code.
    """

    process: tuple[float, ...]
    verdict: Verdict | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and its terms.

    Attributes:
        value: The reward; NaN when the judge itself failed.
        terms: Always the keys ``compile``, ``pass``, ``value`` (v), ``outcome`` (R), ``process`` (r_t),
            ``process_return`` ((1/t) Σ γ^j r^j), ``alpha`` and ``phi``, each in [0, 1]; those that need
            a verdict are 0 before the end and NaN when the judge itself failed. Without tests those that
            need some are NaN: ``pass``, ``value``, ``outcome`` and ``phi``.
    """

    value: float
    terms: Mapping[str, float] = field(default_factory=dict, hash=False)


RewardFunction: TypeAlias = Callable[[Evidence], Reward]
"""Fix the constants with `functools.partial(phi_reward, constants=RewardConstants(alpha=0.3))`."""

DEFAULTS = RewardConstants()


def terminal_value(verdict: Verdict, alpha_compile: float = 0.0) -> float:
    """Computes v^m = α_c·compile + (1 − α_c)·pass, pass = passed / total (paper, MCTS data synthesis).

    Returns:
        A number in [0, 1]; NaN for outcomes that decide nothing (`Outcome.decided`).
    """
    if not verdict.outcome.decided:
        return math.nan
    return alpha_compile * verdict.compiles + (1.0 - alpha_compile) * verdict.pass_ratio


def outcome_reward(verdict: Verdict | None, tau_pass: float = 1.0, tau_fail: float = 0.0) -> float:
    """Computes R (Algorithm 1, step 5): `tau_pass` iff all tests pass; no program counts as a failure.

    NaN, to be masked, where the judge failed and where there are no tests.
    """
    if verdict is None:
        return tau_fail
    if not verdict.outcome.decided:
        return math.nan
    return tau_pass if verdict.outcome is Outcome.PASS else tau_fail


def fractional_outcome(verdict: Verdict | None, tau_pass: float = 1.0, tau_fail: float = 0.0) -> float:
    """Computes R = τ_fail + (τ_pass − τ_fail)·pass, as the authors' code does; NaN as `outcome_reward`."""
    if verdict is None:
        return tau_fail
    if not verdict.outcome.decided:
        return math.nan
    return tau_fail + (tau_pass - tau_fail) * verdict.pass_ratio


def process_return(process: Sequence[float], gamma: float) -> float:
    """Computes (1/m) Σ_{j=1..m} γ^j r^j, the process term of φ; the exponent starts at 1; 0 for m = 0."""
    if not process:
        return 0.0
    # γ^1 r^1 + … + γ^m r^m: the discount is multiplied in before it is used, for the paper's exponent starts
    # at 1.
    total, discount = 0.0, 1.0
    for reward in process:
        discount *= gamma
        total += discount * reward
    return total / len(process)


def phi(outcome: float, process: Sequence[float], alpha: float, gamma: float) -> float:
    """Computes φ(R, r^{1:m}) = α·R + (1 − α)·(1/m)·Σ_{j=1..m} γ^j r^j (paper, RL section).

    Args:
        outcome: R.
        process: r^{1:m}; may be empty.
        alpha: α(t) in [0, 1].
        gamma: γ in [0, 1].
    """
    return alpha * outcome + (1.0 - alpha) * process_return(process, gamma)


def sparse_outcome(evidence: Evidence, constants: RewardConstants = DEFAULTS) -> Reward:
    """Pays the terminal value v when code is committed, 0 before (mode ``outcome``)."""
    terms = reward_terms(evidence, constants)
    return Reward(_paid(terms["value"], evidence, without_tests=constants.alpha_compile), terms)


def dense_process(evidence: Evidence, constants: RewardConstants = DEFAULTS) -> Reward:
    """Pays r_t = ρ_PRM(s_{t-1}, a_t) for every step, and nothing for the outcome (mode ``process``)."""
    terms = reward_terms(evidence, constants)
    return Reward(_paid(terms["process"], evidence, without_tests=terms["process"]), terms)


def phi_reward(evidence: Evidence, constants: RewardConstants = DEFAULTS) -> Reward:
    """Pays φ at the end of the episode, 0 before (mode ``phi``, the paper's)."""
    terms = reward_terms(evidence, constants)
    least = phi(constants.tau_fail, evidence.process, constants.alpha, constants.gamma)
    return Reward(_paid(terms["phi"], evidence, without_tests=least), terms)


def phi_dense(evidence: Evidence, constants: RewardConstants = DEFAULTS) -> Reward:
    """Pays φ's terms as they arise: the rise of the process term at each step, α·R at the end.

    The length m is not known before the end, so step t is paid the difference
    (1 − α)·(P_t − P_{t−1}) with P_t = (1/t) Σ_{j≤t} γ^j r^j; the sum over an episode telescopes to φ.
    Single rewards lie in [−1, 1].
    """
    terms = reward_terms(evidence, constants)
    # P_{t−1}; P_0 = 0 is what `process_return` gives of no steps.
    before = process_return(evidence.process[:-1], constants.gamma)
    rise = (1.0 - constants.alpha) * (terms["process_return"] - before)
    least = rise + constants.alpha * constants.tau_fail
    return Reward(_paid(rise + constants.alpha * terms["outcome"], evidence, without_tests=least), terms)


REWARDS: Mapping[str, Callable[..., Reward]] = MappingProxyType(
    {"outcome": sparse_outcome, "process": dense_process, "phi": phi_reward, "phi_dense": phi_dense}
)


def load_reward(mode: str, constants: RewardConstants = DEFAULTS) -> RewardFunction:
    """Returns the reward function of a mode with its constants fixed.

    Args:
        mode: A key of `REWARDS`, or your own function: ``FILE.py:NAME`` or ``package.module:NAME``, called
            with the `Evidence` of a transition; it returns a number, or a `Reward` with terms of its own.
        constants: For the terms, and for the modes of this project.

    Raises:
        UnknownNameError: When there is no such mode.
        PluginError: When your own function cannot be imported; later, when it fails or returns no number.
    """
    if is_place(mode):
        return partial(_own_reward, name=mode, function=load_object(mode), constants=constants)
    if mode not in REWARDS:
        raise UnknownNameError("reward mode", mode, REWARDS)
    return partial(REWARDS[mode], constants=constants)


def _own_reward(
    evidence: Evidence,
    *,
    name: str,
    function: Callable[[Evidence], Reward | float],
    constants: RewardConstants,
) -> Reward:
    """Calls a user's reward function; NaN if the judge failed, as in every mode.

    Raises:
        PluginError: When it fails, or returns no number or an infinite one, which would leave no gradient
            finite; NaN is no reward, and teaches nothing.
    """
    try:
        paid = function(evidence)
        found = paid if isinstance(paid, Reward) else Reward(paid)
        value = float(found.value)
    except Exception as error:
        raise PluginError(f"{name} failed: {type(error).__name__}: {error}") from error
    if math.isinf(value):
        raise PluginError(f"{name} returned {value}, not a finite number or NaN")
    terms = {**reward_terms(evidence, constants), **found.terms}
    return Reward(_paid(value, evidence, without_tests=value), terms)


def reward_terms(evidence: Evidence, constants: RewardConstants = DEFAULTS) -> dict[str, float]:
    """Computes every component of every mode; see `Reward.terms`."""
    verdict, process = evidence.verdict, evidence.process
    ended = verdict is not None or evidence.truncated
    gain = process_return(process, constants.gamma)
    outcome = outcome_reward(verdict, constants.tau_pass, constants.tau_fail) if ended else 0.0
    failed = verdict is not None and verdict.outcome is Outcome.INFRASTRUCTURE
    unknown = verdict is not None and not verdict.outcome.decided
    return {
        # Without tests a program has still compiled or not: only a failure of the judge leaves that open.
        "compile": math.nan if failed else float(verdict is not None and verdict.compiles),
        "pass": math.nan if unknown else verdict.pass_ratio if verdict else 0.0,
        "value": terminal_value(verdict, constants.alpha_compile) if verdict else 0.0,
        "outcome": outcome,
        "process": process[-1] if process else 0.0,
        "process_return": gain,
        "alpha": constants.alpha,
        "phi": constants.alpha * outcome + (1.0 - constants.alpha) * gain if ended else 0.0,
    }


def constant(t: int, *, alpha: Share) -> float:
    """Returns α(t) = α.

    Args:
        t: Policy updates so far.
        alpha: α, in [0, 1].
    """
    return alpha


def linear(t: int, *, start: Share, end: Share, horizon: AtLeastOne) -> float:
    """Returns α(t) on the line from `start` at t = 0 to `end` at t = `horizon`, and `end` after it.

    α(t) weighs the outcome in φ. The authors' code has α(t) = max(0.1, 1 − 0.01 t), which is ``start=1,
    end=0.1, horizon=90``.

    Args:
        t: Policy updates so far, ≥ 0.
        start: α(0), in [0, 1].
        end: α from the horizon on, in [0, 1].
        horizon: Updates until then, ≥ 1.

    Raises:
        UsageError: When t < 0 or horizon < 1.
    """
    return start + (end - start) * _elapsed(t, horizon)


def logarithmic(t: int, *, start: Share, end: Share, horizon: AtLeastOne) -> float:
    """Returns α(t) = start + (end − start)·ln(1 + t) / ln(1 + horizon), and `end` after the horizon.

    α(t) weighs the outcome in φ.

    Args:
        t: Policy updates so far, ≥ 0.
        start: α(0), in [0, 1].
        end: α from the horizon on, in [0, 1].
        horizon: Updates until then, ≥ 1.

    Raises:
        UsageError: When t < 0 or horizon < 1.
    """
    return start + (end - start) * math.log1p(_elapsed(t, horizon) * horizon) / math.log1p(horizon)


def load_schedule(spec: str) -> Schedule:
    """Returns the schedule that a spec names.

    Args:
        spec: ``0.5`` (or ``constant?alpha=0.5``), ``linear?start=1&end=0.1&horizon=90``, or ``logarithmic``
            with the same arguments; ``linear:1,0.1,90`` is short for start, end and horizon.

    Raises:
        UsageError: When it names none, or a value of α would be outside [0, 1].
        PluginError: When the package that it comes from does not work.
    """
    return registry.bound("schedule", _schedule_spec(spec), spec)


def _schedule_spec(text: str) -> Spec:
    """Reads a spec, also a number alone, and ``linear:1,0.1,90``."""
    kind, colon, numbers = text.partition(":")
    if kind in ("linear", "logarithmic") and colon:
        values = numbers.split(",")
        if len(values) != 3:
            raise UsageError(f"schedule {text!r} is not {kind}:START,END,HORIZON")
        return Spec(kind, None, tuple(zip(("start", "end", "horizon"), values, strict=True)))
    try:
        float(text)
    except ValueError:
        return parse(text)
    return Spec("constant", None, (("alpha", text),))


def _elapsed(t: int, horizon: int) -> float:
    if t < 0 or horizon < 1:
        raise UsageError(f"a schedule needs t >= 0 and horizon >= 1, got t={t}, horizon={horizon}")
    return min(t / horizon, 1.0)


def _paid(value: float, evidence: Evidence, *, without_tests: float) -> float:
    """Returns `value`, or NaN if the judge could not decide, whatever the mode."""
    outcome = evidence.verdict.outcome if evidence.verdict is not None else None
    # A 0 would teach that the program was wrong; NaN is masked by whoever learns from it.
    if outcome is not None and not outcome.counted:
        return math.nan
    return without_tests if outcome is Outcome.NO_TESTS else value


def end_value(transition: Transition, alpha_compile: float = 0.0) -> float | None:
    """Returns v^m of a finished episode (paper, MCTS data synthesis), whatever the model's reward mode.

    Args:
        transition: The last one of an episode.
        alpha_compile: α_c in [0, 1].

    Returns:
        The terminal value of the committed program on the model's tests; 0 for an episode that ended
        without code; None where there is no verdict to be had (the judge failed, there are no tests, or
        the budget could not pay for it), which must be masked and never counted as 0.
    """
    if transition.verdict is not None:
        value = terminal_value(transition.verdict, alpha_compile)
        return None if math.isnan(value) else value
    return None if math.isnan(transition.reward) else 0.0


def standing(value: float | None, outcome: Outcome | None) -> float:
    """Returns the rank value of a terminal state when the answer is chosen, highest first.

    Without tests that can be judged every program that loads stands alike and above those that do not, so
    that the next merit decides among them; one on which the judge failed comes last.
    """
    if outcome in (Outcome.NO_TESTS, Outcome.UNSUPPORTED):
        return 1.0
    return -1.0 if value is None else value


def passes(transition: Transition) -> bool:
    """Returns whether the episode ended with a program that passes all of at least one test."""
    verdict = transition.verdict
    return verdict is not None and verdict.total > 0 and verdict.passed == verdict.total
