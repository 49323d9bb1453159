"""Fine-tuning of language models on conversations: SFT on answers (Eq. 2), DPO on pairs (Eq. 1).

TRL does the work; torch, TRL and PEFT are imported when a training starts. Rows hold lists of messages:
``prompt`` and ``completion`` for SFT, ``prompt``, ``chosen`` and ``rejected`` for DPO. Rows of SFT may also
be tokens, ``input_ids`` and ``labels``, where a part of an answer is not learned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.chat_template import TrainingTokens, check_training_tokens, training_tokens
from o1coder_gym.models.checkpoints import load_weights, quiet
from o1coder_gym.models.context import longest_row
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import lora, trainer_arguments
from o1coder_gym.models.training.assembly import Assembly, TrainingResult, save_policy, train_once
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.models.training.starting import check_start, provenance, trained_type
from o1coder_gym.runs import ranks

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER = "adapter"
"""Folder of the adapters alone, as PEFT loads them."""

Stage: TypeAlias = Literal["sft", "dpo"]
Row: TypeAlias = Mapping[str, Any]
Encode: TypeAlias = Callable[[Any, Any], Row | None]
"""Makes a row of tokens of what a caller has, given the tokenizer; None leaves it out."""


def finetune(
    stage: Stage,
    model: str,
    train_rows: Sequence[Any],
    validation_rows: Sequence[Any],
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    encode: Encode | None = None,
    data: str = "",
    learned: Collection[str] = (),
    resume: bool = False,
    push_to_hub: str | None = None,
) -> TrainingResult:
    """Trains a model by SFT (Eq. 2) or DPO (Eq. 1) and saves it; returns a finished training unchanged.

    Checkpoints and TensorBoard logs lie in ``out/checkpoints``, the model in ``out/model``, of LoRA also the
    adapters alone in ``out/adapter``.

    Args:
        stage: ``"sft"``, or ``"dpo"`` with the given model as the reference.
        model: Known name, Hub id or folder.
        train_rows: Rows to learn from.
        validation_rows: Rows to measure the loss on; may be empty.
        out: Run folder.
        settings: See `TrainingSettings`.
        encode: Makes rows of tokens of the given ones; None takes them as they are.
        data: Hash of the data set that the rows are from, for the record.
        learned: Keys of the questions that the rows are about (`trained_on.keys_of`), kept beside the model.
        resume: Go on from the last checkpoint, if there is one.
        push_to_hub: Repository to push the model to; None keeps it here.

    Raises:
        MissingExtraError: When TRL or PEFT is not installed.
        O1CoderError: When there are no train rows or none fits, `out` holds checkpoints and `resume` is
            false, a row does not begin with the policy's prompt, or the model cannot be saved.
        WeightsError: When the model cannot be found.
    """
    training = Assembly(
        made=provenance(stage, model, data, settings),
        out=out,
        resume=resume,
        assemble=partial(_assembled, stage, model, (train_rows, validation_rows), out, settings, encode),
        save=_save_with_adapters,
        keys=learned,
    )
    result = train_once(training, partial(check_start, model, settings, "trl", "peft", "datasets"))
    if push_to_hub is not None and ranks.is_first():
        for part in load_weights(result.model, "saved"):
            part.push_to_hub(push_to_hub)
    return result


def _assembled(
    stage: Stage,
    model: str,
    parts: tuple[Sequence[Any], Sequence[Any]],
    out: Path,
    settings: TrainingSettings,
    encode: Encode | None,
    checkpoint: str | None,
) -> tuple[Any, dict[str, Any]]:
    """Makes the trainer of rows that fit; counts the others."""
    if not parts[0]:
        raise O1CoderError(
            f"the train split has no {stage} rows, the validation split {len(parts[1])}: make data of more "
            "problems, or hold out fewer (--validation)"
        )
    loaded, tokenizer = load_weights(model_path(model), trained_type(settings), settings.template_arguments)
    longest = longest_row(loaded, settings.max_length)
    train_part, validation_part = (
        _fitting(_encoded(rows, tokenizer, encode), tokenizer, longest) for rows in parts
    )
    if not train_part:
        raise O1CoderError(
            f"none of {len(parts[0])} {stage} rows can be learned: over {longest} tokens, "
            "or nothing that the policy could have written after its prompt"
        )
    _check(train_part, tokenizer)
    with quiet():
        trainer = _trainer(stage, loaded, tokenizer, train_part, validation_part, out, settings, checkpoint)
    return trainer, {"rows_left_out": sum(map(len, parts)) - len(train_part) - len(validation_part)}


def _save_with_adapters(trainer: Any, folder: Path) -> None:
    """Saves a policy, of LoRA also the adapters alone, beside its folder."""
    if hasattr(trainer.model, "peft_config"):
        with quiet():
            trainer.model.save_pretrained(folder.parent / ADAPTER)
    save_policy(trainer, folder)


def _encoded(rows: Sequence[Any], tokenizer: Any, encode: Encode | None) -> list[Row]:
    if encode is None:
        return list(rows)
    return [found for row in rows if (found := encode(tokenizer, row)) is not None]


def _fitting(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Row]:
    """Returns the rows all of whose answers fit; a cut answer would teach the model to stop midway."""

    def length(row: Row) -> int:
        if "input_ids" in row:
            return len(row["input_ids"])
        tokens = [
            _tokens(row, side, tokenizer) for side in ("completion", "chosen", "rejected") if side in row
        ]
        return max(len(one.prompt) + len(one.answer) for one in tokens)

    return [row for row in rows if length(row) <= max_length]


def _tokens(row: Row, side: str, tokenizer: PreTrainedTokenizerBase) -> TrainingTokens:
    return training_tokens(tokenizer, row["prompt"], row[side][0]["content"])


def _given(row: Row, _: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Returns a row that already consists of tokens."""
    return {name: row[name] for name in ("input_ids", "labels")}


