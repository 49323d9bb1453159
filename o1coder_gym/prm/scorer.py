"""ρ_PRM: a process reward model as a batched step scorer; one forward pass scores all steps of a chain."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from o1coder_gym.errors import ScorerError, UsageError
from o1coder_gym.metrics.calibration import UNCALIBRATED, Calibration
from o1coder_gym.models.context import longest_row
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.sources.adapters import shipped_prm
from o1coder_gym.prm.calibration import read_calibration
from o1coder_gym.prm.model import HEADS, StepModel, load_backbone
from o1coder_gym.prm.public import PUBLIC, ScorerSettings, kind_of
from o1coder_gym.prm.step_text import EncodedSteps, StepText
from o1coder_gym.steps.formats import load_format
from o1coder_gym.types import Problem, Scored, State

DESCRIPTION = "prm.json"
"""Says what kind of model a folder holds."""

_DIGITS = 4
_NO_STEPS = 0.5
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class _Read:
    """The logit of a state's last step, and the tokens up to where it stands."""

    logit: float
    tokens: int


class ModelScorer:
    """Scores steps by a model. Safe to call from several threads.

    Scores are rounded to 4 digits, so that in float32 it does not show what else was in a batch.
    """

    def __init__(
        self,
        model: StepModel,
        text: StepText,
        *,
        calibration: Calibration = UNCALIBRATED,
        batch_tokens: int = 16384,
    ) -> None:
        """Joins model and text.

        Args:
            model: Computes logits.
            text: Encodes states for it.
            calibration: Maps a logit to a score in [0, 1].
            batch_tokens: Tokens of a forward pass at most, padding included.
        """
        self.model = model
        self.text = text
        self.calibration = calibration
        self._batch_tokens = batch_tokens
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Drops cached prefixes of earlier states; scores depend on them by rounding."""
        with self._lock:
            self.model.forget()

    def score(self, items: Sequence[tuple[Problem, State]], /) -> list[float]:
        """Scores the last step of each state, with the tokens up to it; 0.5 for a state without steps.

        States that continue one another share a forward pass.
        """
        read = self._read(items)
        return [
            # Rounded: a batch of other rows moves the last digits, and equal states must have equal scores.
            Scored(round(self.calibration(read[item].logit), _DIGITS), read[item].tokens)
            if item[1].steps
            else _NO_STEPS
            for item in items
        ]

    @property
    def parameters(self) -> int:
        """Weights of backbone and head."""
        modules = (self.model.backbone, self.model.head)
        return sum(weight.numel() for module in modules for weight in module.parameters())

    def logits(self, items: Sequence[tuple[Problem, State]]) -> list[float]:
        """Returns the logit of the last step of each state; 0 for a state without steps.

        Raises:
            ScorerError: When a model returns something that is not a number, or a step does not fit.
        """
        read = self._read(items)
        return [read[item].logit if item[1].steps else 0.0 for item in items]

    def _read(self, items: Sequence[tuple[Problem, State]]) -> dict[tuple[Problem, State], _Read]:
        """Returns what was read of each state that has steps."""
        known: dict[tuple[Problem, State], _Read] = {}
        chains: list[tuple[Problem, list[State], EncodedSteps]] = []
        # Longest first: a chain gives the scores of all its prefixes, so most states need no pass of their
        # own.
        for problem, state in sorted(items, key=lambda item: -item[1].depth):
            if state.steps and (problem, state) not in known:
                scored, encoded = self._chain(problem, state)
                chains.append((problem, scored, encoded))
                # What a prefix would cost alone: its price must not depend on the chain that happened to be
                # read with it.
                lengths = (mark + 1 for mark in encoded.marks)
                known |= {
                    (problem, prefix): _Read(0.0, tokens)
                    for prefix, tokens in zip(scored, lengths, strict=True)
                }
        # The model is not for several threads, a batch is; other threads get their turn between batches.
        for batch in self.batches([len(encoded.ids) for _, _, encoded in chains]):
            with self._lock:
                found = self.model.logits([chains[index][2] for index in batch])
            for index, values in zip(batch, found, strict=True):
                problem, scored, _ = chains[index]
                for prefix, value in zip(scored, values, strict=True):
                    if value != value:  # NaN: a model that has come apart must not steer a search
                        raise ScorerError(f"{prefix.problem_id}: the model's score is not a number")
                    known[problem, prefix] = replace(known[problem, prefix], logit=value)
        return known

    def _chain(self, problem: Problem, state: State) -> tuple[list[State], EncodedSteps]:
        """Returns a chain as tokens and the states whose scores it gives.

        One that is cut gives its last state's alone: its prefixes would be cut less, or not at all, and a
        score must not depend on what else is asked for.
        """
        encoded = self.text.encode(problem, state)
        if len(encoded.ids) <= self.text.max_length:
            return _prefixes(state), encoded
        fitted = self.text.fitted(problem, state)
        return [state], EncodedSteps(fitted.ids, fitted.marks[-1:])

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Returns which chains share a pass: of like length, at most `batch_tokens` tokens with padding.

        Args:
            lengths: Tokens of each chain.
        """
        batches: list[list[int]] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            # Ascending lengths, so the newest row is the longest, and rows · its length counts the padding.
            if not batches or (len(batches[-1]) + 1) * lengths[index] > self._batch_tokens:
                batches.append([])
            batches[-1].append(index)
        return batches


def model_scorer(name: str, settings: ScorerSettings) -> ModelScorer:
    """Returns the scorer of a folder, a public model's name, one that ships with this package, or a Hub id.

    Raises:
        UsageError: When the folder does not say what kind of model it is, and `kind` does not either.
        ScorerError: When it cannot be loaded.
        WeightsError: When it cannot be found.
    """
    public = PUBLIC.get(name)
    folder = model_path(public.hub if public else shipped_prm(name) or name)
    told = _description(folder)
    kind = settings.kind or told.get("kind") or (public.kind if public else _kind_of_hub_id(name))
    if not kind:
        raise UsageError(f"{name} has no {DESCRIPTION}; say what it is: prm:{name}?kind=skywork, for example")
    return load_model_scorer(folder, kind, told.get("format", settings.format), settings, told)


def load_model_scorer(
    folder: Path, kind: str, format: str, settings: ScorerSettings, told: dict[str, Any]
) -> ModelScorer:
    """Loads weights, head, tokenizer and calibration of a folder."""
    family = kind_of(kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    backbone = load_backbone(folder, settings.dtype, settings.device)
    head = HEADS[family.head](folder, backbone, tokenizer)
    longest = longest_row(backbone, int(told.get("max_length", _LONGEST)))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    model = StepModel(backbone, head, pad)
    if settings.prefix_mib:
        model.keep_prefixes(settings.prefix_mib)
    return ModelScorer(
        model,
        StepText(tokenizer, load_format(format), family.layout, longest),
        calibration=read_calibration(folder) if settings.calibrated == "yes" else UNCALIBRATED,
        batch_tokens=settings.batch_tokens,
    )


def _prefixes(state: State) -> list[State]:
    return [State(state.problem_id, state.steps[:j]) for j in range(1, state.depth + 1)]


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ScorerError(f"{path}: not the description of a process reward model") from error


def _kind_of_hub_id(name: str) -> str | None:
    return next((model.kind for model in PUBLIC.values() if model.hub == name), None)
