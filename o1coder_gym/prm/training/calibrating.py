"""Calibrates a process reward model on some held-out problems and measures it on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from o1coder_gym.errors import UsageError
from o1coder_gym.metrics import calibration_error, reliability
from o1coder_gym.metrics.calibration import UNCALIBRATED, Calibration, fit
from o1coder_gym.prm.calibration import write_calibration
from o1coder_gym.prm.loading import load_scorer
from o1coder_gym.prm.metrics import auc
from o1coder_gym.process_data import PrefixRow, ProcessData, read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.runs.provenance import content_hash


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration, and its measurement on problems that it was not fitted on.

    Attributes:
        calibration: As it was written.
        problems: Problems measured on; 0 if there was but one to fit on, and the figures are NaN.
        auc: Of hard labels, before and after; isotonic regression makes neighbours equal, which moves it.
        error: Expected calibration error against the labels fitted to, before and after.
    """

    calibration: Calibration
    problems: int
    auc: tuple[float, float]
    error: tuple[float, float]


def calibrate(
    model: Path, data: Path, method: str = "temperature", split: str = "validation", *, soft: bool = False
) -> CalibrationReport:
    """Fits a calibration on half of the held-out problems, keeps it, and measures it on the other half.

    Args:
        model: A model of `train_prm`.
        data: Folder of process data.
        method: Of `calibration.fit`.
        split: ``"validation"``, ``"train"`` or ``"all"``.
        soft: Whether it is fitted to v, or to hard labels.

    Raises:
        UsageError: When there is nothing to calibrate on, or no such method.
    """
    whole = read_data(data)
    part = whole if split == "all" else whole.of_split(split)
    # Logits before any calibration: a second fit would else be one of the first.
    scorer = load_scorer(f"prm:{model}?calibrated=no")
    from o1coder_gym.prm.scorer import ModelScorer  # there, since a model was loaded

    if not isinstance(scorer, ModelScorer) or not part.prefixes:
        raise UsageError(f"nothing to calibrate on: {data} has no prefixes in {split}")
    problems = {problem.task_id: problem for problem in part.problems}
    logits = np.asarray(scorer.logits([(problems[row.state.problem_id], row.state) for row in part.prefixes]))
    targets = np.asarray([row.soft if soft else row.hard for row in part.prefixes], float)
    keys = part.question_keys()
    questions = {keys[name] for name in _half(part.prefixes)}
    # All names of a question are on one side: it would be fitted on under one, and measured under another.
    chosen = {row.state.problem_id for row in part.prefixes if keys[row.state.problem_id] in questions}
    # Split by problem, not by row: prefixes of one problem share steps, and would leak into the measure.
    inside = np.asarray([row.state.problem_id in chosen for row in part.prefixes])
    fitted = fit(method, logits[inside].tolist(), targets[inside].tolist())
    if fitted != UNCALIBRATED:  # what is fitted to nothing can be measured on everything
        fitted_on = {"data": data_hash(data), "split": split, "problems": sorted(chosen)}
        fitted_on["questions"] = sorted(questions)
        fitted = replace(fitted, fitted_on=fitted_on)
    write_calibration(model, fitted)
    hard = np.asarray([row.hard for row in part.prefixes], float)[~inside]
    scores = [np.asarray([one(logit) for logit in logits[~inside]]) for one in (UNCALIBRATED, fitted)]
    errors = [calibration_error(reliability(one, targets[~inside])) for one in scores]
    others = {row.state.problem_id for row in part.prefixes} - chosen
    return CalibrationReport(
        fitted, len(others), (auc(scores[0], hard), auc(scores[1], hard)), (errors[0], errors[1])
    )


def unseen(data: ProcessData, calibration: Calibration) -> ProcessData:
    """Returns the rows of problems that a calibration was not fitted on, under whatever name.

    Only those can measure it. Calibrations of earlier versions know names alone.
    """
    names, questions = (set(calibration.fitted_on.get(of, ())) for of in ("problems", "questions"))
    seen = {name for name, key in data.question_keys().items() if name in names or key in questions}
    return replace(
        data,
        problems=tuple(problem for problem in data.problems if problem.task_id not in seen),
        **{
            name: tuple(row for row in getattr(data, name) if row.state.problem_id not in seen)
            for name in ("prefixes", "paths", "pairs")
        },
    )


def _half(rows: Sequence[PrefixRow]) -> set[str]:
    """Returns half of the problems, at least one, the same whatever their order."""
    names = sorted(
        {row.state.problem_id for row in rows}, key=lambda name: content_hash(f"calibration {name}")
    )
    return set(names[: (len(names) + 1) // 2])
