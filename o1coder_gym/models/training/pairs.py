"""DPO on pairs that are tokens, of whole answers or of steps. P pairs of a forward pass, T tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from trl import DPOTrainer

from o1coder_gym.models.training.figures import CountedFigures
from o1coder_gym.runs import ranks

_OF_PAIRS = (
    *(f"rewards/{name}" for name in ("chosen", "rejected", "accuracies", "margins")),
    *(f"logps/{name}" for name in ("chosen", "rejected")),
)
"""TRL's figures that are means over the pairs of a forward pass, of all ranks."""


class PairTrainer(CountedFigures, DPOTrainer):
    """TRL's DPO trainer whose loss and figures are means over pairs and tokens, not over forward passes.

    TRL averages a forward pass over its pairs, and then the passes: a pair in a smaller one weighs more.
    A pair of equal sides is idle: it has no better side, so its loss is −log σ(0) = log 2 and its gradient 0,
    and it is in no figure.
    """

    _per_pass: float | None = None

    def __init__(self, imitation: float = 0.0, **arguments: Any) -> None:
        """Wires the trainer.

        Args:
            imitation: Weight of −log π of the better side.
            **arguments: Of `trl.DPOTrainer`.
        """
        super().__init__(**arguments)
        self._imitation = imitation

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Leaves the data set as it is; TRL would end each answer with an end-of-text token."""
        return dataset

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """Returns the forward passes of an optimizer step; counts their pairs, of all ranks."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        pairs = sum(int(better_and_worse(batch).sum()) for batch in batches)
        self._per_pass = sum(ranks.gathered(pairs)) / (max(1, len(batches)) * ranks.count())
        return batches, items

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Returns the loss of a forward pass: its pairs' sum, in units of the mean number of pairs a pass."""
        real = better_and_worse(inputs)
        idle = len(real) - int(real.sum())
        per_pass = (model.training and self._per_pass) or len(real) * self._share
        found: Any = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = found[0] if return_outputs else found
        # TRL's mean × its pairs is the sum; the log 2 of each idle pair is taken out of it; ÷ the mean number
        # of pairs a pass.
        weighed = loss * (len(real) / per_pass) - idle * math.log(2) / per_pass
        return (weighed, found[1]) if return_outputs else weighed

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        """Computes TRL's loss and imitation of the pairs that are not idle; counts these and their tokens."""
        real = better_and_worse(inputs)  # [P]
        rows = real.repeat(2)[:, None]  # [2P, 1]; the better sides come first
        # [2P, T]. Without a completion the log-probabilities of an idle pair are 0, under the reference too.
        learned = inputs["completion_mask"] * rows
        loss = self._imitating(model, {**inputs, "completion_mask": learned}, return_outputs)
        # As TRL counts tokens: nothing comes before the first one.
        chosen, rejected = (side.sum() for side in learned[:, 1:].chunk(2))
        of_pairs, both = (len(real), real.sum()), chosen + rejected
        counts = dict.fromkeys(_OF_PAIRS, of_pairs) | {"entropy": (both, both)}
        counts |= dict.fromkeys(("logits/chosen", "mean_token_accuracy"), (chosen, chosen))
        counts["logits/rejected"] = (rejected, rejected)
        self.count(counts, (inputs["attention_mask"] * ~rows).sum())
        return loss

    def _imitating(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        """Adds the mean over pairs of −log π / |y| of the better side y (arXiv 2404.19733, section 2).

        TRL's own loss of that kind is a mean over the tokens of a forward pass, so that a pair would weigh
        more beside shorter ones, and the gradient would depend on `rows_at_once`.
        """
        if not self._imitation:
            return super()._compute_loss(model, inputs, return_outputs)
        # A hook, for TRL's loss returns no log-probabilities: the forward pass that it makes anyway is read,
        # none is added.
        seen: list[Any] = []
        with model.register_forward_hook(lambda _, __, output: seen.append(output)):
            loss = super()._compute_loss(model, inputs, return_outputs)
        # The policy comes before the reference, which may be the same model without adapters; the better
        # sides are the first half of the rows, and prompts have a log-probability of 0, [P, T].
        chosen, mask = (rows.chunk(2)[0] for rows in (seen[0].log_probs, inputs["completion_mask"]))
        # [P] means; an idle pair has no completion, and nothing to imitate.
        return loss - self._imitation * (chosen.sum(1) / mask.sum(1).clamp(min=1)).mean()

    @cached_property
    def _share(self) -> float:
        """Share of the rows to be measured on that are not idle."""
        rows: Any = self.eval_dataset or ()
        return sum(row["chosen_ids"] != row["rejected_ids"] for row in rows) / len(rows) if rows else 1.0


def better_and_worse(inputs: Mapping[str, Any]) -> Any:
    """Returns which pairs of a batch of TRL's DPO have a better side, [P] of bool; the others are idle."""
    # With the mask, for padding may look like the end of a text.
    tokens, seen = inputs["input_ids"].chunk(2), inputs["attention_mask"].chunk(2)
    return ((tokens[0] != tokens[1]) | (seen[0] != seen[1])).any(1)
