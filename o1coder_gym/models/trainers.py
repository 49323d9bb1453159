"""Shared parts of all trainings: settings, arguments, LoRA, the way from start to model."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeAlias

from o1coder_gym.errors import O1CoderError, UnknownNameError, UsageError, require
from o1coder_gym.models.batches.row_order import NOT_LEARNED
from o1coder_gym.models.card import alpha_of, numbers, write_card
from o1coder_gym.models.checkpoints import (
    CHECKPOINTS,
    MODEL,
    STARTED,
    activation_checkpointing,
    last_checkpoint,
    quiet,
    save_merged,
    weight_type,
    whole,
)
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.memory import check_memory, gib, peak_memory
from o1coder_gym.problems.likeness.trained_on import keys_of, write_keys
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import write_whole
from o1coder_gym.runs.progress import notes
from o1coder_gym.runs.provenance import Provenance, input_hashes, leaves, package_versions
from o1coder_gym.settings import AtLeastOne, Checked, Count, Flag, Positive, Range, check_fields, to_row
from o1coder_gym.settings.groups import Dtype, TemplateArguments


@dataclass(frozen=True, slots=True)
class TrainingSettings(Checked):
    """Training.

    Attributes:
        learning_rate: Peak of the schedule, linear decay after a warm-up of 5 % of the steps.
        epochs: Passes over the rows; --max-steps cuts them short.
        max_steps: Optimizer steps at most; 0: all.
        batch_size: Rows per optimizer step.
        rows_at_once: Rows per forward pass; divides the batch.
        group_prefixes: Rows that begin alike stand in one forward pass, which computes what they share once.
            Faster where prompts have several rows; but a batch is then about fewer prompts, and learns less.
        lora_rank: LoRA on all linear layers; 0 trains all weights.
        max_length: Longest row in tokens; longer ones are left out.
        beta: β of DPO, how strongly the policy is held to the reference.
        save_steps: Optimizer steps between two checkpoints.
        dtype: Of the weights; auto: bfloat16 on a GPU, else float32, for a PRM always float32. A CPU that can
            multiply in bfloat16 is faster with it; meant for LoRA.
        seed: Fixes order and initialisation.
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


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training.

    Attributes:
        model: Folder of the trained model, LoRA merged in; a policy spec takes it as ``hf:FOLDER``.
        metrics: Last values by name, e.g. ``train_loss``, ``eval_loss``.
    """

    model: Path
    metrics: Mapping[str, float]

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        return {"model": str(self.model), "metrics": dict(self.metrics)}


def last_evaluation(trainer: Any) -> dict[str, float]:
    """Returns a trainer's evaluation after its last step, made now if a kill came between the two.

    Empty without validation rows.
    """
    if trainer.eval_dataset is None:
        return {}
    state = trainer.state
    measured = [row for row in state.log_history if "eval_loss" in row and row["step"] == state.global_step]
    return dict(measured[-1]) if measured else trainer.evaluate()


def provenance(stage: str, model: str, data: str, settings: Any, **further: str) -> Provenance:
    """Returns the provenance of a training's model.

    Args:
        stage: Which training.
        model: What it starts from.
        data: Hash of what it learns from.
        settings: Dataclass of its settings, or a dict of them.
        further: Whatever else it depends on.
    """
    row = settings if isinstance(settings, dict) else to_row(settings)
    inputs = {"data": data} | input_hashes(model)
    versions = package_versions("torch", "transformers", "trl", "peft")
    return Provenance(stage, {"model": model, "settings": {**further, **row}}, inputs, versions)


class Trained(Protocol):
    """Settings of a training that concern its weights."""

    @property
    def dtype(self) -> str:
        """Of the weights, see `weight_type`."""
        ...

    @property
    def lora_rank(self) -> int:
        """R of LoRA; 0 trains all weights."""
        ...


def check_start(model: str, settings: Trained, *packages: str) -> Path:
    """Checks, before a run folder exists, what a training would fail on later; returns the model's folder.

    Args:
        model: Known name, Hub id or folder.
        settings: Of the training.
        packages: That it needs beside torch, of the extra ``train``.

    Raises:
        MissingExtraError: When a package is not installed.
        UsageError: When a reporter is not, or the weights have no room, with what AdamW keeps of each.
        WeightsError: When the model cannot be found.
    """
    require("train", "torch", *packages)
    report_to()
    folder = model_path(model)
    # a gradient and two moments for each weight that is learned; of LoRA's they are next to nothing
    copies = 1 if settings.lora_rank else 4
    check_memory(folder, weight_type(settings.dtype), copies=copies)
    return folder


REPORT_TO = "O1CODER_REPORT_TO"
"""Variable that says where trainers report to. It is not a setting, for no result depends on it."""


def report_to() -> list[str]:
    """Returns the trackers of a training: tensorboard, or those in `REPORT_TO`, e.g. wandb,trackio.

    Raises:
        UsageError: When one of them is not installed, or transformers does not know it.
    """
    names = [name.strip() for name in os.environ.get(REPORT_TO, "tensorboard").split(",") if name.strip()]
    for name in names:
        if name not in _REPORTERS:
            raise UnknownNameError(f"reporter in {REPORT_TO}", name, _REPORTERS)
        if name != "none" and importlib.util.find_spec(name) is None:
            raise UsageError(f"{REPORT_TO} names {name}, which is not installed: pip install {name}")
    return names


_REPORTERS = ("tensorboard", "wandb", "trackio", "mlflow", "swanlab", "none")


class MeasuredByLabel:
    """Mixin of transformers' trainers: an evaluation loss is the mean over all labels.

    They average a batch over its labels and then batches over their rows, so that the loss depended on how
    many rows are read at once.
    """

    def compute_loss(
        self: Any, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Returns the loss of a batch: its part of the optimizer's loss, or an evaluation's mean row."""
        # Labels per row × rows: transformers divides by it what is summed over labels, and then weighs
        # batches by rows.
        if not model.training and self.eval_dataset is not None:
            rows = len(inputs["labels"]) * self.accelerator.num_processes
            num_items_in_batch = self.labels_per_row * rows
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # pyright: ignore

    @cached_property
    def labels_per_row(self: Any) -> float:
        """Mean number of labels per row of the evaluation."""
        labels = [self.data_collator([row])["labels"] for row in self.eval_dataset]
        return sum(int((one != NOT_LEARNED).sum()) for one in labels) / sum(map(len, labels))


