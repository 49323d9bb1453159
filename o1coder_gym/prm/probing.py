"""Fits the scalar head to the untrained body before both are trained (LP-FT, Kumar et al. 2022).

A head of random weights ranks steps at random, and a short training leaves it so: hidden states of a language
model are large and nearly alike, so that the first hundreds of steps turn it little. On fixed states the best
head is a convex problem: no seed, no learning rate. D hidden size, K marks, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from o1coder_gym.prm.losses import IGNORED, pairwise_loss, pointwise_loss
from o1coder_gym.prm.model import StepModel, load_backbone
from o1coder_gym.prm.step_text import EncodedSteps

PRECISION = 1.5
"""Of the normal prior of w, with states scaled to a mean square of 1: what hardly varies stays unused.

On trees of MBPP, by cross-validation over problems, the best one was near 1.2 with 1,180 marks and near 1.4
with 280.
"""

_AT_ONCE = 16
_PREFIX_MIB = 1024
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """What a head is fitted to.

    Attributes:
        chains: Encoded steps with K marks in all.
        loss: Maps the logits of all marks, [K], to the loss of an objective.
    """

    chains: tuple[EncodedSteps, ...]
    loss: Callable[[Tensor], Tensor]


def pointwise_probe(rows: Sequence[dict[str, Any]]) -> Probe:
    """Returns what `batches.pointwise_examples` says, for equation 3."""
    chains, targets = [], []
    for row in rows:
        marks = tuple(place for place, label in enumerate(row["labels"]) if label != IGNORED)
        chains.append(EncodedSteps(tuple(row["input_ids"]), marks))
        targets.extend(row["labels"][mark] for mark in marks)
    labels = torch.tensor(targets)
    return Probe(tuple(chains), lambda logits: pointwise_loss(logits, labels)[0])


def pairwise_probe(rows: Sequence[dict[str, Any]]) -> Probe:
    """Returns what `batches.pairwise_examples` says, for equation 4."""
    sides = [tuple(row[name]) for row in rows for name in ("chosen_ids", "rejected_ids")]
    chains = tuple(EncodedSteps(ids, (len(ids) - 1,)) for ids in sides)
    return Probe(chains, lambda logits: pairwise_loss(logits[::2], logits[1::2])[0])


def hidden_states(folder: Path, chains: Sequence[EncodedSteps], dtype: str = "auto") -> Tensor:
    """Returns what a model says at all marks, [K, D], float32, computing shared prefixes once.

    Args:
        folder: Language model.
        chains: Encoded steps.
        dtype: Of the weights; see `load_backbone`.
    """
    reader = StepModel(load_backbone(folder, dtype), nn.Identity(), pad=0)
    reader.keep_prefixes(_PREFIX_MIB)
    starts = range(0, len(chains), _AT_ONCE)
    shown = track(starts, "reading", console=Console(stderr=True), transient=True)
    read = [states.cpu() for start in shown for states in reader.states(chains[start : start + _AT_ONCE])]
    return torch.cat(read)


def fit_head(states: Tensor, loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Minimises loss(z) + λ/2K · |w|² over z = w · (h − mean) / size + b, by L-BFGS; λ is `PRECISION`.

    Args:
        states: h, [K, D].
        loss: Convex in the logits z, [K].

    Returns:
        Weight [D] and bias [] of the head that takes states as they are.
    """
    mean, size = states.double().mean(0), states.double().square().mean().sqrt()
    scaled = (states.double() - mean) / size
    weight = torch.zeros(states.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def penalised() -> Tensor:
        solver.zero_grad()
        value = loss(scaled @ weight + bias) + PRECISION / (2 * len(states)) * weight.square().sum()
        value.backward()
        return value

    solver.step(penalised)  # pyright: ignore[reportArgumentType] (a closure may return a tensor)
    found = weight.detach() / size
    return found.float(), (bias.detach() - found @ mean).float()
