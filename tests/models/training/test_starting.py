"""What a training is started with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o1coder_gym.agents.rl.settings import DPOSettings
from o1coder_gym.errors import O1CoderError
from o1coder_gym.models.checkpoints import CHECKPOINTS, STARTED
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.models.training.starting import begin, provenance, trained_type
from o1coder_gym.runs.provenance import Provenance

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("rank", "dtype", "on_gpu", "elsewhere"),
    [
        (0, "auto", "float32", "float32"),
        (4, "auto", "bfloat16", "float32"),
        (0, "bfloat16", "bfloat16", "bfloat16"),
        (4, "float32", "float32", "float32"),
    ],
)
def test_weights_that_are_all_learned_hold_the_steps_of_their_training(
    rank: int, dtype: Any, on_gpu: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(lora_rank=rank, dtype=dtype)
    assert trained_type(settings) == elsewhere
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert trained_type(settings) == on_gpu


def test_a_training_goes_on_with_the_model_that_it_began_with(tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    base.mkdir()
    (base / "model.safetensors").write_text("1")

    def made() -> Provenance:
        return provenance("sft", str(base), "abc", {"seed": 0})

    assert begin(made(), out, resume=False) is None
    checkpoint = out / CHECKPOINTS / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    assert begin(made(), out, resume=True) == str(checkpoint)
    (base / "model.safetensors").write_text("2")
    with pytest.raises(O1CoderError, match=f"holds a training with {base} "):
        begin(made(), out, resume=True)
    # An earlier version noted no hash of a model without provenance: of what it began with nothing is known.
    started = json.loads((out / STARTED).read_text())
    del started["inputs"][str(base)]
    (out / STARTED).write_text(json.dumps(started))
    assert begin(made(), out, resume=True) == str(checkpoint)


@pytest.mark.parametrize("settings", [TrainingSettings(), DPOSettings()])
def test_a_training_goes_on_with_fewer_rows_at_once_unless_they_say_which_make_a_batch(
    tmp_path: Path, settings: Any
) -> None:
    for grouped in (False, True):
        begun = replace(settings, group_prefixes=grouped)
        made, fewer = (provenance("x", "m", "d", replace(begun, rows_at_once=rows)) for rows in (4, 2))
        out = tmp_path / str(grouped)
        begin(made, out, resume=False)
        checkpoint = out / CHECKPOINTS / "checkpoint-2"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text("{}")
        if grouped:
            with pytest.raises(O1CoderError, match="a training with rows_at_once 4, not 2"):
                begin(fewer, out, resume=True)
        else:
            assert begin(fewer, out, resume=True) == str(checkpoint)