def common_arguments(out: Path, learning_rate: float, rows_at_once: int, seed: int) -> dict[str, Any]:
    """Returns the arguments that all trainers of transformers take alike."""
    import torch

    return {
        "output_dir": str(out / CHECKPOINTS),
        "learning_rate": learning_rate,
        "per_device_train_batch_size": rows_at_once,
        "logging_steps": 1,
        "save_total_limit": 2,
        "report_to": report_to(),
        "seed": seed,
        "use_cpu": not torch.cuda.is_available(),
        **activation_checkpointing(),
    }


def trainer_arguments(out: Path, settings: TrainingSettings, *, evaluates: bool) -> dict[str, Any]:
    """Returns the arguments of a training by `TrainingSettings`."""
    return {
        **common_arguments(out, settings.learning_rate, settings.rows_at_once, settings.seed),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_eval_batch_size": settings.rows_at_once,
        "gradient_accumulation_steps": passes(settings.batch_size, settings.rows_at_once),
        # Below 1 transformers reads it as a share of all steps.
        "warmup_steps": 0.05,
        "save_steps": settings.save_steps,
        "eval_strategy": "epoch" if evaluates else "no",
        "bf16": weight_type(settings.dtype) == "bfloat16",
    }


Assemble: TypeAlias = Callable[[str | None], tuple[Any, dict[str, Any]]]
"""Makes a trainer of transformers, and figures of its data, given the checkpoint to go on from or None."""
Save: TypeAlias = Callable[[Any, Path], object]
"""Saves the model of a trainer in a folder."""


