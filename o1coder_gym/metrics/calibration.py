"""Calibration: maps a model's logit to a score that equals the share of right predictions. Pure.

N examples. Both ways keep the order of scores. Isotonic regression makes neighbours equal, which moves AUC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from o1coder_gym.errors import UsageError


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map from logits to scores.

    Attributes:
        method: ``"none"``, ``"temperature"`` or ``"isotonic"``.
        temperature: τ of σ(z / τ), > 0; read by ``"temperature"``.
        logits: Knots, ascending; read by ``"isotonic"``.
        scores: Score at each knot, ascending, in [0, 1].
        fitted_on: The data's hash, its ``split``, ``problems`` by id and ``questions`` by key; empty if not
            known. What is measured on those problems is not a measure of the calibration.
    """

    method: str = "none"
    temperature: float = 1.0
    logits: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    fitted_on: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __call__(self, logit: float) -> float:
        """Returns the score of a logit, in [0, 1]."""
        if self.method == "isotonic":
            return float(np.interp(logit, self.logits, self.scores))
        return sigmoid(logit / self.temperature)


UNCALIBRATED = Calibration()
"""σ(z), as the model was trained."""


def fit(method: str, logits: Sequence[float], targets: Sequence[float]) -> Calibration:
    """Fits a calibration.

    Args:
        method: ``"none"``, ``"temperature"`` (Guo et al. 2017) or ``"isotonic"``.
        logits: z of examples that the model was not trained on, [N].
        targets: Their labels in [0, 1], [N].

    Raises:
        UsageError: When there is no such method, or no example.
    """
    if method not in _METHODS:
        raise UsageError(f"calibration is one of {', '.join(_METHODS)}, not {method!r}")
    if len(logits) == 0:
        raise UsageError("a calibration needs examples")
    return _METHODS[method](np.asarray(logits, float), np.asarray(targets, float))


def sigmoid(logit: float) -> float:
    """Returns σ(z), without overflow."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def _none(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    return UNCALIBRATED


def _temperature(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    """Minimises the cross-entropy over τ in [0.05, 20] by golden-section search on log τ."""

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        # −[y log σ(z/τ) + (1 − y) log(1 − σ(z/τ))] = log(1 + e^{z/τ}) − y·z/τ, without overflow.
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    # The loss is convex in 1/τ, so it has one minimum on log τ too.
    ratio = (math.sqrt(5) - 1) / 2
    low, high = math.log(0.05), math.log(20.0)
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return Calibration("temperature", math.exp((low + high) / 2))


def _isotonic(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    """Pools adjacent violators (Ayer et al. 1955): the non-decreasing fit of least squares."""
    # Equal logits are one knot: a function has one value there.
    knots, places = np.unique(logits, return_inverse=True)
    counts = np.bincount(places)
    blocks: list[list[float]] = []  # [sum of targets, examples, knots]
    for total, count in zip(np.bincount(places, weights=targets), counts, strict=True):
        blocks.append([float(total), float(count), 1.0])
        # A block whose mean is not above the one before it violates the order: both are pooled to their mean.
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    # A block's mean at each of its knots; between two knots the score is interpolated.
    scores = [total / count for total, count, size in blocks for _ in range(int(size))]
    return Calibration("isotonic", 1.0, tuple(knots.tolist()), tuple(scores))


_METHODS = {"none": _none, "temperature": _temperature, "isotonic": _isotonic}
