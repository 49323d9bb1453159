"""Trains the test case generator: SFT on good cases, then DPO against exchanged outputs (paper, section 3.1).

LoRA of rank 1 on all linear layers with a learning rate of 5e-4 is the paper's setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from o1coder_gym.models.training.assembly import TrainingResult
from o1coder_gym.models.training.finetuning import finetune
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.problems.likeness.trained_on import keys_of
from o1coder_gym.problems.rows import SPLITS
from o1coder_gym.runs.provenance import content_hash
from o1coder_gym.tcg.training.data_card import read_split


def train(
    stage: Literal["sft", "dpo"],
    model: str,
    data: Path,
    out: Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    resume: bool = False,
    push_to_hub: str | None = None,
) -> TrainingResult:
    """Trains one stage of γ_TCG (Algorithm 1, step 1) and saves the model; see `finetuning.finetune`.

    Args:
        stage: ``"sft"``, or ``"dpo"`` with the given model as γ_ref (Eq. 1).
        model: Known name, Hub id or folder.
        data: Folder made by `o1coder tcg data`.
        out: Run folder.
        settings: See `TrainingSettings`.
        resume: Go on from the last checkpoint, if there is one.
        push_to_hub: Repository to push the model to; None keeps it here.

    Raises:
        MissingExtraError: When TRL or PEFT is not installed.
        O1CoderError: When rows are missing, or `out` holds checkpoints and `resume` is false.
        WeightsError: When the model cannot be found.
    """
    train_rows, validation_rows = (read_split(data, stage, split) for split in SPLITS)
    digest = content_hash([train_rows, validation_rows])
    return finetune(
        stage,
        model,
        train_rows,
        validation_rows,
        out,
        settings,
        data=digest,
        learned=keys_of((), str(data)),
        resume=resume,
        push_to_hub=push_to_hub,
    )
