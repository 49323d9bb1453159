"""`o1coder sft`: D⁺ becomes rows of which only the path has a loss; finished work is left alone."""

import json
from pathlib import Path

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)


from o1coder_gym.models import finetuning
from o1coder_gym.models.checkpoints import load_weights
from o1coder_gym.models.trainers import TrainingSettings
from o1coder_gym.process_data import ProcessData
from o1coder_gym.process_data.exports import demonstrations
from tests.command_line import call

OPTIONS = [
    "--max-steps",
    "2",
    "--save-steps",
    "1",
    "--lora-rank",
    "0",
    "--lr",
    "1e-3",
    "--max-length",
    "2400",
]


@pytest.fixture
def arguments(model: Path, data: Path, tmp_path: Path) -> list[str]:
    return ["sft", "--model", str(model), "--data", str(data), "--out", str(tmp_path / "run"), *OPTIONS]


def test_only_the_path_has_a_loss(model: Path, process_data: ProcessData, tmp_path: Path) -> None:
    settings = TrainingSettings(batch_size=2, rows_at_once=2, lora_rank=0, max_length=2400)
    loaded, tokenizer = load_weights(model, settings.dtype)
    rows = list(demonstrations(process_data))[:2]
    trainer = finetuning._trainer("sft", loaded, tokenizer, rows, [], tmp_path, settings)
    batch = next(iter(trainer.get_train_dataloader()))
    for labels in batch["labels"]:
        learned = str(tokenizer.decode([int(label) for label in labels if label != -100]))
        assert learned == rows[0]["completion"][0]["content"] + "<eos>"
        assert learned.startswith("### Step 1 (define)\nk\n\n### Step 2 (code)")


def test_a_policy_is_trained_once(arguments: list[str], data: Path, tmp_path: Path) -> None:
    first = call(*arguments, "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    model = Path(told["model"])
    assert told["metrics"]["train_loss"] > 0
    assert list((tmp_path / "run/checkpoints").rglob("events.out.tfevents.*"))
    made = json.loads((model / "provenance.json").read_text())
    assert made["inputs"]["data"] == json.loads((data / "dataset.json").read_text())["hash"]
    stamp = (model / "model.safetensors").stat().st_mtime_ns
    again = call(*arguments)
    assert again.exit_code == 0, again.output
    assert f"hf:{model}" in again.output
    assert (model / "model.safetensors").stat().st_mtime_ns == stamp
    other = call(*arguments, "--seed", "1")
    assert "holds checkpoints already" in str(other.exception)
