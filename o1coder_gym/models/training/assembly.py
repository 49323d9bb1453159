"""A training from its start to a saved model, the same way for all: SFT, DPO, GRPO, PRM."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.card import alpha_of, numbers, write_card
from o1coder_gym.models.checkpoints import MODEL, quiet, save_merged, whole
from o1coder_gym.models.memory import gib, peak_memory
from o1coder_gym.models.training.starting import begin, check_devices
from o1coder_gym.problems.likeness.trained_on import keys_of, write_keys
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import write_json
from o1coder_gym.runs.progress import notes
from o1coder_gym.runs.provenance import Provenance


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
        UsageError: When ranks were given different things, or as by `check_devices`.
        O1CoderError: As by `begin`; checkpoints stay.
    """
    check_devices()
    made, out, model = training.made, training.out, training.out / MODEL
    with training.on_all_ranks():
        checkpoint = begin(made, out, training.resume)
        if ranks.is_first():
            write_learned(out, made, training.keys)  # for `rl export`, should this run be stopped
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
"""Figure of a training: the most memory that a rank has taken since the last start or resumption, in GiB."""


def run(trainer: Any, checkpoint: str | None) -> dict[str, Any]:
    """Trains and reports the peak memory; afterwards the first rank's trainer holds all weights.

    Args:
        trainer: Of transformers.
        checkpoint: Folder of the checkpoint to continue from, None for a new training.

    Returns:
        What it measured, with `PEAK`.

    Raises:
        O1CoderError: When it diverges.
    """
    from o1coder_gym.models.training.progress import EndsWhereItDiverges, shown_progress

    trainer.add_callback(EndsWhereItDiverges())
    _end_at_the_last_step(trainer)
    with quiet(), peak_memory() as peak:
        with shown_progress(trainer):
            outcome = trainer.train(resume_from_checkpoint=checkpoint)
        metrics = _whole_training(outcome.metrics, trainer.state, checkpoint is not None)
        metrics |= last_evaluation(trainer)
        trainer.model = whole(trainer.model)
    taken = max(ranks.gathered(peak.size))
    each = f" on each of {ranks.count()} ranks at most" if ranks.count() > 1 else ""
    since = " since the resumption" if checkpoint is not None else ""
    notes().print(f"peak memory{since}: {gib(taken)}{each}", highlight=False)
    return metrics | {PEAK: taken / (1 << 30)}


def _end_at_the_last_step(trainer: Any) -> None:
    """Makes a trainer that resumes from the checkpoint of its last step take no further one.

    transformers looks whether a training is over after a step, not before it: where the steps end within an
    epoch it would go on with that epoch, and at a constant learning rate the weights would be others.
    """
    run_epoch = trainer._run_epoch

    def run_unless_done(*arguments: Any, **named: Any) -> None:
        # Asked here, not before the training: by now the checkpoint is loaded, on sharded weights too.
        if trainer.state.global_step < trainer.state.max_steps:
            run_epoch(*arguments, **named)

    trainer._run_epoch = run_unless_done


def _whole_training(metrics: Mapping[str, float], state: Any, resumed: bool) -> dict[str, float]:
    """Returns a training's figures over all of its steps; transformers' are over those since a resumption.

    Args:
        metrics: What transformers measured.
        state: Of the trainer; holds what was logged of each step, also before the resumption.
        resumed: Whether it is a part that was measured: the time and the rates of the whole are not known.
    """
    kept = {name: value for name, value in metrics.items() if not (resumed and name.startswith("train_"))}
    losses = [row["loss"] for row in state.log_history if "loss" in row]
    return kept | {"train_loss": sum(losses) / len(losses)} if losses else kept


def last_evaluation(trainer: Any) -> dict[str, float]:
    """Returns a trainer's evaluation after its last step, made now if a kill came between the two.

    Empty without validation rows.
    """
    if trainer.eval_dataset is None:
        return {}
    state = trainer.state
    measured = [row for row in state.log_history if "eval_loss" in row and row["step"] == state.global_step]
    return dict(measured[-1]) if measured else trainer.evaluate()


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
    write_learned(out / MODEL, made, keys)
    write_card(out / MODEL, made, metrics, trained)
    settings = dict(made.config["settings"])
    stage = f"{made.stage} {settings.pop('objective', '')}".rstrip()
    report = {"stage": stage, "model": made.config["model"], "settings": settings}
    report |= alpha_of(trained) | {"metrics": numbers(metrics)}
    write_json(out / "training.json", report)
    return read_result(out)


def read_result(out: Path) -> TrainingResult:
    """Reads what `write_result` wrote.

    Raises:
        O1CoderError: When the folder holds no finished training.
    """
    try:
        return TrainingResult(out / MODEL, json.loads((out / "training.json").read_text())["metrics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise O1CoderError(f"{out} holds no finished training") from error


def write_learned(folder: Path, made: Provenance, keys: Collection[str]) -> None:
    """Writes which questions a model learned from, those that its first model had learned from too."""
    write_keys(folder, keys_of((), made.config["model"]).union(keys))
