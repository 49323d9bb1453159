"""Makes process reward models with a frozen backbone: only the scalar head is fitted (`head`).

A convex problem: no learning rate, no seed, and one pass over the data for all objectives. On a CPU, or with
the trees of few problems, that is most of what a training reaches; `trainer` continues from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from o1coder_gym.errors import require
from o1coder_gym.models.checkpoints import MODEL
from o1coder_gym.models.context import longest_row
from o1coder_gym.models.lookup import model_path
from o1coder_gym.models.training.assembly import TrainingResult, read_result, write_result
from o1coder_gym.models.training.settings import PRM_SETTINGS
from o1coder_gym.models.training.starting import provenance
from o1coder_gym.prm.training.hidden_states import open_reading
from o1coder_gym.prm.training.trainer import (
    OBJECTIVES,
    first_heads,
    learned_rows,
    load_model,
    require_objective,
    require_rows,
    save_prm,
    set_head,
    step_text,
)
from o1coder_gym.process_data import read_data
from o1coder_gym.process_data.store import data_hash

STAGE = "prm fit"


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a head is fitted.

    Attributes:
        dtype: Data type of the backbone's weights; ``"auto"`` is float32.
        max_length: Longest chain in tokens, at most the model's context; longer ones are left out.
        template_arguments: Variables of the chat template; the model's template keeps them.
    """

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_length: int = PRM_SETTINGS.max_length
    template_arguments: Mapping[str, Any] | None = None


def fit_prm(
    model: str,
    data: Path,
    out: Path,
    objectives: Sequence[str] = OBJECTIVES,
    settings: FitSettings = FitSettings(),
) -> list[TrainingResult]:
    """Fits a head for each objective and saves it with the backbone; skips objectives already finished.

    The model of an objective lies in ``out/OBJECTIVE/model``: the scorer ``prm:OUT/OBJECTIVE/model``. Hidden
    states are cached in ``out/reading-…``; calling a killed fit again continues from them.

    Args:
        model: Known name, Hub id or folder of a language model, or of a PRM, whose head is replaced.
        data: Folder made by `o1coder synthesize`; its train split is fitted to.
        out: Run folder.
        objectives: Some of `OBJECTIVES`.
        settings: See `FitSettings`.

    Returns:
        A result per objective, with the rows fitted to and the loss on them.

    Raises:
        MissingExtraError: When PEFT or accelerate is not installed.
        JournalError: When `out` is in use by another fit, or cannot be written.
        O1CoderError: When no row fits.
        RowError: When there is no data set.
        UnknownNameError: When there is no such objective.
        WeightsError: When the model cannot be found.
    """
    for objective in objectives:
        require_objective(objective)
    require("train", "peft", "accelerate")
    rows = read_data(data)
    folder = model_path(model)
    made = {name: provenance(STAGE, model, data_hash(data), settings, objective=name) for name in objectives}
    missing = [name for name in objectives if not made[name].made(out / name / MODEL)]
    if not missing:
        return [read_result(out / name) for name in objectives]
    loaded, tokenizer, _ = load_model(folder, settings.dtype, template_arguments=settings.template_arguments)
    text = step_text(tokenizer, rows.format, longest_row(loaded, settings.max_length))
    learned = learned_rows(rows.of_split("train"), text, missing)
    for name in missing:
        require_rows(learned[name], data, name, text.max_length)
    with open_reading(model, settings.dtype, out) as reading:
        heads = first_heads(reading, learned)
    for name in missing:
        set_head(loaded, heads[name])
        save_prm(loaded, text, out / name / MODEL, rows.format, name)
        found = learned[name]
        metrics = {"rows": len(found.rows), "rows_left_out": found.left_out, "loss": heads[name].loss}
        write_result(out / name, made[name], metrics, rows.learned_keys())
        made[name].write(out / name / MODEL)
    return [read_result(out / name) for name in objectives]
