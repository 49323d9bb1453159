"""Iterative DPO on sibling steps: the better of two steps of a search tree against the worse.

One round takes the pairs of the newest process data; search with the policy that it makes gives the next
pairs. TRL's DPOTrainer minimises −log σ(β·(log π/π_ref of the chosen − of the rejected)); a pair's prompt is
what the policy was shown before the two steps, token by token as in search.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from o1coder_gym.agents.rl.settings import DPOSettings, common_arguments
from o1coder_gym.errors import MissingExtraError, O1CoderError
from o1coder_gym.models.batches.projection import project_completions_only
from o1coder_gym.models.batches.row_order import filled, order_rows
from o1coder_gym.models.batches.shared_prefixes import share_prefixes
from o1coder_gym.models.checkpoints import load_weights
from o1coder_gym.models.context import longest_row
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.models.training.assembly import Assembly, train
from o1coder_gym.models.training.settings import passes
from o1coder_gym.models.training.starting import provenance, trained_type
from o1coder_gym.policies.token_text import TokenText, step_tokens
from o1coder_gym.process_data import PairRow, ProcessData
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.steps.formats import StepFormat
from o1coder_gym.types import Problem

try:
    from datasets import Dataset
    from trl import DPOConfig

    from o1coder_gym.models.training.pairs import PairTrainer
except ImportError as error:
    raise MissingExtraError("trl", "train", error) from error


def train_dpo(
    weights: str,
    data: ProcessData,
    out: Path,
    settings: DPOSettings,
    *,
    step_format: StepFormat,
    resume: bool = False,
    reference: str | None = None,
) -> Path:
    """Trains one round of iterative DPO and saves the policy.

    Args:
        weights: Known name, Hub id or folder of the model to start from.
        data: Its training pairs are learned from.
        out: Run folder: ``checkpoints/`` and ``model/``.
        settings: See `DPOSettings`.
        step_format: How steps are written.
        resume: Go on from the last checkpoint, if there is one.
        reference: Model that is π_ref, which moves with the rounds if it is None: then training starts at it.

    Returns:
        The folder of the trained model.

    Raises:
        O1CoderError: When there are no pairs; when `out` holds checkpoints and `resume` is false, or those of
            a training on other pairs or with other settings.
        WeightsError: When the model cannot be found.
    """
    pairs = widest(data.of_split("train").pairs, None, settings.seed)
    # Only where it is set: folders of runs without a reference keep the hash that they were begun with.
    further = {"reference": reference} if reference else {}
    digest = content_hash([pair.to_row() for pair in pairs])
    training = Assembly(
        made=provenance("rl dpo", weights, digest, settings, **further),
        out=out,
        resume=resume,
        assemble=partial(_assembled, weights, data, pairs, out, settings, step_format, reference),
        keys=data.learned_keys(),
    )
    return train(training).model


def widest(pairs: Sequence[PairRow], most: int | None, seed: int) -> list[PairRow]:
    """Returns the pairs of largest margin, by margin.

    Args:
        pairs: To choose from.
        most: How many at most; None takes all.
        seed: Decides among equal margins. Values are means of few visits, so many are equal; in the order of
            the data those of its first problems would be all that is learned from.
    """
    drawn = random.Random(seed).sample(pairs, len(pairs)) if most is not None else pairs
    return sorted(drawn, key=lambda pair: -pair.margin)[:most]


def _assembled(
    weights: str,
    data: ProcessData,
    pairs: Sequence[PairRow],
    out: Path,
    settings: DPOSettings,
    step_format: StepFormat,
    reference: str | None,
    checkpoint: str | None,
) -> tuple[PairTrainer, dict[str, Any]]:
    """Makes the trainer of the widest pairs that fit; counts those that do not."""
    dtype = trained_type(settings)
    loaded, tokenizer = load_weights(model_path(weights), dtype, settings.template_arguments)
    problems = {problem.task_id: problem for problem in data.problems}
    text, longest = TokenText(tokenizer), longest_row(loaded, settings.max_length)
    # Left out, not cut: half a step is not an action of the policy.
    fitting = {
        pair: row
        for pair in pairs
        for row in pair_tokens(text, step_format, problems, [pair])
        if _length(row) <= longest
    }
    left_out = len(pairs) - len(fitting)
    if not fitting:
        why = f" ({left_out} are over {longest} tokens, or hold a step that cannot be read)"
        told = why if left_out else ""
        raise O1CoderError(
            f"none of {len(pairs)} pairs can be learned from{told}; search wider (o1coder synthesize), or "
            "lower the margin of pairs"
        )
    rows = [fitting[pair] for pair in widest(list(fitting), settings.pairs or None, settings.seed)]
    adapters = lora(settings.lora_rank, checkpoint)
    project_completions_only()
    # With LoRA the base without adapters is where training starts; TRL needs no second model for that.
    second = reference or (None if adapters else weights)
    held_to = load_weights(model_path(second), dtype)[0] if second else None
    # The reference too: it reads the same batches, in which rows share their prompts.
    for one in filter(None, (loaded, held_to)):
        share_prefixes(one)
    trainer = PairTrainer(
        settings.imitation,
        model=loaded,
        ref_model=held_to,
        args=DPOConfig(**_arguments(out, settings)),
        train_dataset=Dataset.from_list([*filled(rows, settings.rows_at_once)]),
        processing_class=tokenizer,
        peft_config=adapters,
    )
    # After `filled`: the rows that were put in to fill a batch come behind the `len(rows)` real ones.
    order_rows(trainer, len(rows), neighbours=settings.group_prefixes)
    return trainer, {"rows_left_out": left_out}


def pair_tokens(
    text: TokenText, step_format: StepFormat, problems: dict[str, Problem], pairs: Sequence[PairRow]
) -> Iterable[dict[str, list[int]]]:
    """Yields pairs as TRL's ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    The two sides are the tokens that a policy samples, those that end a step too (`step_tokens`). Pairs with
    a step that cannot follow the header that the format gives are left out.
    """
    for pair in pairs:
        problem = problems[pair.state.problem_id]
        sides = [
            step_tokens(text, step_format, problem, pair.state, step) for step in (pair.chosen, pair.rejected)
        ]
        # Both or none: DPO compares two continuations of one prompt.
        found = [list(side[0]) for side in sides if side is not None]
        if len(found) == 2:
            prompt_ids = list(text.encode(step_format.prompt(problem, pair.state)))
            yield {"prompt_ids": prompt_ids, "chosen_ids": found[0], "rejected_ids": found[1]}


def _length(row: dict[str, list[int]]) -> int:
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def _arguments(out: Path, settings: DPOSettings) -> dict[str, Any]:
    return {
        **common_arguments(out, settings),
        "num_train_epochs": settings.epochs,
        "gradient_accumulation_steps": passes(settings.batch_size, settings.rows_at_once, "pairs"),
        "max_length": settings.max_length,
        "save_steps": settings.save_steps,
    }