def _sft_row(row: Row, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    tokens = _tokens(row, "completion", tokenizer)
    # Eq. 2 sums over the path given the question: the prompt has no loss.
    mask = [0] * len(tokens.prompt) + [1] * len(tokens.answer)
    return {"input_ids": [*tokens.prompt, *tokens.answer], "completion_mask": mask}


def _dpo_row(row: Row, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    chosen, rejected = (_tokens(row, side, tokenizer) for side in ("chosen", "rejected"))
    # Tokenizers may join the prompt's end with the answer's first characters on one side: the shorter is
    # shared.
    shared = chosen.prompt if len(chosen.prompt) < len(rejected.prompt) else rejected.prompt
    ids = {"chosen_ids": chosen, "rejected_ids": rejected}
    answers = {name: [*(one.prompt + one.answer)[len(shared) :]] for name, one in ids.items()}
    return {"prompt_ids": [*shared], **answers}


def _check(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises `O1CoderError` for the first row that does not begin with the policy's prompt."""
    check_training_tokens(
        tokenizer,
        (
            (row["prompt"], row[side][0]["content"], _tokens(row, side, tokenizer))
            for row in rows
            for side in ("completion", "chosen")
            if side in row
        ),
    )


def _trainer(
    stage: Stage,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    out: Path,
    settings: TrainingSettings,
    checkpoint: str | None = None,
) -> Any:
    """Assembles TRL's trainer of a stage."""
    from datasets import Dataset
    from trl import DPOConfig, SFTConfig

    from o1coder_gym.models.batches.projection import project_completions_only
    from o1coder_gym.models.batches.row_order import filled, order_rows
    from o1coder_gym.models.batches.shared_prefixes import share_prefixes
    from o1coder_gym.models.training.answers import AnswerTrainer
    from o1coder_gym.models.training.pairs import PairTrainer

    project_completions_only()
    share_prefixes(model)
    # Tokens, not messages: TRL would render them by its own template, and prompts could differ from search.
    as_tokens = _given if "input_ids" in train_rows[0] else _sft_row if stage == "sft" else _dpo_row
    sets = [
        Dataset.from_list(filled([as_tokens(row, tokenizer) for row in rows], settings.rows_at_once))
        if rows
        else None
        for rows in (train_rows, validation_rows)
    ]
    common = trainer_arguments(out, settings, evaluates=bool(validation_rows))
    common["max_length"] = None  # all rows fit; TRL would leave out idle ones, which have no label
    shared = {
        "model": model,
        "train_dataset": sets[0],
        "eval_dataset": sets[1],
        "processing_class": tokenizer,
        "peft_config": lora(settings.lora_rank, checkpoint),
    }

    if stage == "sft":
        trainer: Any = AnswerTrainer(args=SFTConfig(**common, completion_only_loss=True), **shared)
    else:
        trainer = PairTrainer(args=DPOConfig(**common, beta=settings.beta), **shared)
    order_rows(trainer, len(train_rows), neighbours=settings.group_prefixes)
    return trainer
