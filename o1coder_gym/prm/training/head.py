"""Fits the scalar head to the frozen backbone before both are trained (LP-FT, Kumar et al. 2022).

A head of random weights ranks steps at random, and a short training leaves it so: hidden states of a language
model are large and nearly alike, so that the first hundreds of steps turn it little. On fixed states the best
head is a convex problem: no seed, no learning rate. D hidden size, K marks, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from o1coder_gym.prm.losses import IGNORED, pairwise_loss, pointwise_loss
from o1coder_gym.prm.step_text import EncodedSteps

PRECISION = 1.5
"""Of the normal prior of w, with states scaled to a mean square of 1: what hardly varies stays unused.

On trees of MBPP, by cross-validation over problems, the best one was near 1.2 with 1,180 marks and near 1.4
with 280.
"""

PAIR_PRECISION = 20.0
"""Of the prior of w around the point-wise head, for pairs.

By cross-validation on 133 pairs of 64 problems of MBPP: 0.56 of the pairs in order from 10 to 40 (0.53 at 3).
A prior around zero came to 0.48 to 0.56 and to an AUC below ½.
"""

_STEPS = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """The fitting problem of a head (a linear probe): chains and loss.

    Attributes:
        chains: Encoded steps with K marks in all.
        loss: Maps the logits of all marks, [K], to the loss of an objective.
    """

    chains: tuple[EncodedSteps, ...]
    loss: Callable[[Tensor], Tensor]


def pointwise_probe(rows: Sequence[dict[str, Any]]) -> Probe:
    """Returns the probe of rows from `collators.pointwise_examples`, for Eq. 3."""
    chains, targets = [], []
    for row in rows:
        marks = tuple(place for place, label in enumerate(row["labels"]) if label != IGNORED)
        chains.append(EncodedSteps(tuple(row["input_ids"]), marks))
        targets.extend(row["labels"][mark] for mark in marks)
    # [K], in the order of the states.
    labels = torch.tensor(targets)
    return Probe(tuple(chains), lambda logits: pointwise_loss(logits, labels)[0])


def pairwise_probe(rows: Sequence[dict[str, Any]]) -> Probe:
    """Returns the probe of rows from `collators.pairwise_examples`, Eq. 4; chosen and rejected alternate."""
    sides = [tuple(row[name]) for row in rows for name in ("chosen_ids", "rejected_ids")]
    chains = tuple(EncodedSteps(ids, (len(ids) - 1,)) for ids in sides)
    # [2P] logits: chosen at even places, rejected at odd ones.
    return Probe(chains, lambda logits: pairwise_loss(logits[::2], logits[1::2])[0])


@dataclass(frozen=True, slots=True)
class FittedHead:
    """A linear head z = w · h + b over unscaled hidden states h.

    Attributes:
        weight: w, [D], float32.
        bias: b, [], float32.
        loss: Of the objective on what the head was fitted to, without penalty.
    """

    weight: Tensor
    bias: Tensor
    loss: float


def fit_head(
    states: Tensor,
    loss: Callable[[Tensor], Tensor],
    around: FittedHead | None = None,
    precision: float = PRECISION,
) -> FittedHead:
    """Minimises loss(z) + λ/2K · |w − w₀|² over z = w · (h − mean) / size + b, by L-BFGS.

    Args:
        states: h, [K, D].
        loss: Convex in the logits z, [K].
        around: Where the prior has its mean, w₀; None is zero. Its bias is where b starts.
        precision: λ ≥ 0.
    """
    # One size for all D dimensions: the prior then costs those that vary little more than others, which with
    # a size for each it would not, and what hardly varies is mostly noise.
    mean, size = states.double().mean(0), states.double().square().mean().sqrt()  # [D], []
    scaled = (states.double() - mean) / size  # [K, D]
    centre, bias = torch.zeros_like(mean), torch.zeros_like(size)
    if around is not None:  # z = w · h + b in terms of the scaled states
        centre = around.weight.double() * size
        bias = around.bias.double() + around.weight.double() @ mean
    weight = centre.clone().requires_grad_()
    bias.requires_grad_()
    # Convex and small (D + 1 numbers): L-BFGS reaches the minimum, so that no learning rate or seed has a
    # say.
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def penalised() -> Tensor:
        solver.zero_grad()
        distance = (weight - centre).square().sum()
        value = loss(scaled @ weight + bias) + precision / (2 * len(states)) * distance
        value.backward()
        return value

    solver.step(penalised)  # pyright: ignore[reportArgumentType] (a closure may return a tensor)
    with torch.no_grad():
        reached = loss(scaled @ weight + bias).item()
    found = weight.detach() / size  # back to states as they are, so that scoring needs no scale
    return FittedHead(found.float(), (bias.detach() - found @ mean).float(), reached)
