"""Trains a process reward model: point-wise on hard or soft labels (Eq. 3), pair-wise (Eq. 4).

A language model with a scalar head on the token that closes a step; transformers' Trainer does the work. All
three objectives train the same model on the same data and leave the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor
from transformers.utils import logging

from o1coder_gym.errors import O1CoderError, UnknownNameError
from o1coder_gym.models.batches.row_order import filled, order_rows
from o1coder_gym.models.batches.shared_prefixes import share_prefixes
from o1coder_gym.models.chat_template import with_template_arguments
from o1coder_gym.models.checkpoints import make_paddable, quiet, save_merged, try_saving
from o1coder_gym.models.context import longest_row
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.arguments import MeasuredByLabel, lora, trainer_arguments
from o1coder_gym.models.training.assembly import Assembly, TrainingResult, train_once
from o1coder_gym.models.training.settings import PRM_SETTINGS, TrainingSettings
from o1coder_gym.models.training.starting import check_start, provenance
from o1coder_gym.prm.collators import (
    Examples,
    PairwiseCollator,
    PointwiseCollator,
    pairwise_examples,
    pointwise_examples,
)
from o1coder_gym.prm.losses import IGNORED, pairwise_loss, pointwise_loss
from o1coder_gym.prm.public import KINDS
from o1coder_gym.prm.scorer import DESCRIPTION
from o1coder_gym.prm.step_text import StepText, Tokenizer
from o1coder_gym.prm.training.head import (
    PAIR_PRECISION,
    FittedHead,
    fit_head,
    pairwise_probe,
    pointwise_probe,
)
from o1coder_gym.prm.training.hidden_states import Reading, open_reading
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import write_json
from o1coder_gym.steps.formats import load_format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OBJECTIVES = ("soft", "hard", "pairwise")
STAGE = "prm"

Loss = Callable[[Tensor, Tensor, "Tensor | float | None"], tuple[Tensor, dict[str, Tensor]]]
"""Maps logits [B, T], a collator's labels and their number in the optimizer's batch to a loss and metrics."""


def train_prm(
    model: str,
    data: Path,
    out: Path,
    objective: str = "soft",
    settings: TrainingSettings = PRM_SETTINGS,
    *,
    resume: bool = False,
) -> TrainingResult:
    """Trains ρ_PRM (Algorithm 1, step 4) and saves it; a finished training is returned unchanged.

    Checkpoints and TensorBoard logs lie in ``out/checkpoints``, the model in ``out/model``: the scorer
    ``prm:OUT/model``.

    Args:
        model: Known name, Hub id or folder of a language model, or of a PRM trained here, to continue with.
        data: Folder made by `o1coder synthesize`; its train split is learned, its validation split measured.
        out: Run folder.
        objective: One of `OBJECTIVES`.
        settings: See `TrainingSettings`.
        resume: Go on from the last checkpoint, if there is one.

    Raises:
        JournalError: When `out` is in use by another training that fits its head, or cannot be written.
        MissingExtraError: When PEFT or accelerate is not installed.
        O1CoderError: When no row fits, or `out` holds checkpoints and `resume` is false.
        RowError: When there is no data set.
        UnknownNameError: When there is no such objective.
        WeightsError: When the model cannot be found.
    """
    require_objective(objective)
    rows = read_data(data)
    training = Assembly(
        made=provenance(STAGE, model, data_hash(data), settings, objective=objective),
        out=out,
        resume=resume,
        assemble=partial(_assembled, model, data, rows, out, objective, settings),
        save=lambda trainer, folder: save_prm(
            trainer.model,
            step_text(trainer.processing_class, rows.format, longest_row(trainer.model, settings.max_length)),
            folder,
            rows.format,
            objective,
        ),
        keys=rows.learned_keys(),
    )
    return train_once(training, partial(check_start, model, settings, "peft", "accelerate"))


def _assembled(
    model: str,
    data: Path,
    rows: ProcessData,
    out: Path,
    objective: str,
    settings: TrainingSettings,
    checkpoint: str | None,
) -> tuple[StepTrainer, dict[str, Any]]:
    """Makes the trainer of rows that fit, and counts the others; a fresh head is fitted first."""
    loaded, tokenizer, fresh = load_model(
        model_path(model), settings.dtype, settings.seed, settings.template_arguments
    )
    text = step_text(tokenizer, rows.format, longest_row(loaded, settings.max_length))
    learned = learned_rows(rows.of_split("train"), text, [objective])
    parts = [learned[objective], examples(rows.of_split("validation"), text, objective)]
    require_rows(parts[0], data, objective, text.max_length)
    if fresh and checkpoint is None:
        set_head(loaded, ranks.from_first(lambda: _first_head(model, settings, out, learned, objective)))
    with quiet():
        trainer = step_trainer(loaded, tokenizer, parts, objective, out, settings, checkpoint)
    return trainer, {"rows_left_out": parts[0].left_out + parts[1].left_out}


def _first_head(
    model: str, settings: TrainingSettings, out: Path, learned: Mapping[str, Examples], objective: str
) -> FittedHead:
    """Reads the rows with the frozen backbone and fits the head of an objective."""
    with open_reading(model, settings.dtype, out) as reading:
        return first_heads(reading, learned)[objective]


def require_objective(name: str) -> None:
    """Raises `UnknownNameError` when there is no such objective."""
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)


def require_rows(found: Examples, data: Path, objective: str, max_length: int) -> None:
    """Raises `O1CoderError` when there is nothing to learn from."""
    if found.rows:
        return
    if found.left_out:
        why = f"{found.left_out} are longer than {max_length} tokens"
    else:
        kind = "pairs" if objective == "pairwise" else "prefixes"
        why = f"its train split has no {kind}; search more problems, or hold out fewer (--validation)"
    raise O1CoderError(f"{data}: no {objective} rows to learn from: {why}")


def step_text(tokenizer: Tokenizer, step_format: str, max_length: int) -> StepText:
    """Returns the layout in which the models that are trained here read states."""
    return StepText(tokenizer, load_format(step_format), KINDS["o1coder"].layout, max_length)


def examples(data: ProcessData, text: StepText, objective: str) -> Examples:
    """Returns the rows of an objective."""
    if objective == "pairwise":
        return pairwise_examples(data, text)
    return pointwise_examples(data, text, soft=objective == "soft")


def first_heads(reading: Reading, learned: Mapping[str, Examples]) -> dict[str, FittedHead]:
    """Fits the head of each objective to the frozen backbone; see `head`.

    Args:
        reading: The backbone's hidden states.
        learned: Rows by objective, at least one each; see `learned_rows`.
    """
    probes = {name: pointwise_probe(found.rows) for name, found in learned.items() if name != "pairwise"}
    heads = {}
    if probes:
        chains = next(iter(probes.values())).chains  # soft and hard labels stand at the same marks
        states = reading.states(chains)
        heads = {name: fit_head(states, probe.loss) for name, probe in probes.items()}
    if "pairwise" in learned:
        pairs = pairwise_probe(learned["pairwise"].rows)
        # [2P, D], chosen and rejected in turn.
        sides = reading.states(pairs.chains)
        heads["pairwise"] = fit_head(sides, pairs.loss, heads.get("soft"), PAIR_PRECISION)
    return heads


def learned_rows(data: ProcessData, text: StepText, objectives: Sequence[str]) -> dict[str, Examples]:
    """Returns the rows of objectives, and for pairs the soft ones too, at whose head theirs begins."""
    found = {name: examples(data, text, name) for name in objectives}
    if "pairwise" in found and "soft" not in found:
        soft = examples(data, text, "soft")
        found |= {"soft": soft} if soft.rows else {}
    return found


def load_model(
    folder: Path, dtype: str, seed: int = 0, template_arguments: Mapping[str, Any] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """Loads a language model with a fresh scalar head, or a PRM with its own; a dtype of auto is float32.

    Returns:
        The model, its tokenizer, and whether the head is fresh.

    Raises:
        O1CoderError: When transformers gives models of its kind another head, or none.
    """
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    kind = AutoConfig.from_pretrained(folder).model_type
    if kind not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
        raise _headless(folder, f"has no head for each token for {kind} models")

    name = dtype if dtype != "auto" else "float32"
    # The fresh head is drawn by torch's global generator; `first_heads` replaces it, a resumed run loads it.
    torch.manual_seed(seed)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is meant
    try:
        with quiet():
            model, found = AutoModelForTokenClassification.from_pretrained(
                folder, dtype=getattr(torch, name), num_labels=1, output_loading_info=True
            )
    finally:
        logging.set_verbosity(verbosity)
    if not isinstance(getattr(model, "score", None), torch.nn.Linear):
        raise _headless(folder, f"gives its {type(model).__name__} no linear head called score")
    model.score = Float32Head(model.score)
    for module in model.children():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the head's; what was scored twice would get two scores
    tokenizer = with_template_arguments(AutoTokenizer.from_pretrained(folder), template_arguments)
    make_paddable(tokenizer)
    try_saving(model, tokenizer)
    return model, tokenizer, "score.weight" in found["missing_keys"]


def _headless(folder: Path, why: str) -> O1CoderError:
    told = f"{folder} cannot become a process reward model: transformers {why}"
    return O1CoderError(f"{told}; start from a model that has such a head, as those of Qwen and Llama have")


class Float32Head(torch.nn.Linear):
    """A head in float32, also where the layers below multiply in bfloat16, as `StepModel` scores with it.

    bfloat16 could not hold its steps, which are small beside its weights; and of weights that were rounded in
    each forward pass others would be learned than those that are saved.
    """

    def __init__(self, head: torch.nn.Linear) -> None:
        """Args: the head whose weights it takes over."""
        # Without memory, which would be filled at random: adapters are drawn next, by the same generator.
        super().__init__(
            head.in_features, head.out_features, head.bias is not None, device="meta", dtype=torch.float32
        )
        self.load_state_dict(head.float().state_dict(), assign=True)

    def forward(self, input: Tensor) -> Tensor:
        """Maps hidden states [B, T, D] of any type to [B, T, 1]."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def set_head(model: PreTrainedModel, head: FittedHead) -> None:
    """Copies a fitted head into a model."""
    model.get_submodule("score").load_state_dict({"weight": head.weight[None], "bias": head.bias[None]})


