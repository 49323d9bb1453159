"""The settings of a training by transformers, and how a batch is cut into forward passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from o1coder_gym.errors import UsageError
from o1coder_gym.runs import ranks
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, Positive, Range, check_fields
from o1coder_gym.settings.groups import Dtype, TemplateArguments


@dataclass(frozen=True, slots=True)
class TrainingSettings(Checked):
    """Training.

    Attributes:
        learning_rate: Peak learning rate, with linear decay after a warm-up of 5 % of the steps.
        epochs: Passes over the rows; --max-steps cuts them short.
        max_steps: Optimizer steps at most; 0: all.
        batch_size: Rows per optimizer step.
        rows_at_once: Rows per forward pass; divides the batch.
        group_prefixes: Put rows with a common beginning into one forward pass, which computes the shared part
            once. Faster where prompts have several rows; but a batch then has fewer prompts, and learns less.
        lora_rank: LoRA on all linear layers; 0 trains all weights.
        max_length: Longest row in tokens, at most the model's context; longer ones are left out.
        beta: β of DPO, how strongly the policy is held to the reference.
        save_steps: Optimizer steps between two checkpoints.
        dtype: Data type of the weights; auto: bfloat16 on a GPU with LoRA, else float32, for a PRM always
            float32. A CPU that can multiply in bfloat16 is faster with it; meant for LoRA.
        seed: Seed of order and initialisation.
        template_arguments: Variables of the chat template, e.g. {"enable_thinking": false}; what is saved
            has them too.
    """

    learning_rate: Annotated[Positive, Flag("--lr")] = 5e-4
    epochs: Annotated[float, Range(0.01)] = 1.0
    max_steps: Count = 0
    batch_size: Annotated[AtLeastOne, Flag("--batch")] = 8
    rows_at_once: AtLeastOne = 4
    group_prefixes: bool = False
    lora_rank: Count = 1
    max_length: Annotated[int, Range(16)] = 1024
    beta: Positive = 0.1
    save_steps: AtLeastOne = 50
    dtype: Dtype = "auto"
    seed: int = 0
    template_arguments: TemplateArguments = None

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers that make no sense."""
        check_fields(self)
        check_batch(self.batch_size, self.rows_at_once)


def check_batch(batch: int, at_once: int, what: str = "rows") -> None:
    """Raises `UsageError` if a batch does not divide into equal forward passes; names sizes that do."""
    if batch % at_once:
        fits = that_divides(batch, at_once)
        raise UsageError(
            f"a batch of {batch} {what} is not made of {at_once} at once; give --rows-at-once {fits}"
        )


def that_divides(batch: int, at_once: int) -> int:
    """Returns the largest divisor of a batch up to the requested number of rows at once, and to 1,024."""
    return next(size for size in range(min(at_once, 1024), 0, -1) if batch % size == 0)


def passes(batch: int, at_once: int, what: str = "rows") -> int:
    """Returns the forward passes that each rank makes for an optimizer step.

    Raises:
        UsageError: When the ranks cannot share a batch; says how many rows at once would do, if any.
    """
    count = ranks.count()
    if batch % (at_once * count):
        fits = "" if batch % count else f"; give --rows-at-once {that_divides(batch // count, at_once)}"
        raise UsageError(
            f"a batch of {batch} {what} cannot be shared by {count} processes, {at_once} at once{fits}"
        )
    return batch // (at_once * count)


PRM_SETTINGS = TrainingSettings(learning_rate=1e-5, epochs=2.0, batch_size=16, lora_rank=16, max_length=1536)
"""Defaults of a process reward model's training."""
