"""SFT on answers that are tokens. B rows of a forward pass, T tokens."""

from __future__ import annotations

from typing import Any

from trl import SFTTrainer

from o1coder_gym.models.batches.row_order import NOT_LEARNED
from o1coder_gym.models.training.arguments import MeasuredByLabel
from o1coder_gym.models.training.figures import CountedFigures


class AnswerTrainer(CountedFigures, MeasuredByLabel, SFTTrainer):
    """TRL's SFT trainer whose figures are means over all labels."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Returns the loss of a forward pass, see `MeasuredByLabel`; counts its labels."""
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        learned = inputs["labels"][:, 1:] != NOT_LEARNED  # [B, T - 1]: none of an idle row's tokens
        labels = learned.sum()
        idle = inputs["attention_mask"][~learned.any(1)].sum()
        self.count(dict.fromkeys(("entropy", "mean_token_accuracy"), (labels, labels)), idle)
        return found