def save_prm(model: Any, text: StepText, folder: Path, step_format: str, objective: str) -> None:
    """Saves a model, adapters merged in, with all that a scorer needs to load it."""
    save_merged(model, text.tokenizer, folder)
    description: dict[str, Any] = {"kind": "o1coder", "format": step_format, "objective": objective}
    description["max_length"] = text.max_length
    write_json(folder / DESCRIPTION, description)


def step_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    parts: list[Examples],
    objective: str,
    out: Path,
    settings: TrainingSettings,
    checkpoint: str | None = None,
) -> StepTrainer:
    """Assembles the trainer of an objective; with LoRA the head is trained whole."""
    share_prefixes(model)
    if settings.lora_rank:
        from peft import get_peft_model

        adapter = lora(settings.lora_rank, checkpoint, task="TOKEN_CLS", trained_whole=["score"])
        model = get_peft_model(model, adapter)  # pyright: ignore[reportAssignmentType]
    pad = int(tokenizer.pad_token_id)  # pyright: ignore[reportArgumentType]
    pairwise = objective == "pairwise"
    arguments = transformers.TrainingArguments(
        **trainer_arguments(out, settings, evaluates=bool(parts[1].rows)),
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
    )
    trainer = StepTrainer(
        loss=bradley_terry if pairwise else pointwise_loss,
        model=model,
        args=arguments,
        train_dataset=filled(parts[0].rows, settings.rows_at_once),
        eval_dataset=filled(parts[1].rows, settings.rows_at_once) or None,
        data_collator=PairwiseCollator(pad) if pairwise else PointwiseCollator(pad),
        processing_class=tokenizer,
    )
    order_rows(trainer, len(parts[0].rows), neighbours=settings.group_prefixes)
    return trainer


