"""Process reward models: trained, fitted, measured, calibrated, asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from o1coder_gym.agents.driver.cache import CachedScorer
from o1coder_gym.errors import require
from o1coder_gym.models.lookup import DEFAULT_MODEL
from o1coder_gym.models.training.assembly import TrainingResult
from o1coder_gym.models.training.settings import PRM_SETTINGS, TrainingSettings
from o1coder_gym.prm import load_scorer
from o1coder_gym.prm.calibration import read_calibration
from o1coder_gym.prm.evaluation import ScorerReport, evaluate_scorer
from o1coder_gym.prm.public import PUBLIC, PublicModel
from o1coder_gym.prm.training.calibrating import CalibrationReport, unseen
from o1coder_gym.prm.training.calibrating import calibrate as calibrate_model
from o1coder_gym.problems.likeness.trained_on import trained_on
from o1coder_gym.process_data import PrefixRow, ProcessData, read_data
from o1coder_gym.process_data.store import data_hash
from o1coder_gym.reporting.figures import draw_reliability
from o1coder_gym.runs.executors import cut, load_executor
from o1coder_gym.runs.files import write_json
from o1coder_gym.runs.journal import optional_folder
from o1coder_gym.runs.provenance import artefact_path, input_hashes
from o1coder_gym.settings import AtLeastOne, Checked, Flag, Range, Without
from o1coder_gym.settings.groups import DataFolder, Dtype, ExecutorSpec, TemplateArguments
from o1coder_gym.types import Problem, State

Objective: TypeAlias = Literal["soft", "hard", "pairwise"]
Part: TypeAlias = Literal["validation", "train", "all"]
Item: TypeAlias = tuple[Problem, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class PRMSettings(Checked):
    """Model and data.

    Attributes:
        model: Language model or PRM to start from: name, Hub id or folder.
        objective: soft or hard labels (eq. 3), or pairwise (eq. 4).
        training: How it is trained.
    """

    data: DataFolder
    model: str = DEFAULT_MODEL
    objective: Objective = "soft"
    training: Annotated[TrainingSettings, Without(("beta",))] = PRM_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSettings(Checked):
    """Model and data.

    Attributes:
        model: Language model whose backbone stays frozen: name, Hub id or folder.
        objectives: May be repeated; none given: all three.
        max_length: Longest chain in tokens, at most the model's context; longer ones are left out.
        dtype: Data type of the backbone's weights; auto: float32.
    """

    data: DataFolder
    model: str = DEFAULT_MODEL
    objectives: Annotated[tuple[Objective, ...], Flag("--objective")] = ()
    max_length: Annotated[int, Range(16)] = PRM_SETTINGS.max_length
    dtype: Dtype = "auto"
    template_arguments: TemplateArguments = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings(Checked):
    """Measurement.

    Attributes:
        scorer: heuristic, prm:FOLDER, prm:NAME, …
        split: Part of the data.
        n: Candidates of best-of-n.
        soft: Measure calibration against v, not 0 and 1.
        resamples: Resamples of the bootstrap.
    """

    scorer: Annotated[str, Flag("SCORER")]
    data: DataFolder
    split: Part = "validation"
    n: AtLeastOne = 8
    soft: bool = False
    resamples: Annotated[int, Range(10)] = 1000
    executor: ExecutorSpec = "serial"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings(Checked):
    """Calibration.

    Attributes:
        model: A model of o1coder prm train.
        method: How logits become probabilities.
        split: Part of the data.
        soft: Calibrate to v, not to hard labels.
    """

    model: Annotated[Path, Flag("FOLDER")]
    data: DataFolder
    method: Literal["temperature", "isotonic", "none"] = "temperature"
    split: Part = "validation"
    soft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSettings(Checked):
    """Scores.

    Attributes:
        scorer: heuristic, prm:FOLDER, prm:NAME, …
        split: Part of the data.
    """

    scorer: Annotated[str, Flag("SCORER")]
    data: DataFolder
    split: Part = "all"
    executor: ExecutorSpec = "serial"


def train_scorer(settings: PRMSettings, out: Path, *, resume: bool = False) -> TrainingResult:
    """Trains a language model with a scalar head: ``o1coder prm train`` without printing.

    Raises:
        MissingExtraError: When torch or transformers is not installed.
        O1CoderError: When the data has no rows, or `out` holds checkpoints and `resume` is false.
    """
    require("train", "torch", "transformers")
    from o1coder_gym.prm.training.trainer import train_prm

    how = settings.training
    return train_prm(settings.model, settings.data, out, settings.objective, how, resume=resume)


def fit_heads(settings: HeadSettings, out: Path) -> list[TrainingResult]:
    """Fits only the head, on the frozen model's hidden states: ``o1coder prm fit`` without printing.

    Raises:
        MissingExtraError: When torch or transformers is not installed.
    """
    require("train", "torch", "transformers")
    from o1coder_gym.prm.training.head_only import FitSettings, fit_prm
    from o1coder_gym.prm.training.trainer import OBJECTIVES

    fitting = FitSettings(settings.dtype, settings.max_length, settings.template_arguments)
    return fit_prm(settings.model, settings.data, out, settings.objectives or OBJECTIVES, fitting)


def measure_scorer(
    settings: MeasurementSettings, out: Path | None = None, *, resume: bool = False
) -> tuple[ScorerReport, dict[str, Any]]:
    """Measures a scorer on problems that it was not trained on: ``o1coder prm eval`` without printing.

    Args:
        settings: What is measured on what.
        out: Where scores, report.json and reliability.png are kept; None keeps nothing.
        resume: Whether to continue the run that `out` holds.

    Returns:
        The report, and the row that says what it is of.
    """
    scorer = settings.scorer
    calibration = read_calibration(artefact_path(scorer))
    part = unseen(_part(settings.data, settings.split), calibration)
    inputs = input_hashes(scorer) | {"data": data_hash(settings.data)}
    config = {"scorer": scorer, "calibration": asdict(calibration), "inputs": inputs}
    asked = load_scorer(scorer)
    with optional_folder(out, config, resume=resume) as folder:
        cached = CachedScorer(asked, folder)
        _read_elsewhere(cached, scorer, _items(part, part.prefixes), settings.executor)
        report = evaluate_scorer(cached, part, n=settings.n, soft=settings.soft, resamples=settings.resamples)
    row = {"scorer": scorer, "data": str(settings.data), "split": settings.split, **report.to_row()}
    if seen := trained_on(scorer, part.problems):
        row["trained_on"] = seen
    if out is not None:
        write_json(out / "report.json", row)
        draw_reliability(report.bins, out / "reliability.png", scorer)
    return report, row


def calibrate(settings: CalibrationSettings) -> CalibrationReport:
    """Fits a calibration on half of the held-out problems and measures it: ``o1coder prm calibrate``.

    Raises:
        UsageError: When there is nothing to calibrate on.
    """
    return calibrate_model(settings.model, settings.data, settings.method, settings.split, soft=settings.soft)


def scores(settings: ScoreSettings) -> Iterator[dict[str, Any]]:
    """Yields a row for every prefix of the data: its steps, score, value and hard label."""
    part = _part(settings.data, settings.split)
    run, workers = load_executor(settings.executor)
    items = _items(part, part.prefixes)
    # one batch here: states that continue one another share a forward pass
    pieces = [items] if settings.executor == "serial" else cut(items, workers)
    found = (score for piece in run(partial(_scored, settings.scorer), pieces) for score in piece)
    for row, score in zip(part.prefixes, found, strict=True):
        yield {**row.state.to_row(), "score": score, "value": row.value, "hard": row.hard}


def public_scorers() -> Mapping[str, PublicModel]:
    """Returns the public process reward models by the names that ``prm:NAME`` takes: ``o1coder prm list``."""
    return PUBLIC


def _read_elsewhere(cached: CachedScorer, scorer: str, items: Sequence[Item], executor: str) -> None:
    """Fills a cache with scores from other processes, if there are any."""
    run, workers = load_executor(executor)
    if executor != "serial":
        pieces = cut(cached.unknown(items), workers)
        for piece, found in zip(pieces, run(partial(_scored, scorer), pieces), strict=True):
            cached.keep(piece, found)


def _scored(scorer: str, items: Sequence[Item]) -> list[float]:
    """Scores states by the scorer of this process."""
    return load_scorer(scorer).score(items)


def _part(data: Path, split: str) -> ProcessData:
    found = read_data(data)
    return found if split == "all" else found.of_split(split)


def _items(data: ProcessData, rows: Sequence[PrefixRow]) -> list[Item]:
    problems = {problem.task_id: problem for problem in data.problems}
    return [(problems[row.state.problem_id], row.state) for row in rows]