def save_policy(trainer: Any, folder: Path) -> None:
    """Saves the language model of a trainer, adapters merged in."""
    save_merged(trainer.model, trainer.processing_class, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A training of a model, in parts; `train` puts them together.

    Attributes:
        made: What it makes its model of.
        out: Run folder.
        resume: Whether to go on from the last checkpoint, if there is one.
        assemble: Makes its trainer.
        save: Saves its model.
        keys: Of the questions that it learns from (`trained_on.keys_of`), kept in run folder and model beside
            those that its first model had learned from.
    """

    made: Provenance
    out: Path
    resume: bool
    assemble: Assemble
    save: Save = save_policy
    keys: Collection[str] = ()

    def on_all_ranks(self) -> AbstractContextManager[None]:
        """Returns the context of a training on all ranks, which were given the same and end together."""
        return ranks.together({**self.made.to_row(), "out": str(self.out), "resume": self.resume})


def train(training: Assembly) -> TrainingResult:
    """Trains, and saves model, card and ``training.json``, which the first rank does.

    Raises:
        UsageError: When ranks were given different things.
        O1CoderError: As by `begin`; checkpoints stay.
    """
    made, out, model = training.made, training.out, training.out / MODEL
    with training.on_all_ranks():
        checkpoint = begin(made, out, training.resume)
        if ranks.is_first():
            write_keys(out, _all_learned(made, training.keys))  # for `rl export`, should this run be stopped
        trainer, figures = training.assemble(checkpoint)
        metrics = run(trainer, checkpoint) | figures
        if not ranks.is_first():
            return TrainingResult(model, numbers(metrics))
        training.save(trainer, model)
        return write_result(out, made, metrics, training.keys, trainer.model)


def train_once(training: Assembly, check: Callable[[], object]) -> TrainingResult:
    """Trains, unless `training.out` holds the finished model already, which is returned as it is.

    Args:
        training: What `training.made` says is all that the model depends on.
        check: Raises what the training would fail of later, before its run folder is made.
    """
    with training.on_all_ranks():
        if training.made.made(training.out / MODEL):
            return read_result(training.out)
        check()
        result = train(training)
        if ranks.is_first():
            training.made.write(result.model)
        return result


PEAK = "peak_memory_gib"
"""Figure of a training: the most memory that a rank has taken, in GiB."""


def run(trainer: Any, checkpoint: str | None) -> dict[str, Any]:
    """Trains and reports the peak memory; afterwards the first rank's trainer holds all weights.

    Args:
        trainer: Of transformers.
        checkpoint: Folder of the checkpoint to continue from, None for a new training.

    Returns:
        What it measured, with `PEAK`.
    """
    from o1coder_gym.models.progress import shown_progress

    with quiet(), peak_memory() as peak:
        with shown_progress(trainer):
            outcome = trainer.train(resume_from_checkpoint=checkpoint)
        metrics = dict(outcome.metrics) | last_evaluation(trainer)
        trainer.model = whole(trainer.model)
    taken = max(ranks.gathered(peak.size))
    each = f" on each of {ranks.count()} ranks at most" if ranks.count() > 1 else ""
    notes().print(f"peak memory: {gib(taken)}{each}", highlight=False)
    return metrics | {PEAK: taken / (1 << 30)}


def begin(made: Provenance, out: Path, resume: bool) -> str | None:
    """Starts or resumes a training, and records its provenance in ``started.json``.

    Args:
        made: The provenance of its model.
        out: Run folder.
        resume: Whether to continue from the last checkpoint, if there is one.

    Returns:
        The checkpoint to continue from, None for a new training.

    Raises:
        O1CoderError: When `out` holds checkpoints and `resume` is false, or those of a training of another
            model, other data or other settings; names what differs. Versions may differ.
    """
    checkpoint = last_checkpoint(out / CHECKPOINTS, resume)
    started = out / STARTED
    wanted = made.to_row()
    if checkpoint is not None and started.exists():
        require_same(out, json.loads(started.read_text()), wanted)
    if ranks.is_first():
        out.mkdir(parents=True, exist_ok=True)
        write_whole(started, json.dumps(wanted, indent=2) + "\n")
    return checkpoint


def require_same(out: Path, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises `O1CoderError` if a training was begun with other values; names the first one.

    Args:
        out: Its run folder.
        begun: The values at its start, as read from a file.
        wanted: The values to continue with, JSON-able.
    """
    before, now = leaves(begun), leaves(json.loads(json.dumps(wanted)))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            message = f"{out} holds a training with {name} {before.get(name)!r}, not {now.get(name)!r}"
            raise O1CoderError(f"{message}; ask for the same, or choose another run folder")


def write_result(
    out: Path, made: Provenance, metrics: Mapping[str, Any], keys: Collection[str], trained: Any = None
) -> TrainingResult:
    """Writes ``training.json``, and beside the saved model its card and the questions; returns the result.

    Args:
        out: Run folder.
        made: What the model was made of.
        metrics: Those that are finite numbers are kept.
        keys: Of the questions that it learned from.
        trained: The model; if it has adapters, their α is written down.
    """
    write_keys(out / MODEL, _all_learned(made, keys))
    write_card(out / MODEL, made, metrics, trained)
    settings = dict(made.config["settings"])
    stage = f"{made.stage} {settings.pop('objective', '')}".rstrip()
    report = {"stage": stage, "model": made.config["model"], "settings": settings}
    report |= alpha_of(trained) | {"metrics": numbers(metrics)}
    write_whole(out / "training.json", json.dumps(report, indent=2) + "\n")
    return read_result(out)


def _all_learned(made: Provenance, keys: Collection[str]) -> set[str]:
    """Adds the keys of the questions that the first model had learned from."""
    return keys_of((), made.config["model"]).union(keys)


def read_result(out: Path) -> TrainingResult:
    """Reads what `write_result` wrote.

    Raises:
        O1CoderError: When the folder holds no finished training.
    """
    try:
        return TrainingResult(out / MODEL, json.loads((out / "training.json").read_text())["metrics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{out} holds no finished training") from error


def lora(
    rank: int, checkpoint: str | None = None, *, task: str = "CAUSAL_LM", trained_whole: Sequence[str] = ()
) -> Any:
    """Returns PEFT's configuration of LoRA on all linear layers, None for rank 0.

    Args:
        rank: r.
        checkpoint: Folder of the checkpoint that training resumes from; its α is kept.
        task: PEFT's ``task_type``.
        trained_whole: Modules that are trained in full beside the adapters.
    """
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=_alpha(rank, checkpoint),
        target_modules="all-linear",
        modules_to_save=list(trained_whole) or None,
        task_type=task,
    )


def _alpha(rank: int, checkpoint: str | None) -> int:
    """Returns α of LoRA: an update is α / r · B A.

    Tuning α is roughly tuning the learning rate (Hu et al. 2021, arXiv 2106.09685, § 4.1), so it is no
    setting. With α in a fixed ratio to r a learning rate keeps its meaning when the rank changes; 2 is the
    ratio at which the defaults of RL and PRM were measured.
    """
    # adapters mean nothing without the α they were trained with, and earlier versions had others
    saved = Path(checkpoint or "") / "adapter_config.json"
    return json.loads(saved.read_text())["lora_alpha"] if checkpoint and saved.exists() else 2 * rank