def bradley_terry(
    logits: Tensor, labels: Tensor, sides: Tensor | float | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Applies `pairwise_loss` to a batch of `PairwiseCollator`: logits [2P, T], labels [2P] = marks.

    Args:
        logits: Of all tokens.
        labels: Marks; `IGNORED` for both sides of an idle pair.
        sides: Marks of the whole batch that this is a part of, two a pair; None takes it for whole.
    """
    (known,) = (labels != IGNORED).nonzero(as_tuple=True)
    if not len(known):
        return logits.sum() * 0.0, {}
    # [2P]: the logit at the mark of each side.
    rewards = logits[known, labels[known]]
    chosen, rejected = rewards.chunk(2)
    return pairwise_loss(chosen, rejected, None if sides is None else sides / 2)


class StepTrainer(MeasuredByLabel, transformers.Trainer):
    """transformers' Trainer with a loss of this project; logs the loss's metrics beside it.

    A loss is a sum over labels ÷ the labels of the optimizer's batch. A mean of means would weigh a label by
    what else is in its micro-batch, so that the gradient depended on how many rows are read at once.
    """

    def __init__(self, *, loss: Loss, **arguments: Any) -> None:
        """Args: the loss, and the arguments of `transformers.Trainer`."""
        super().__init__(compute_loss_func=self._measured, **arguments)
        self._loss = loss
        self._seen: dict[str, list[tuple[float, int]]] = {}
        self.model_accepts_loss_kwargs = False  # the number of labels is for the loss, not for the model

    def _measured(self, output: Any, labels: Tensor, num_items_in_batch: Tensor | float | None) -> Tensor:
        """Returns the loss of a collated batch, a part of that of the optimizer; remembers the metrics."""
        # [B, T, 1] of a head with one label becomes [B, T].
        loss, metrics = self._loss(output.logits[..., 0], labels, num_items_in_batch)
        prefix = "" if self.model.training else "eval_"  # pyright: ignore[reportOptionalMemberAccess]
        for name, value in metrics.items():
            known = int((labels != IGNORED).sum())
            # With their number of labels: a mean over batches would weigh a label by its batch.
            self._seen.setdefault(prefix + name, []).append((float(value), known))
        return loss

    def log(self, logs: dict[str, float], *arguments: Any, **named: Any) -> None:
        """Adds the means over labels of the metrics since the last log."""
        # Training metrics wait for the next training log, those of an evaluation for its own. Each rank has
        # seen its part of the rows, and may have seen none.
        wanted = {name for name in self._seen if name.startswith("eval_") == ("eval_loss" in logs)}
        own = {name: torch.tensor(self._seen.pop(name), dtype=torch.float64) for name in wanted}
        parts = ranks.gathered({name: (seen.prod(1).sum(), seen[:, 1].sum()) for name, seen in own.items()})
        for name in sorted({name for part in parts for name in part}):
            total, count = map(sum, zip(*(part[name] for part in parts if name in part), strict=True))
            logs[name] = float(total / count)
        super().log(logs, *arguments, **named)
