"""Figures of TRL's trainers: means over what is learned from, whatever stands in a forward pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainerCallback


class CountedFigures:
    """Mixin of TRL's trainers: a figure is a mean over rows or tokens, not over forward passes.

    TRL averages a pass of all ranks, with the idle rows that fill it, and then the passes. So figures
    depended on how many rows are read at once, and on the number of ranks.
    """

    def __init__(self: Any, *given: Any, **arguments: Any) -> None:
        """Args: those of the trainer."""
        super().__init__(*given, **arguments)
        # By mode and figure, of each pass since the last log: what TRL's mean is over, what is learned from.
        self._counted: dict[str, Any] = {"train": defaultdict(list), "eval": defaultdict(list)}
        self.add_callback(_RecallsTokens(self))

    def count(self: Any, counts: Mapping[str, tuple[Any, Any]], idle_tokens: Any) -> None:
        """Remembers what the figures of the forward pass that was just made are means over.

        Args:
            counts: By figure, of this rank: how many rows or tokens TRL's mean is over, where those that
                are not learned from count as 0, and how many are learned from.
            idle_tokens: Tokens of this rank's idle rows, prompts too.
        """
        own = torch.tensor([[int(idle_tokens), 0], *([int(over), int(of)] for over, of in counts.values())])
        # [ranks, figures + 1, 2], summed over ranks.
        (idle, _), *found = self.accelerator.gather(own[None].to(self.accelerator.device)).sum(0).tolist()
        mode = "train" if self.model.training else "eval"
        for name, pair in zip(counts, found, strict=True):
            self._counted[mode][name].append(pair)
        if mode == "train":
            self._total_train_tokens -= idle
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]

    def log(self: Any, logs: dict[str, float], *arguments: Any, **named: Any) -> None:
        """Logs, with each counted figure as one mean over all passes since the last log."""
        mode = "train" if self.model.training else "eval"
        figures, counted = self._metrics[mode], self._counted[mode]
        for name in counted.keys() & figures.keys():
            means = figures.pop(name)
            total = sum(mean * over for mean, (over, _) in zip(means, counted[name], strict=True))
            learned = sum(of for _, of in counted[name])
            if learned:
                figures[name] = [total / learned]
        counted.clear()
        super().log(logs, *arguments, **named)  # pyright: ignore[reportAttributeAccessIssue]


class _RecallsTokens(TrainerCallback):
    """Lets ``num_tokens`` go on where an earlier part of a training ended; TRL counts from 0 again."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        told = [row["num_tokens"] for row in state.log_history if "num_tokens" in row]
        self._trainer._total_train_tokens = int(told[-1]) if told else 0
