"""Credit for reasoning steps: returns from φ, and advantages relative to a group of episodes. Pure functions.

G episodes of one problem are a group; episode i has m_i steps. The reward of step t is what φ rises by
when r_t becomes known (`rewards.phi_dense`), plus α·R at the end, so that the return from step t on is

    G_t = φ(R, r^{1:m}) − (1 − α)·P_{t−1},   P_t = (1/t) Σ_{j≤t} γ^j r^j,   P_0 = 0.

G_1 is φ itself. What is subtracted depends on steps before t alone, so the policy gradient stays that of
φ. Leaving out the earlier terms of (1/m) Σ_j γ^j r^j instead would not do: m depends on later steps.

Reward hacking: the learned reward rises while the verified one falls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from o1coder_gym.rewards import phi, process_return

STABILISER = 1e-4
"""Added to standard deviations, as in TRL."""


def step_returns(outcome: float, process: Sequence[float], alpha: float, gamma: float) -> tuple[float, ...]:
    """Computes the step returns G_1 … G_m of an episode from φ.

    Args:
        outcome: R; NaN where the judge failed or had no tests, which makes all returns NaN.
        process: r^{1:m}, in [0, 1] each.
        alpha: α(t) in [0, 1].
        gamma: γ in [0, 1].

    Returns:
        One return per step.
    """
    # G_t = φ − (1 − α) P_{t−1}; the slice process[:t−1] gives P_{t−1}, and P_0 = 0.
    whole = phi(outcome, process, alpha, gamma)
    return tuple(
        whole - (1.0 - alpha) * process_return(process[:taken], gamma) for taken in range(len(process))
    )


def step_advantages(returns: Sequence[Sequence[float]], group: int, gap: float = 1.0) -> list[list[float]]:
    """Computes the advantages of GRPO by step: the return less the mean of its peers, over a scale, clipped.

    The peers of step t are the steps t of all episodes of the group that have one. A step without a peer is
    compared by φ, with the mean φ of the group. G_t less that mean would blame it for the process rewards of
    the steps before it, which G_t no longer has and the mean still has: by 0.4 / scale where α = 0.5, γ = 1
    and all process rewards are 0.8.

    The scale is σ of all returns of the batch, of later steps too, for those are what is divided: where the
    episodes of a batch have one φ and differ in the order of their process rewards, σ of φ alone is 0. The
    batch, not the group, since in units of a group's own σ (GRPO, arXiv 2402.03300, section 4.1) the noise of
    a PRM would weigh as much as success and failure.

    It is at least `gap` / √G, the σ of a group in which one episode alone succeeds: in a batch where all
    fail, a difference in process rewards weighs no more than it would beside one success. No advantage of
    GRPO exceeds √G in a group of G (Samuelson 1968: |x − mean| ≤ σ (G − 1) / √G), so those here are clipped
    there; steps with few peers and a scale taken from other groups could exceed it.

    Episodes without process rewards, equally long, of which at least one in a group succeeds and at least one
    fails, get the advantages of GRPO with TRL's ``scale_rewards="batch"``.

    Args:
        returns: Of the B episodes of a batch, m_i each, group after group; an episode with NaN is left out of
            all means.
        group: G, episodes of a group; divides B.
        gap: α (τ_pass − τ_fail), what a success is worth in φ, ≥ 0.

    Returns:
        Numbers of the same shape in [−√G, √G]; 0 for episodes that were left out.
    """
    bound = math.sqrt(group)
    # All returns of the batch in one list, [Σ m_i]: σ is taken over what it divides.
    spread = _deviation([value for one in returns if _counts(one) for value in one])
    # √G bounds the advantages of GRPO (Samuelson); gap / √G is σ of a group with a single success.
    scale = max(spread, gap / bound) + STABILISER
    return [
        [min(max(value / scale, -bound), bound) for value in differences]
        # Rows start … start + G − 1 are the episodes of one problem.
        for start in range(0, len(returns), group)
        for differences in _differences(returns[start : start + group])
    ]


def _differences(group: Sequence[Sequence[float]]) -> list[list[float]]:
    """Returns each return of a group less the mean of its peers."""
    valid = [returns for returns in group if _counts(returns)]
    # Peers of step t: all valid episodes of the group that have a t-th step, [m][≤ G].
    steps = range(max(map(len, valid), default=0))
    peers = [[returns[t] for returns in valid if len(returns) > t] for t in steps]
    # The return that step t is compared by: φ, which is G_1, where an episode would be its own mean.
    by = [t if len(values) > 1 else 0 for t, values in enumerate(peers)]
    return [
        [returns[by[t]] - _mean(peers[by[t]]) for t in range(len(returns))]
        if _counts(returns)
        else [0.0] * len(returns)
        for returns in group
    ]


def _counts(returns: Sequence[float]) -> bool:
    """Whether an episode has steps and was judged."""
    return bool(returns) and not math.isnan(returns[0])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """Returns the standard deviation with Bessel's correction, as TRL does; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    # The norm, whose squares do not overflow, whatever the scale of rewards of your own.
    return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values) - 1)


def divergence(process: Sequence[float], verified: Sequence[float], window: int = 10) -> float:
    """Computes how much the process reward rose while the pass rate fell, over two windows.

    Args:
        process: Mean process reward of each update so far, in [0, 1].
        verified: Pass rate of each update, in [0, 1]; as many.
        window: Updates per window, ≥ 1; the last `window` updates are compared with those before them.

    Returns:
        min(rise of the process reward, fall of the pass rate), 0 if either did not happen or fewer than two
        windows of updates are there. In [0, 1].
    """
    # Updates whose judge failed have no pass rate: both numbers are left out, so that windows stay aligned.
    pairs = [pair for pair in zip(process, verified, strict=True) if not any(map(math.isnan, pair))]
    # Two full windows or nothing: with fewer updates the noise of single batches would look like a trend.
    if len(pairs) < 2 * window:
        return 0.0
    before, now = pairs[-2 * window : -window], pairs[-window:]
    rise = sum(p for p, _ in now) - sum(p for p, _ in before)
    fall = sum(v for _, v in before) - sum(v for _, v in now)
    return max(0.0, min(rise, fall) / window)
