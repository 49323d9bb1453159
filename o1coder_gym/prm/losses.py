"""The two objectives of a process reward model. Pure functions of logits, each returns its value and metrics.

B rows, T tokens, P pairs. A logit z is the score before the sigmoid: r = σ(z) in Eq. 3 and r = z in Eq. 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100.0
"""Label of tokens that have none."""


def pointwise_loss(
    logits: Tensor, labels: Tensor, marks: Tensor | float | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Computes L = −E[v log r + (1 − v) log(1 − r)], r = σ(z) (paper, Eq. 3).

    Args:
        logits: z, [B, T].
        labels: v in [0, 1], hard or soft, [B, T]; `IGNORED` where a token has none.
        marks: Number of labelled tokens in the optimizer's batch, of which this may be a micro-batch; None:
            this is all of it. The losses of the micro-batches add up to that of the batch.

    Returns:
        The sum over labelled tokens ÷ `marks`, 0 if there are none; with the mean score and the accuracy of
        r > ½ against v > ½.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    # [B, T] of bool; K labelled tokens of the whole batch stand in one row below, [K].
    known = labels != IGNORED
    scored, targets = logits[known].float(), labels[known].float()
    if not known.any():
        # Not a constant: backward needs a graph, also in a micro-batch without labels.
        return logits.sum() * 0.0, {}
    # From logits: log(1 − σ(z)) of a large z is −∞ where σ is taken first.
    loss = binary_cross_entropy_with_logits(scored, targets, reduction="sum")
    agrees = (scored > 0) == (targets > 0.5)
    metrics = {"score": scored.detach().sigmoid().mean(), "accuracy": agrees.float().mean()}
    return loss / (known.sum() if marks is None else marks), metrics


def pairwise_loss(
    chosen: Tensor, rejected: Tensor, pairs: Tensor | float | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Computes L = −E[log σ(r_win − r_lose)], the Bradley–Terry likelihood (paper, Eq. 4).

    Args:
        chosen: r of S_win, unnormalised, [P].
        rejected: r of S_lose after the same prefix, [P].
        pairs: Number of pairs in the optimizer's batch; None: this is all of it.

    Returns:
        The sum ÷ `pairs`; with the mean margin and the share of pairs in the right order.
    """
    from torch.nn.functional import logsigmoid

    # [P]; in float32, for bfloat16 rounds away small margins.
    margin = chosen.float() - rejected.float()
    metrics = {"margin": margin.detach().mean(), "accuracy": (margin > 0).float().mean()}
    return -logsigmoid(margin).sum() / (len(margin) if pairs is None else pairs), metrics
