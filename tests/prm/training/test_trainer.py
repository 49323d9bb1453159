"""Training: a tiny model learns a task by each objective; cut runs go on; finished ones are left alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

from o1coder_gym.errors import O1CoderError, UnknownNameError  # noqa: E402
from o1coder_gym.models.trainers import PRM_SETTINGS  # noqa: E402
from o1coder_gym.prm import load_scorer  # noqa: E402
from o1coder_gym.prm.collators import (  # noqa: E402
    PairwiseCollator,
    PointwiseCollator,
    pairwise_examples,
    pointwise_examples,
)
from o1coder_gym.prm.evaluation import evaluate_scorer  # noqa: E402
from o1coder_gym.prm.losses import IGNORED  # noqa: E402
from o1coder_gym.prm.step_text import StepText, separated  # noqa: E402
from o1coder_gym.prm.training.trainer import bradley_terry, train_prm  # noqa: E402
from o1coder_gym.process_data import ProcessData  # noqa: E402
from o1coder_gym.steps.formats import PSEUDOCODE  # noqa: E402

SETTINGS = replace(
    PRM_SETTINGS, learning_rate=3e-3, epochs=5.0, lora_rank=0, batch_size=16, rows_at_once=16, max_length=256
)
SHORT = replace(SETTINGS, max_steps=4, save_steps=2)


@pytest.fixture(scope="module")
def text(model: Path) -> StepText:
    from transformers import AutoTokenizer

    return StepText(AutoTokenizer.from_pretrained(model), PSEUDOCODE, separated, 256)


def test_soft_labels_survive_the_collator(process_data: ProcessData, text: StepText) -> None:
    rows = pointwise_examples(process_data, text, soft=True).rows
    rows[0]["labels"][-1] = 0.75
    batch = PointwiseCollator(pad=0)(rows[:4])
    assert batch["labels"].dtype == torch.float32
    assert batch["labels"][0][len(rows[0]["labels"]) - 1].item() == 0.75
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    padding = batch["attention_mask"] == 0
    assert set(batch["labels"][padding].tolist()) == {IGNORED}


def test_every_prefix_is_labelled_once(process_data: ProcessData, text: StepText) -> None:
    for soft in (True, False):
        found = pointwise_examples(process_data, text, soft=soft)
        labels = [label for row in found.rows for label in row["labels"] if label != IGNORED]
        assert len(labels) == len(process_data.prefixes)
        wanted = sorted(row.soft if soft else float(row.hard) for row in process_data.prefixes)
        assert sorted(labels) == wanted
    eos = text.tokenizer.eos_token_id
    for row in found.rows:
        marks = [place for place, label in enumerate(row["labels"]) if label != IGNORED]
        assert all(row["input_ids"][mark] == eos for mark in marks)


def test_rows_that_do_not_fit_are_counted(process_data: ProcessData, text: StepText) -> None:
    short = StepText(text.tokenizer, PSEUDOCODE, separated, 60)
    for found in (pointwise_examples(process_data, short, soft=True), pairwise_examples(process_data, short)):
        assert found.left_out > 0
    whole = pairwise_examples(process_data, text)
    assert len(whole.rows) == len(process_data.pairs)


def test_pairs_are_read_at_their_last_step(process_data: ProcessData, text: StepText) -> None:
    batch = PairwiseCollator(pad=0)(pairwise_examples(process_data, text).rows[:3])
    assert batch["input_ids"].shape[0] == 6
    places = torch.arange(6)
    assert (batch["input_ids"][places, batch["labels"]] == text.tokenizer.eos_token_id).all()
    assert (batch["attention_mask"].sum(1) - 1 == batch["labels"]).all()
    logits = torch.zeros(6, batch["input_ids"].shape[1])
    logits[places, batch["labels"]] = torch.tensor([2.0, 2.0, 2.0, 0.0, 0.0, 0.0])
    loss, metrics = bradley_terry(logits, batch["labels"])
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(torch.tensor(-2.0)).item())
    assert metrics["accuracy"].item() == 1.0


def random_head(model: Path, out: Path) -> None:
    """Saves a language model with a head of random weights."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    torch.manual_seed(0)
    AutoModelForTokenClassification.from_pretrained(model, num_labels=1).save_pretrained(out)
    AutoTokenizer.from_pretrained(model).save_pretrained(out)


