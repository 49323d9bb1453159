"""Mismatch between sampler and trainer, and the importance weights that correct it.

Shapes: B rows, T tokens of a completion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


KL = "sampling/kl"
"""The one figure of `mismatch` that is a mean; the others are maxima."""


def importance_weights(trainer: Tensor, sampler: Tensor, mask: Tensor, cap: float) -> Tensor:
    """Returns min(π_trainer / π_sampler, cap) of each token, [B, T]: truncated importance sampling.

    As the ρ of V-trace (arXiv 1802.01561, section 4.1); 1 where the mask is 0.

    Args:
        trainer: Log-probabilities under the policy in training. [B, T]
        sampler: Those that the sampler drew by. [B, T]
        mask: 1 for tokens that were sampled, 0 for text that was put in and for padding. [B, T]
        cap: ≥ 1.
    """
    return ((trainer - sampler) * mask).exp().clamp(max=cap)


def mismatch(trainer: Tensor, sampler: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Returns the logged figures of a part of a batch: a ratio of 1 and zeros where both are one policy.

    Args:
        trainer: As of `importance_weights`.
        sampler: Likewise.
        mask: Likewise.

    Returns:
        ``sampling/logprob_difference``, the largest; ``sampling/kl``, KL(π_sampler ‖ π_trainer) of a token,
        estimated without bias by the mean of e^x − 1 − x, x = log π_trainer − log π_sampler (Schulman's k3);
        ``sampling/max_ratio``, the largest π_trainer / π_sampler.
    """
    apart = (trainer - sampler) * mask  # [B, T]
    kl = ((apart.exp() - 1 - apart) * mask).sum() / mask.sum().clamp(min=1)
    return {
        "sampling/logprob_difference": apart.abs().max(),
        KL: kl,
        "sampling/max_ratio": apart.max().exp(),
    }
