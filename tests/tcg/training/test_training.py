"""Training: what TRL is asked to minimise, in numbers; a run that was cut goes on where it was."""

import importlib.util
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from o1coder_gym.errors import MissingExtraError, O1CoderError, UsageError
from o1coder_gym.models.checkpoints import load_weights
from o1coder_gym.models.training import finetuning
from o1coder_gym.models.training.arguments import REPORT_TO
from o1coder_gym.models.training.assembly import TrainingResult
from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.tcg.training.training import train

needs_trl = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the train extra")

SETTINGS = TrainingSettings(
    learning_rate=1e-2, batch_size=2, rows_at_once=2, max_steps=2, save_steps=1, max_length=120
)


def message(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def rows(count: int) -> list[dict[str, Any]]:
    """Returns rows that serve both stages."""
    return [
        {
            "task_id": str(n),
            "prompt": message("user", f"double {n}"),
            "completion": message("assistant", f"assert f({n}) == {2 * n}\n"),
            "chosen": message("assistant", f"assert f({n}) == {2 * n}\n"),
            "rejected": message("assistant", f"assert f({n}) == {3 * n + 1}\n"),
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for kind in ("sft", "dpo"):
        for split, found in (("train", rows(6)), ("validation", rows(2))):
            (folder / f"{kind}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder


def log_likelihood(model: Any, tokenizer: Any, row: dict[str, Any], side: str) -> float:
    """Sums log p of the answer's tokens given the prompt, token by token."""
    import torch

    prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
    assert whole[: len(prompt)] == prompt
    with torch.no_grad():
        logits = model(torch.tensor([whole])).logits[0]
    total = 0.0
    for position in range(len(prompt), len(whole)):
        total += logits[position - 1].log_softmax(-1)[whole[position]].item()
    return total


def equation_1(trainer: Any, tokenizer: Any, found: list[dict[str, Any]], beta: float) -> float:
    """−E log σ(β log π(y_w)/γ_ref(y_w) − β log π(y_l)/γ_ref(y_l)); γ_ref is the model without its adapter."""
    policy = trainer.accelerator.unwrap_model(trainer.model)
    total = 0.0
    for row in found:
        ratios = []
        for side in ("chosen", "rejected"):
            with policy.disable_adapter():
                reference = log_likelihood(policy, tokenizer, row, side)
            ratios.append(log_likelihood(policy, tokenizer, row, side) - reference)
        margin = beta * (ratios[0] - ratios[1])
        total += math.log1p(math.exp(-margin))
    return total / len(found)


@needs_trl
def test_the_dpo_loss_is_equation_1(model: Path, tmp_path: Path) -> None:
    import torch

    loaded, tokenizer = load_weights(model, SETTINGS.dtype)
    found = rows(2)
    trainer = finetuning._trainer("dpo", loaded, tokenizer, found, [], tmp_path, replace(SETTINGS, beta=0.3))
    trainer.model.eval()
    batch = next(iter(trainer.get_train_dataloader()))
    # a fresh adapter changes nothing: π = γ_ref, so the loss is −log σ(0) = log 2
    assert trainer.compute_loss(trainer.model, dict(batch)).item() == pytest.approx(math.log(2), abs=1e-6)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    loss = trainer.compute_loss(trainer.model, dict(batch)).item()
    assert abs(loss - math.log(2)) > 0.01
    assert loss == pytest.approx(equation_1(trainer, tokenizer, found, 0.3), abs=1e-4)
    assert loss != pytest.approx(equation_1(trainer, tokenizer, found, 0.1), abs=1e-3)


@needs_trl
def test_sft_learns_the_completion_alone(model: Path, tmp_path: Path) -> None:
    loaded, tokenizer = load_weights(model, SETTINGS.dtype)
    found = rows(2)
    trainer = finetuning._trainer("sft", loaded, tokenizer, found, [], tmp_path, SETTINGS)
    trainer.model.eval()
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, dict(batch)).item()
    policy = trainer.accelerator.unwrap_model(trainer.model)
    likelihoods = [log_likelihood(policy, tokenizer, row, "completion") for row in found]
    tokens = sum(len(row["completion"][0]["content"]) + 1 for row in found)  # one a byte, and the end
    assert loss == pytest.approx(-sum(likelihoods) / tokens, abs=1e-4)


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_what_is_measured_does_not_depend_on_the_rows_read_at_once(
    stage: Literal["sft", "dpo"], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPORT_TO, "none")  # measured before a training begins, it goes to the current folder
    found = rows(5)
    for place, row in enumerate(found):  # answers of 17 to 77 tokens, of which the long ones are all alike
        row["completion"] = row["chosen"] = message("assistant", f"assert f({place}) == {'1' * 15 * place}\n")
    losses = []
    for at_once in (1, 2, 5):
        loaded, tokenizer = load_weights(model, SETTINGS.dtype)
        how = replace(SETTINGS, batch_size=at_once, rows_at_once=at_once)
        out = tmp_path / str(at_once)
        losses.append(finetuning._trainer(stage, loaded, tokenizer, found, found, out, how).evaluate())
    assert [one["eval_loss"] for one in losses] == pytest.approx([losses[0]["eval_loss"]] * 3, abs=1e-5)
    if stage == "sft":
        loaded, tokenizer = load_weights(model, SETTINGS.dtype)
        likelihoods = [log_likelihood(loaded, tokenizer, row, "completion") for row in found]
        tokens = sum(len(row["completion"][0]["content"]) + 1 for row in found)
        assert losses[0]["eval_loss"] == pytest.approx(-sum(likelihoods) / tokens, abs=1e-4)


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_prompts_are_not_projected_onto_the_vocabulary(
    stage: Literal["sft", "dpo"], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer import utils

    loaded, tokenizer = load_weights(model, SETTINGS.dtype)
    found = rows(2)
    trainer = finetuning._trainer(stage, loaded, tokenizer, found, [], tmp_path, SETTINGS)
    batch = next(iter(trainer.get_train_dataloader()))
    projected: list[int] = []
    apply = utils._ChunkedLogProbFunction.apply

    def counting(hidden: Any, *rest: Any) -> Any:
        projected.append(len(hidden))
        return apply(hidden, *rest)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", counting)
    trainer.compute_loss(trainer.model, dict(batch))
    sides = ("completion",) if stage == "sft" else ("chosen", "rejected")
    tokens = sum(len(row[side][0]["content"]) + 1 for row in found for side in sides)
    assert set(projected) == {tokens}


@needs_trl
@pytest.mark.parametrize(
    ("stage", "settings"),
    [("sft", SETTINGS), ("dpo", SETTINGS), ("dpo", replace(SETTINGS, lora_rank=0, learning_rate=1e-3))],
    ids=["sft", "dpo", "dpo of all weights"],
)
def test_a_cut_run_ends_where_an_uncut_one_does(
    stage: Literal["sft", "dpo"], settings: TrainingSettings, model: Path, data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    whole = train(stage, str(model), data, tmp_path / "whole", settings)
    assert whole.metrics["eval_loss"] > 0
    assert whole.metrics["rows_left_out"] == 0
    assert list((tmp_path / "whole" / "checkpoints").rglob("events.out.tfevents.*"))
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "checkpoint-1", cut / "checkpoints" / "checkpoint-1")
    with pytest.raises(O1CoderError, match="resume"):
        train(stage, str(model), data, cut, settings)
    resumed = train(stage, str(model), data, cut, settings, resume=True)
    assert resumed.metrics["eval_loss"] == pytest.approx(whole.metrics["eval_loss"], abs=1e-6)
    assert_told_of_the_whole(whole, resumed)
    before, after, start = (
        load_file(folder / "model.safetensors") for folder in (whole.model, resumed.model, model)
    )
    assert all(before[name].equal(after[name]) for name in before)
    assert any(not before[name].equal(start[name]) for name in start)
    report = json.loads((cut / "training.json").read_text())
    assert (report["stage"], report["settings"]["max_steps"]) == (stage, 2)
    changed = [json.loads(line) for line in (data / f"{stage}-train.jsonl").read_text().splitlines()]
    other = tmp_path / "other"
    shutil.copytree(data, other)
    (other / f"{stage}-train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed[:-1]))
    with pytest.raises(O1CoderError, match="holds a training with data '"):
        train(stage, str(model), other, cut, settings, resume=True)


def assert_told_of_the_whole(whole: TrainingResult, resumed: TrainingResult) -> None:
    """A resumed training says what an uncut one says of all steps, and nothing of its own steps alone."""
    state = whole.model.parent / "checkpoints" / "checkpoint-2" / "trainer_state.json"
    losses = [row["loss"] for row in json.loads(state.read_text())["log_history"] if "loss" in row]
    assert whole.metrics["train_loss"] == pytest.approx(sum(losses) / 2)
    assert resumed.metrics["train_loss"] == pytest.approx(whole.metrics["train_loss"], rel=1e-5)
    assert whole.metrics["train_runtime"] > 0
    assert [name for name in resumed.metrics if name.startswith("train_")] == ["train_loss"]
    assert "train_runtime" not in (resumed.model / "README.md").read_text()
    # over all steps; TRL counts from 0 where it goes on
    assert resumed.metrics["eval_num_tokens"] == whole.metrics["eval_num_tokens"] > 0


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_kill_after_the_last_step_costs_no_measurement_and_makes_no_step(
    stage: Literal["sft", "dpo"], model: Path, data: Path, tmp_path: Path
) -> None:
    whole = train(stage, str(model), data, tmp_path / "whole", SETTINGS)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "checkpoint-2", cut / "checkpoints" / "checkpoint-2")
    resumed = train(stage, str(model), data, cut, SETTINGS, resume=True)
    assert resumed.metrics["eval_loss"] == pytest.approx(whole.metrics["eval_loss"], abs=1e-6)
    assert_told_of_the_whole(whole, resumed)
    # an epoch has 3 steps: transformers would go on with it
    assert resumed.metrics["epoch"] == whole.metrics["epoch"] == pytest.approx(2 / 3)
    assert [path.name for path in (cut / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_a_cut_run_goes_on_with_fewer_rows_at_once(
    stage: Literal["sft", "dpo"], model: Path, data: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    whole = train(stage, str(model), data, tmp_path / "whole", SETTINGS)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "checkpoint-1", cut / "checkpoints" / "checkpoint-1")
    shutil.copy(tmp_path / "whole" / "started.json", cut)
    resumed = train(stage, str(model), data, cut, replace(SETTINGS, rows_at_once=1), resume=True)
    before, after = (load_file(folder / "model.safetensors") for folder in (whole.model, resumed.model))
    assert all(before[name].sub(after[name]).abs().max() < 1e-5 for name in before)


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_figures_do_not_depend_on_the_rows_read_at_once(
    stage: Literal["sft", "dpo"], model: Path, data: Path, tmp_path: Path
) -> None:
    from tests.models.batches.ranked_trainings import curve

    curves = []
    for at_once in (1, 2):
        out = tmp_path / str(at_once)
        train(stage, str(model), data, out, replace(SETTINGS, rows_at_once=at_once))
        curves.append(curve(out))
    names = {"entropy", "mean_token_accuracy", "num_tokens", "eval_entropy", "eval_mean_token_accuracy"}
    names |= {"rewards/accuracies", "logps/chosen", "eval_rewards/margins"} if stage == "dpo" else set()
    assert names <= {name for row in curves[0] for name in row}
    for mine, theirs in zip(*curves, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)


@needs_trl
def test_dpo_starts_from_what_sft_made(model: Path, data: Path, tmp_path: Path) -> None:
    result = train("dpo", str(model), data, tmp_path, replace(SETTINGS, max_steps=1))
    assert result.metrics["train_loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert (result.model / "model.safetensors").exists()


@needs_trl
def test_weights_in_bfloat16_train_to_nearly_the_same_loss(model: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    losses = {}
    for dtype in ("float32", "bfloat16"):
        result = train("sft", str(model), data, tmp_path / dtype, replace(SETTINGS, dtype=dtype))
        kinds = {str(weight.dtype) for weight in load_file(result.model / "model.safetensors").values()}
        assert kinds == {f"torch.{dtype}"}
        losses[dtype] = result.metrics["train_loss"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


@needs_trl
def test_rows_that_do_not_fit_are_left_out_not_cut(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(O1CoderError, match="none of 6 sft rows can be learned: over 16 tokens"):
        train("sft", str(model), data, tmp_path, replace(SETTINGS, max_length=16))


@needs_trl
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_rows_beyond_the_context_of_the_model_are_left_out(
    stage: Literal["sft", "dpo"], model: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(model)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=120, n_embd=16, n_layer=1, n_head=2)
    short = tmp_path / "short"
    GPT2LMHeadModel(config).save_pretrained(short)
    tokenizer.save_pretrained(short)
    found = rows(4)
    for side in ("completion", "rejected"):
        found[1][side] = message("assistant", "1 " * 120)
    for split in ("train", "validation"):
        (tmp_path / f"{stage}-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    settings = replace(SETTINGS, lora_rank=0, max_length=1024)
    assert train(stage, str(short), tmp_path, tmp_path / "run", settings).metrics["rows_left_out"] == 2


def test_a_missing_library_is_one_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"o1coder-gym\[train\]"):
        train("sft", "any", data, tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 5, "rows_at_once": 2}, {"lora_rank": -1}, {"beta": 0.0}, {"learning_rate": 0.0}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TrainingSettings(**wrong)