@pytest.mark.parametrize("objective", ["soft", "hard", "pairwise"])
def test_a_tiny_model_learns(
    model: Path, data: Path, process_data: ProcessData, tmp_path: Path, objective: str
) -> None:
    result = train_prm(str(model), data, tmp_path, objective, SETTINGS)
    held_out = process_data.of_split("validation")
    report = evaluate_scorer(load_scorer(f"prm:{result.model}"), held_out, n=2, resamples=50)
    assert report.auc.value >= 0.95
    assert report.pair_accuracy.value >= 0.95
    assert min(one.value for one in report.auc_by_depth.values()) >= 0.9
    assert report.best_of_by_depth[1].lift.low > 0
    if objective == "soft":
        soft = evaluate_scorer(load_scorer(f"prm:{result.model}"), held_out, soft=True, resamples=10)
        assert soft.calibration_error.value < 0.1 < report.calibration_error.value + 0.05
    random_head(model, tmp_path / "random")
    unmoved = replace(SHORT, learning_rate=1e-12)
    untrained = train_prm(str(tmp_path / "random"), data, tmp_path / "no", objective, unmoved)
    chance = evaluate_scorer(load_scorer(f"prm:{untrained.model}"), held_out, resamples=10)
    assert chance.auc.value < 0.9


def test_lora_learns_and_is_merged(
    model: Path, data: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, lora_rank=16, learning_rate=5e-3)
    result = train_prm(str(model), data, tmp_path, "soft", settings)
    report = evaluate_scorer(
        load_scorer(f"prm:{result.model}"), process_data.of_split("validation"), resamples=10
    )
    assert report.auc.value >= 0.7  # the random body under the adapter stays as it is
    assert not list(result.model.glob("adapter*"))


def test_the_head_is_trained_in_float32(model: Path, data: Path, tmp_path: Path) -> None:
    settings = replace(SHORT, lora_rank=4, dtype="bfloat16")
    trained = weights(train_prm(str(model), data, tmp_path, "soft", settings).model)
    assert trained["score.weight"].dtype == torch.float32
    assert trained["model.norm.weight"].dtype == torch.bfloat16


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_killed_training_goes_on_where_it_was(model: Path, data: Path, tmp_path: Path) -> None:
    whole = train_prm(str(model), data, tmp_path / "whole", "soft", SHORT)
    assert list((tmp_path / "whole" / "checkpoints").rglob("events.out.tfevents.*"))
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-2", cut / "checkpoints/checkpoint-2")
    # a kill while a checkpoint was written leaves a folder without its last file
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-4", cut / "checkpoints/checkpoint-3")
    (cut / "checkpoints/checkpoint-3/trainer_state.json").unlink()
    with pytest.raises(O1CoderError, match="resume"):
        train_prm(str(model), data, cut, "soft", SHORT)
    resumed = train_prm(str(model), data, cut, "soft", SHORT, resume=True)
    before, after, start = weights(whole.model), weights(resumed.model), weights(model)
    assert all(before[name].equal(after[name]) for name in before)
    assert not before["model.norm.weight"].equal(start["model.norm.weight"])


def test_what_is_finished_is_not_done_again(model: Path, data: Path, tmp_path: Path) -> None:
    first = train_prm(str(model), data, tmp_path, "soft", SHORT)
    stamp = (first.model / "model.safetensors").stat().st_mtime_ns
    again = train_prm(str(model), data, tmp_path, "soft", SHORT)
    assert again == first
    assert (first.model / "model.safetensors").stat().st_mtime_ns == stamp
    told = json.loads((first.model / "provenance.json").read_text())
    assert told["inputs"]["data"] == json.loads((data / "dataset.json").read_text())["hash"]
    assert {"torch", "transformers"} <= told["versions"].keys()
    with pytest.raises(O1CoderError, match="resume"):
        train_prm(str(model), data, tmp_path, "hard", SHORT)


def test_a_trained_prm_is_a_start(model: Path, data: Path, tmp_path: Path) -> None:
    first = train_prm(str(model), data, tmp_path / "one", "soft", SHORT)
    settings = replace(SHORT, learning_rate=1e-12)
    second = train_prm(str(first.model), data, tmp_path / "two", "soft", settings)
    before, after = weights(first.model), weights(second.model)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    told = json.loads((second.model / "provenance.json").read_text())
    assert str(first.model) in told["inputs"]


def test_bad_requests_are_one_line(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="objective 'sharp'"):
        train_prm(str(model), data, tmp_path, "sharp", SHORT)
    with pytest.raises(O1CoderError, match="longer than 16 tokens"):
        train_prm(str(model), data, tmp_path, "soft", replace(SHORT, max_length=16))
