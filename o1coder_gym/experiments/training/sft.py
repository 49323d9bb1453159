"""SFT of a policy on D⁺, the paths whose programs passed (Eq. 2), measured before and after."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.measures.held_out import compared, policy_quality
from o1coder_gym.experiments.self_play.config import SFT
from o1coder_gym.experiments.training.path_tokens import path_encoder
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.training.assembly import TrainingResult
from o1coder_gym.models.training.finetuning import finetune
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.policies import hf_spec, load_policy
from o1coder_gym.problems.likeness.overlap import SURE, in_training, overlaps
from o1coder_gym.problems.loading import load_rows
from o1coder_gym.problems.missing_tests import Warn, warn_of, without_hidden_tests, without_visible_tests
from o1coder_gym.problems.rows import SPLITS, ProblemRow
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs import ranks
from o1coder_gym.runs.files import write_json
from o1coder_gym.sandbox import default_judge
from o1coder_gym.settings import AtLeastOne, Checked, Without
from o1coder_gym.settings.groups import DataFolder, ModelName, PushToHub

QUALITY = "quality.json"

Tell = Callable[[str], None]
"""Called with a line per event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredOn(Checked):
    """Measured before and after.

    Attributes:
        evaluate: Problem set on which the policy is measured before and after.
        split: Split of it, e.g. test.
        limit: First N of its problems.
    """

    evaluate: str | None = None
    split: str | None = None
    limit: AtLeastOne | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTSettings(Checked):
    """Model and data.

    Attributes:
        training: How it is trained.
        measured: On what it is measured.
    """

    data: DataFolder
    model: ModelName = DEFAULT_MODEL
    push_to_hub: PushToHub = None
    training: Annotated[TrainingSettings, Without(("beta",))] = replace(SFT, rows_at_once=2)
    measured: MeasuredOn = MeasuredOn()


def fine_tune(
    settings: SFTSettings,
    out: Path,
    *,
    resume: bool = False,
    tell: Tell | None = None,
    on_warning: Warn = warnings.warn,
) -> dict[str, Any]:
    """Fine-tunes a policy on whole passing paths: ``o1coder sft`` without printing.

    Args:
        settings: What is trained on what.
        out: The run folder: ``model``, checkpoints, quality.json.
        resume: Whether to continue from the last checkpoint in `out`.
        tell: Called with a line per measurement.
        on_warning: Called with a line about problems that lack tests, or are both trained on and measured.

    Returns:
        The row of the training: ``model``, ``metrics`` and, where something was measured, ``quality``.

    Raises:
        O1CoderError: When the data has no passing path.
        MissingExtraError: When torch or TRL is not installed.
    """
    found, measured = read_data(settings.data), settings.measured
    problems = load_rows(measured.evaluate, split=measured.split) if measured.evaluate is not None else ()
    problems = problems[: measured.limit]
    trained = [ProblemRow(problem, ()) for problem in found.of_split("train").problems]
    warn_of(on_warning, in_training(overlaps(trained, problems, ways=SURE), len(problems)))
    hub = settings.push_to_hub
    result = train_on_paths(
        settings.model, found, settings.data, out, settings.training, resume=resume, push_to_hub=hub
    )
    row = result.to_row()
    if problems and ranks.is_first():
        told = settings.training.template_arguments
        specs = hf_spec(settings.model, told), hf_spec(str(result.model))
        tell = tell or (lambda line: None)
        row["quality"] = _quality(specs, measured, problems, found.format, tell, on_warning)
        write_json(out / QUALITY, row["quality"])
    return row


def train_on_paths(
    model: str,
    found: ProcessData,
    data: Path,
    out: Path,
    settings: TrainingSettings,
    *,
    resume: bool = False,
    push_to_hub: str | None = None,
) -> TrainingResult:
    """Trains a policy on whole passing paths (Algorithm 1, step 3), as `finetuning.finetune` does.

    Args:
        model: Known name, Hub id or folder.
        found: What is in `data`.
        data: Folder of process data.
        out: Run folder.
        settings: See `TrainingSettings`.
        resume: Whether to go on from the last checkpoint in `out`.
        push_to_hub: Repository to push the model to.

    Raises:
        O1CoderError: When the data has no passing path.
    """
    if not found.paths:
        raise O1CoderError(f"{data} has no passing paths to learn from; search longer, or easier problems")
    train_rows, validation_rows = (found.of_split(part).paths for part in SPLITS)
    return finetune(
        "sft",
        model,
        train_rows,
        validation_rows,
        out,
        settings,
        encode=path_encoder(found),
        data=data_hash(data),
        learned=found.learned_keys(),
        resume=resume,
        push_to_hub=push_to_hub,
    )


def _quality(
    specs: tuple[str, str],
    measured: MeasuredOn,
    rows: Sequence[ProblemRow],
    format: str,
    tell: Tell,
    on_warning: Warn,
) -> dict[str, Any]:
    """Measures the policy before and after on the same problems."""
    warn_of(on_warning, without_visible_tests(rows), without_hidden_tests(rows))
    found = []
    for spec in specs:
        tell(f"measuring {spec.removeprefix('hf:')} on {len(rows)} problems")
        policy = load_policy(spec, format=format)
        found.append(policy_quality(policy, rows, default_judge(), format=format))
    return {"problems": measured.evaluate, "split": measured.split, **compared(*found)}
