"""`o1coder sft`: D⁺ becomes rows of which only the path has a loss; finished work is left alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)


from peft import PeftModel
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from o1coder_gym.errors import O1CoderError
from o1coder_gym.experiments.training.path_tokens import path_encoder
from o1coder_gym.models.checkpoints import export_policy, load_weights
from o1coder_gym.models.training import finetuning
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.problems.likeness.trained_on import trained_on
from o1coder_gym.process_data import ProcessData, read_data
from o1coder_gym.types import State
from tests.command_line import call

pytestmark = pytest.mark.slow

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


def test_what_the_policy_samples_has_a_loss_and_nothing_else(
    model: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    settings = TrainingSettings(batch_size=2, rows_at_once=2, lora_rank=0, max_length=2400)
    loaded, tokenizer = load_weights(model, settings.dtype)
    encode = path_encoder(process_data)
    rows = [row for path in process_data.paths[:2] if (row := encode(tokenizer, path)) is not None]
    trainer = finetuning._trainer("sft", loaded, tokenizer, rows, [], tmp_path, settings)
    batch = next(iter(trainer.get_train_dataloader()))
    shown = "### Step 1 (define)\nk\n\n### Step 2 (code)\n```python\nprint(1)\n```\n<eos>"
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        assert shown in str(tokenizer.decode(ids.tolist()))
        learned = str(tokenizer.decode([int(label) for label in labels if label != -100]))
        assert learned.replace("Step ", "Step") == "k\n\n### Stepcode)\n```python\nprint(1)\n```\n<eos>"


def test_a_path_that_the_format_does_not_open_is_left_out(model: Path, process_data: ProcessData) -> None:
    tokenizer = load_weights(model, "float32")[1]
    path = process_data.paths[0]
    begins_with_code = replace(path, state=State(path.state.problem_id, path.state.steps[1:]))
    assert path_encoder(process_data)(tokenizer, begins_with_code) is None
    vanilla = replace(process_data, format="vanilla")
    row = path_encoder(vanilla)(tokenizer, begins_with_code)
    assert row is not None
    learned = [label for label in row["labels"] if label != -100]
    assert tokenizer.decode(learned) == "print(1)\n```\n<eos>"
    tokenizer.eos_token = None
    assert path_encoder(vanilla)(tokenizer, begins_with_code) == {name: ids[:-1] for name, ids in row.items()}


def test_a_policy_is_trained_once(arguments: list[str], data: Path, tmp_path: Path) -> None:
    first = call(*arguments, "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    model = Path(told["model"])
    assert told["metrics"]["train_loss"] > 0
    assert list((tmp_path / "run/checkpoints").rglob("events.out.tfevents.*"))
    made = json.loads((model / "provenance.json").read_text())
    asked = read_data(data).of_split("train").problems
    assert trained_on(str(model), asked) == [problem.task_id for problem in asked]
    assert made["inputs"]["data"] == json.loads((data / "dataset.json").read_text())["hash"]
    stamp = (model / "model.safetensors").stat().st_mtime_ns
    again = call(*arguments)
    assert again.exit_code == 0, again.output
    assert f"hf:{model}" in again.output
    assert (model / "model.safetensors").stat().st_mtime_ns == stamp
    other = call(*arguments, "--seed", "1")
    assert "holds checkpoints already" in str(other.exception)


def test_a_train_split_without_a_path_is_said(model: Path, process_data: ProcessData, tmp_path: Path) -> None:
    with pytest.raises(
        O1CoderError, match=r"train split has no sft rows, the validation split 3: .*hold out"
    ):
        finetuning.finetune("sft", str(model), [], process_data.paths[:3], tmp_path)


def tuned(
    model: Path,
    data: ProcessData,
    out: Path,
    *,
    resume: bool = False,
    push_to_hub: str | None = None,
    **changed: Any,
) -> Path:
    plain = TrainingSettings(learning_rate=1e-3, max_steps=4, batch_size=2, rows_at_once=2, lora_rank=2)
    settings = replace(plain, **{"max_length": 2400, "save_steps": 2, **changed})
    given = {"encode": path_encoder(data), "data": "d", "resume": resume, "learned": {"a question"}}
    given["push_to_hub"] = push_to_hub
    return finetuning.finetune("sft", str(model), data.paths[:8], [], out, settings, **given).model


def test_a_killed_training_goes_on_and_another_one_is_refused(
    model: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    whole = tuned(model, process_data, tmp_path / "whole")
    cut = tmp_path / "cut"
    (cut / "checkpoints").mkdir(parents=True)
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-2", cut / "checkpoints/checkpoint-2")
    shutil.copy(tmp_path / "whole/started.json", cut)
    others: list[tuple[dict[str, Any], str]] = [
        ({"learning_rate": 2e-3}, "learning_rate 0.001, not 0.002"),
        ({"lora_rank": 4}, "lora_rank 2, not 4"),
        ({"max_steps": 8}, "max_steps 4, not 8"),
    ]
    for changed, told in others:
        with pytest.raises(O1CoderError, match=told):
            tuned(model, process_data, cut, resume=True, **changed)
    again = tuned(model, process_data, cut, resume=True)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    card = (whole / "README.md").read_text()
    for cell in ("learning_rate | 0.001", "lora_alpha | 4", "data | d", "train_loss", "torch"):
        assert f"| {cell} |" in card


def test_a_checkpoint_becomes_a_model(model: Path, process_data: ProcessData, tmp_path: Path) -> None:
    whole = tuned(model, process_data, tmp_path)
    (tmp_path / "checkpoints/checkpoint-9").mkdir()  # a torn one
    assert export_policy(tmp_path) == tmp_path / "model-4"
    stopped = export_policy(tmp_path, step=2, out=tmp_path / "at two")
    last, two, end = (
        load_file(folder / "model.safetensors") for folder in (tmp_path / "model-4", stopped, whole)
    )
    assert all(last[name].allclose(end[name], atol=1e-6) for name in end)
    assert any(not two[name].allclose(end[name], atol=1e-6) for name in end)
    kept = PeftModel.from_pretrained(load_weights(model, "float32")[0], str(tmp_path / "adapter"))
    alone = kept.merge_and_unload().state_dict()
    assert all(alone[name].allclose(end[name], atol=1e-6) for name in end)
    assert json.loads((stopped / "provenance.json").read_text())["config"]["step"] == 2
    for step, told in ((3, "no checkpoint of step 3; it has: 2, 4"), (9, "of step 9")):
        with pytest.raises(O1CoderError, match=told):
            export_policy(tmp_path, step=step)
    (tmp_path / "empty").mkdir()
    for name, told in (("nothing", "no such folder"), ("empty", "it has: none")):
        with pytest.raises(O1CoderError, match=told):
            export_policy(tmp_path / name)


def test_a_training_is_pushed_also_when_it_was_finished_before(
    model: Path, process_data: ProcessData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[str, str]] = []
    for kind in (PreTrainedModel, PreTrainedTokenizerBase):
        monkeypatch.setattr(kind, "push_to_hub", lambda one, name: pushed.append((one.name_or_path, name)))
    for _ in range(2):
        whole = tuned(model, process_data, tmp_path, push_to_hub="me/model", max_steps=1)
        assert [pushed.pop(), pushed.pop()] == [(str(whole), "me/model")] * 2
    assert not pushed


@pytest.mark.filterwarnings("ignore:the chat template does not read 'kind'")
@pytest.mark.parametrize(
    "changed",
    [
        {"lora_rank": 0},
        {"template_arguments": {"kind": "brief"}},
        {"learning_rate": 1e-4},
        {"dtype": "bfloat16"},
    ],
    ids=["all weights", "template arguments", "small updates", "bfloat16"],
)
def test_a_checkpoint_becomes_what_would_have_been_saved(
    model: Path, process_data: ProcessData, tmp_path: Path, changed: dict[str, Any]
) -> None:
    base = tmp_path / "base"  # in bfloat16, as most published models are
    loaded, tokenizer = load_weights(model, "bfloat16")
    loaded.save_pretrained(base)
    tokenizer.save_pretrained(base)
    run = tmp_path / "run"
    whole = tuned(base, process_data, run, **changed)
    kept = tmp_path / "kept"
    whole.rename(kept)  # as in a run that was stopped
    (run / "training.json").unlink()
    made = export_policy(run)
    wanted, found = (load_file(folder / "model.safetensors") for folder in (kept, made))
    assert all(found[name].dtype == wanted[name].dtype for name in wanted)
    assert all(found[name].allclose(wanted[name], rtol=0, atol=1e-7) for name in wanted)
    for name in ("chat_template.jinja", "trained_on.json"):
        assert (made / name).read_bytes() == (kept / name).read_bytes()
    assert json.loads((made / "trained_on.json").read_text()) == ["a question"]
    card = (made / "README.md").read_text()
    for cell in (f"learning_rate | {changed.get('learning_rate', 0.001)}", "step | 4", "max_length | 2400"):
        assert f"| {cell} |" in card
    assert ("| lora_alpha | 4 |" in card) == (changed.get("lora_rank") != 0)
