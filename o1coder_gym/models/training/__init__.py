"""Trainings of models: settings, what trainers are given, the way from a start to a saved model.

`finetuning` is SFT and DPO on conversations; RL and the PRM assemble trainings of their own.
"""

from o1coder_gym.models.training.arguments import (
    REPORT_TO,
    MeasuredByLabel,
    common_arguments,
    lora,
    report_to,
    trainer_arguments,
)
from o1coder_gym.models.training.assembly import (
    PEAK,
    Assembly,
    last_evaluation,
    run,
    save_policy,
    train,
    train_once,
)
from o1coder_gym.models.training.results import TrainingResult, read_result, write_result
from o1coder_gym.models.training.settings import (
    PRM_SETTINGS,
    TrainingSettings,
    check_batch,
    passes,
    that_divides,
)
from o1coder_gym.models.training.starting import begin, check_start, provenance, require_same

__all__ = [
    "PEAK",
    "PRM_SETTINGS",
    "REPORT_TO",
    "Assembly",
    "MeasuredByLabel",
    "TrainingResult",
    "TrainingSettings",
    "begin",
    "check_batch",
    "check_start",
    "common_arguments",
    "last_evaluation",
    "lora",
    "passes",
    "provenance",
    "read_result",
    "report_to",
    "require_same",
    "run",
    "save_policy",
    "that_divides",
    "train",
    "train_once",
    "trainer_arguments",
    "write_result",
]
