"""Checkpoints of RL become the policy that the training would have saved there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.errors import O1CoderError, UsageError
from o1coder_gym.process_data import LabelRule, PairRow, PairRule, ProcessData
from o1coder_gym.steps.formats import PSEUDOCODE
from o1coder_gym.types import ActionType, Problem, State, Step

pytest.importorskip("trl")

from safetensors.torch import load_file

from o1coder_gym.models.checkpoints import export_policy


def as_saved(made: Path, model: Path) -> bool:
    found, wanted = (load_file(folder / "model.safetensors") for folder in (made, model))
    return all(found[name].allclose(wanted[name], rtol=0, atol=1e-6) for name in wanted)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_checkpoint_of_grpo(
    weights: Path, process, settings: RLSettings, tmp_path: Path, rank: int
) -> None:
    from o1coder_gym.agents.rl.grpo import train_policy

    how = replace(settings, lora_rank=rank, learning_rate=1e-2)
    model = train_policy(str(weights), process, process.task_ids, tmp_path, how, step_format=PSEUDOCODE)
    assert as_saved(export_policy(tmp_path), model)
    assert not as_saved(export_policy(tmp_path, step=1), model)
    assert json.loads((tmp_path / "model-1/provenance.json").read_text())["config"]["step"] == 1


@pytest.mark.parametrize("rank", [0, 2])
def test_a_checkpoint_of_dpo(weights: Path, tmp_path: Path, rank: int) -> None:
    model = tuned(weights, tmp_path, rank)
    assert as_saved(export_policy(tmp_path), model)
    assert not as_saved(export_policy(tmp_path, step=1), model)
    card = (tmp_path / "model-2" / "README.md").read_text()
    assert "| learning_rate | 0.01 |" in card
    assert "| loss |" in card


def test_weights_have_the_type_of_the_training(weights: Path, tmp_path: Path) -> None:
    tuned(weights, tmp_path, 2)
    (tmp_path / "log").mkdir()
    told = json.dumps({"schema": 1, "hash": "", "config": {"settings": {"dtype": "bfloat16"}}})
    for name in ("started.json", "config.json", "log/config.json"):
        (tmp_path / "started.json").unlink(missing_ok=True)
        assert types(export_policy(tmp_path)) == {"torch.float32"}  # as in runs that do not say it
        (tmp_path / name).write_text(told)
        assert types(export_policy(tmp_path)) == {"torch.bfloat16"}
        (tmp_path / name).unlink()


def test_an_export_replaces_nothing_but_an_export(weights: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    model = tuned(weights, run, 2)
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for taken in (out, run, model, out / "thesis.txt"):
        with pytest.raises(UsageError, match="holds something other than an export"):
            export_policy(run, out=taken)
    assert (out / "thesis.txt").read_text() == "mine"
    (out / "thesis.txt").unlink()
    for step in (1, 2):
        assert as_saved(export_policy(run, step=step, out=out), model) == (step == 2)


def test_a_training_that_diverges_ends_and_saves_nothing(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(O1CoderError, match=r"diverged: (loss|grad_norm) is (nan|inf) at step 2; try a lower"):
        tuned(weights, tmp_path, 0, learning_rate=1e30)
    assert not (tmp_path / "model").exists()
    assert {path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")} == {"checkpoint-1"}


def types(model: Path) -> set[str]:
    return {str(weight.dtype) for weight in load_file(model / "model.safetensors").values()}


def tuned(weights: Path, out: Path, rank: int, learning_rate: float = 1e-2) -> Path:
    """Trains two steps by DPO."""
    from o1coder_gym.agents.rl.dpo import train_dpo

    good, bad = (Step(ActionType.DEFINE, text) for text in ("double", "square"))
    pairs = (PairRow(State("p"), good, bad, 0.9, 0.1, 1, "train", ("run",)),)
    asked = (Problem("p", "double it", "f"),)
    data = ProcessData("pseudocode", asked, (), (), pairs, LabelRule(), PairRule(), 0.0, {}, {})
    how = DPOSettings(
        learning_rate=learning_rate, batch_size=1, rows_at_once=1, epochs=2, save_steps=1, lora_rank=rank
    )
    return train_dpo(str(weights), data, out, how, step_format=PSEUDOCODE)
