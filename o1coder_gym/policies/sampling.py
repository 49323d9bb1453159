"""Drawing tokens: top-k first, then top-p, then the inverse of the cumulative distribution.

Truncating to the k likeliest candidates before anything is sorted or summed makes a draw some ten times
cheaper on a CPU; without top-k the likeliest thousand come first. The draw itself is one uniform number per
token from the row's own counter-based stream, so that a row's tokens do not depend on what else is in the
batch.

Shapes: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from o1coder_gym.types import Sampling

FIRST = 1024
"""Candidates that nearly all draws fall among; sorting 150,000 for each token took longer than the model."""


def uniforms(seed: int, sample: int, count: int) -> np.ndarray:
    """Returns `count` numbers in [0, 1) of the stream (seed, sample); Philox, counter-based."""
    # One stream per continuation: a row draws the same numbers alone, in any batch and on any engine.
    words = np.random.SeedSequence([seed % 2**64, sample])
    return np.random.Generator(np.random.Philox(words)).random(count)


def draw(
    logits: torch.Tensor, sampling: Sequence[Sampling], uniform: Sequence[float], *, first: int = FIRST
) -> tuple[list[int], list[float]]:
    """Draws one token for each row.

    Args:
        logits: ``[B, V]``.
        sampling: Per row; temperature 0 takes the likeliest token.
        uniform: Per row, in [0, 1).
        first: Candidates that a row without top-k is first drawn from, the likeliest ones; where its token is
            none of them, it is drawn again from all. The token does not depend on this number.

    Returns:
        Token ids, and their log-probabilities under the model's own distribution (temperature 1, no
        truncation).
    """
    # Log-probabilities are compared between runs and devices, so the sums are taken in float32 at least.
    logits = logits.float()
    vocabulary, device = logits.shape[1], logits.device
    # [B]: k of each row; the whole vocabulary where it has none.
    limits = [_candidates(one, vocabulary) for one in sampling]
    # K: enough for every row with a top-k; rows without one share the first `first` candidates.
    width = min(max(limits), max([first, *(limit for limit in limits if limit < vocabulary)]))
    values, candidates = logits.topk(width, dim=-1)  # [B, K], likeliest first
    # Cumulative sums are compared with a uniform number: in float64 rounding cannot move a draw by a rank.
    column = {"dtype": torch.float64, "device": device}
    limit = torch.tensor(limits, device=device)[:, None]  # [B, 1], as all columns below
    temperature = torch.tensor([one.temperature or 1.0 for one in sampling], **column)[:, None]
    top_p = torch.tensor([one.top_p for one in sampling], **column)[:, None]
    target = torch.tensor(uniform, **column)[:, None]

    ranks = torch.arange(width, device=device)  # [K]
    scaled = (values / temperature).masked_fill(ranks >= limit, -torch.inf)  # [B, K], top-k
    mass = scaled.softmax(-1)  # [B, K], of the candidates alone
    cut = limit > width  # [B, 1], rows with candidates that were not looked at
    if width < max(limits):
        # Rows without top-k: what the candidates have of the mass of the whole vocabulary, not 1.
        everything = (logits / temperature.float()).logsumexp(-1, keepdim=True)
        mass = mass * torch.where(cut, (scaled.logsumexp(-1, keepdim=True) - everything).exp(), 1.0)
    # Top-p keeps a candidate while the mass before it is below p, so the first one is always kept.
    kept = mass * (mass.cumsum(-1) - mass < top_p)  # [B, K]
    cumulative = kept.cumsum(-1)
    # The inverse of the cumulative distribution at u · whole. A row whose tail was not looked at is not
    # renormalised: u beyond its candidates is drawn again below.
    whole = torch.where(cut & (top_p >= 1.0), 1.0, cumulative[:, -1:])
    rank = (cumulative <= target * whole).sum(-1, keepdim=True)  # [B, 1]
    # u close to 1 and a last sum rounded down would point behind the last candidate that is kept.
    rank = rank.clamp(max=(kept > 0).sum(-1, keepdim=True) - 1)
    # Of the model's own distribution, whatever was cut: what importance weights and PUCT's priors need.
    logprobs = (values.gather(1, rank)[:, 0] - logits.logsumexp(-1)).tolist()
    tokens = candidates.gather(1, rank)[:, 0].tolist()

    # Whose token is not among the likeliest: with top-p 1 by u, else where p is not reached among them.
    beyond = cut & torch.where(top_p >= 1.0, cumulative[:, -1:] <= target, mass.sum(-1, keepdim=True) < top_p)
    rows = beyond[:, 0].nonzero()[:, 0].tolist()
    if rows:
        again = draw(logits[rows], [sampling[i] for i in rows], [uniform[i] for i in rows], first=vocabulary)
        for row, token, logprob in zip(rows, *again, strict=True):
            tokens[row], logprobs[row] = token, logprob
    return tokens, logprobs


def _candidates(sampling: Sampling, vocabulary: int) -> int:
    # Temperature 0 is top-k with k = 1, so that greedy and sampled rows share one batch.
    if sampling.temperature == 0:
        return 1
    return min(sampling.top_k or vocabulary, vocabulary)
