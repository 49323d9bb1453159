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
from o1coder_gym.models.checkpoints import export_policy  # noqa: E402
from o1coder_gym.models.training.arguments import REPORT_TO  # noqa: E402
from o1coder_gym.models.training.settings import PRM_SETTINGS  # noqa: E402
from o1coder_gym.prm import load_scorer  # noqa: E402
from o1coder_gym.prm.collators import (  # noqa: E402
    Examples,
    PairwiseCollator,
    PointwiseCollator,
    pairwise_examples,
    pointwise_examples,
)
from o1coder_gym.prm.evaluation import evaluate_scorer  # noqa: E402
from o1coder_gym.prm.losses import IGNORED, pointwise_loss  # noqa: E402
from o1coder_gym.prm.model import ScalarHead  # noqa: E402
from o1coder_gym.prm.step_text import StepText, separated  # noqa: E402
from o1coder_gym.prm.training import trainer as trainer_module  # noqa: E402
from o1coder_gym.prm.training.trainer import (  # noqa: E402
    bradley_terry,
    examples,
    load_model,
    step_trainer,
    train_prm,
)
from o1coder_gym.problems.likeness.trained_on import trained_on  # noqa: E402
from o1coder_gym.process_data import PrefixRow, ProcessData, read_data, write_data  # noqa: E402
from o1coder_gym.process_data.dataset import assembled  # noqa: E402
from o1coder_gym.steps.formats import PSEUDOCODE  # noqa: E402
from o1coder_gym.types import ActionType, Problem, State, Step  # noqa: E402

pytestmark = pytest.mark.slow

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


def test_a_head_is_trained_as_it_scores(model: Path) -> None:
    loaded: Any = load_model(model, "bfloat16")[0]
    assert [one.dtype for one in loaded.score.parameters()] == [torch.float32, torch.float32]
    with torch.no_grad():
        loaded.score.bias.fill_(1.001)  # 1 in bfloat16
    ids = torch.arange(24).reshape(2, 12) + 3
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):  # as transformers' trainer
        states = loaded.base_model(input_ids=ids).last_hidden_state
        logits = loaded(input_ids=ids).logits[..., 0]
    scores = ScalarHead(loaded.score.weight, loaded.score.bias)(states.float().flatten(0, 1))
    assert states.dtype == torch.bfloat16
    assert torch.equal(logits.flatten(), scores)


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


def test_the_gradient_does_not_depend_on_the_rows_read_at_once(
    model: Path, process_data: ProcessData, text: StepText, tmp_path: Path
) -> None:
    # one chain of good marks and short bad siblings: micro-batches have different numbers of marks
    rows = pointwise_examples(process_data, text, soft=True).rows
    marks = [sum(label != IGNORED for label in row["labels"]) for row in rows]
    places = sorted(range(len(rows)), key=lambda place: (-marks[place], place))
    chosen = [rows[place] for place in (*places[:1], *places[-3:])]
    assert len({marks[place] for place in (*places[:1], *places[-3:])}) > 1
    assert gradients(model, text, chosen, "soft", tmp_path) < 1e-6


def test_the_gradient_of_pairs_does_not_either(
    model: Path, process_data: ProcessData, text: StepText, tmp_path: Path
) -> None:
    rows = pairwise_examples(process_data, text).rows[:4]
    assert gradients(model, text, rows, "pairwise", tmp_path) < 1e-6


@pytest.mark.parametrize("objective", ["soft", "pairwise"])
def test_what_is_measured_does_not_depend_on_the_rows_read_at_once(
    model: Path,
    process_data: ProcessData,
    text: StepText,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
) -> None:
    monkeypatch.setenv(REPORT_TO, "none")  # measured before a training begins, it goes to the current folder
    rows = examples(process_data, text, objective).rows
    places = sorted(range(len(rows)), key=lambda place: -sum(map(len, rows[place].values())))
    chosen = [rows[place] for place in (*places[:2], *places[-3:])]  # five: the last micro-batch is smaller
    wanted, told = over_all(model, chosen, objective)
    logged = []
    for at_once in (5, 1, 2):
        batch = 5 if at_once == 5 else 4
        settings = replace(SETTINGS, batch_size=batch, rows_at_once=at_once, max_steps=1)
        loaded, tokenizer, _ = load_model(model, "float32")
        parts = [Examples(chosen[:4], 0), Examples(chosen, 0)]
        trainer = step_trainer(loaded, tokenizer, parts, objective, tmp_path / str(at_once), settings)
        measured = trainer.evaluate()
        assert measured["eval_loss"] == pytest.approx(wanted, abs=1e-5)
        row = next(row for row in trainer.state.log_history if "eval_loss" in row)
        assert {name: row[f"eval_{name}"] for name in told} == pytest.approx(told, abs=1e-5)
        trainer.train()
        row = next(row for row in trainer.state.log_history if "loss" in row)
        logged.append({name: row[name] for name in (*told, "loss")})
    assert all(one == pytest.approx(logged[0], abs=1e-5) for one in logged)


def over_all(model: Path, rows: list[Any], objective: str) -> tuple[float, dict[str, float]]:
    """Returns loss and metrics of all rows in one pass."""
    loaded, _, _ = load_model(model, "float32")
    loss: Any = bradley_terry if objective == "pairwise" else pointwise_loss
    whole = (PairwiseCollator if objective == "pairwise" else PointwiseCollator)(pad=0)(rows)
    labels = whole.pop("labels")
    with torch.no_grad():
        value, metrics = loss(loaded.eval()(**whole).logits[..., 0], labels)
    return value.item(), {name: metric.item() for name, metric in metrics.items()}


def gradients(model: Path, text: StepText, rows: list[Any], objective: str, out: Path) -> float:
    """Returns how far apart the gradients are for 1, 2 and 4 rows at once and a loss over all rows."""
    found = []
    for at_once in (1, 2, 4):
        settings = replace(SETTINGS, batch_size=4, rows_at_once=at_once, max_steps=1)
        loaded, tokenizer, _ = load_model(model, "float32")
        parts = [Examples(rows, 0), Examples([], 0)]
        trainer = step_trainer(loaded, tokenizer, parts, objective, out / str(at_once), settings)
        batch = [trainer.data_collator(rows[start : start + at_once]) for start in range(0, 4, at_once)]
        trainer.current_gradient_accumulation_steps = len(batch)
        counted = trainer._get_num_items_in_batch(batch, trainer.args.device)
        loaded.zero_grad()
        total = sum(trainer.training_step(loaded, dict(part), counted).item() for part in batch)
        head: Any = loaded.score
        found.append((total, head.bias.grad.item(), head.weight.grad.clone()))
    whole = trainer.data_collator(rows)
    loss = pointwise_loss if objective == "soft" else bradley_terry
    logits = loaded(input_ids=whole["input_ids"], attention_mask=whole["attention_mask"]).logits[..., 0]
    wanted = loss(logits, whole["labels"])[0].item()
    return max(
        max(abs(total - wanted), abs(bias - found[0][1]), (weight - found[0][2]).abs().max().item())
        for total, bias, weight in found
    )


def test_shared_prefixes_keep_their_labels_where_a_chain_does_not_fit(text: StepText) -> None:
    plan, long = Step(ActionType.DEFINE, "k"), Step(ActionType.DEFINE, "l " * 300)
    short, code = Step(ActionType.DEFINE, "m"), Step(ActionType.CODE, "print(1)")
    chains: list[list[tuple[Step, ...]]] = [
        [(plan, long), (plan, short)],
        [(plan, short), (plan, long)],
        [(plan, long, code)],
    ]
    for states in chains:
        prefixes = {steps[: j + 1] for steps in states for j in range(len(steps))}
        rows = [prefix_row(State("p", steps), 0.25 * len(steps)) for steps in sorted(prefixes, key=len)]
        rows = sorted(rows, key=lambda row: [row.state.steps in states, *map(str, row.state.steps)])
        data = assembled("pseudocode", [Problem("p", "a")], rows, (), validation=0.0, sources={})
        found = pointwise_examples(data, text, soft=True)
        assert found.left_out == 1
        labels = sorted(label for row in found.rows for label in row["labels"] if label != IGNORED)
        assert labels == [0.25, 0.5][: 2 if (plan, short) in states else 1]  # each once, the long one's not
        assert all(len(row["input_ids"]) <= 256 for row in found.rows)


def prefix_row(state: State, value: float) -> PrefixRow:
    return PrefixRow(state, value, 2, 2, 1, False, 0, 0, 10, -1.0, "", ("s",))


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


@pytest.mark.parametrize(
    ("objective", "changed"),
    [("pairwise", {}), ("hard", {"lora_rank": 4}), ("soft", {"lora_rank": 4, "dtype": "bfloat16"})],
)
def test_every_training_goes_on_to_the_same_weights(
    model: Path, data: Path, tmp_path: Path, objective: str, changed: dict[str, Any]
) -> None:
    settings = replace(SHORT, **changed)
    whole = train_prm(str(model), data, tmp_path / "whole", objective, settings)
    cut = tmp_path / "cut/checkpoints/checkpoint-2"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-2", cut)
    resumed = train_prm(str(model), data, tmp_path / "cut", objective, settings, resume=True)
    before, after = weights(whole.model), weights(resumed.model)
    assert all(before[name].equal(after[name]) for name in before)
    assert resumed.metrics["eval_loss"] == pytest.approx(whole.metrics["eval_loss"], abs=1e-6)
    asked = read_data(data).of_split("train").problems
    assert trained_on(f"prm:{resumed.model}", asked) == [problem.task_id for problem in asked]
    with pytest.raises(O1CoderError, match="is of a process reward model, not of a policy"):
        export_policy(tmp_path / "whole")


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
    with pytest.raises(O1CoderError, match=r"a training with learning_rate 0\.003, not 0\.001"):
        train_prm(str(model), data, cut, "soft", replace(SHORT, learning_rate=1e-3), resume=True)
    with pytest.raises(O1CoderError, match="holds a training with objective 'soft', not 'hard'"):
        train_prm(str(model), data, cut, "hard", SHORT, resume=True)
    card = (resumed.model / "README.md").read_text()
    assert "| objective | soft |" in card
    assert f"| data | {json.loads((data / 'dataset.json').read_text())['hash']} |" in card
    assert not before["model.norm.weight"].equal(start["model.norm.weight"])


def test_a_training_that_was_killed_after_its_last_step_makes_no_further_one(
    model: Path, data: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, max_steps=1, save_steps=1)
    whole = train_prm(str(model), data, tmp_path / "whole", "soft", settings)
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/checkpoints/checkpoint-1", cut / "checkpoints/checkpoint-1")
    resumed = train_prm(str(model), data, cut, "soft", settings, resume=True)
    before, after = weights(whole.model), weights(resumed.model)
    assert all(before[name].equal(after[name]) for name in before)
    assert resumed.metrics["epoch"] == whole.metrics["epoch"] < 1
    assert [path.name for path in (cut / "checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]


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


@pytest.mark.parametrize(("objective", "kind"), [("hard", "prefixes"), ("pairwise", "pairs")])
def test_a_train_split_without_rows_is_said(
    objective: str, kind: str, model: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    write_data(tmp_path / "data", process_data.of_split("validation"))
    with pytest.raises(O1CoderError, match=f"its train split has no {kind}; .* hold out fewer"):
        train_prm(str(model), tmp_path / "data", tmp_path / "run", objective, SHORT)


def test_bad_requests_are_one_line(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="objective 'sharp'"):
        train_prm(str(model), data, tmp_path, "sharp", SHORT)
    with pytest.raises(O1CoderError, match="longer than 16 tokens"):
        train_prm(str(model), data, tmp_path, "soft", replace(SHORT, max_length=16))


@pytest.mark.parametrize("objective", ["soft", "pairwise"])
def test_shared_prefixes_have_the_losses_and_gradients_of_rows_alone(
    model: Path, process_data: ProcessData, text: StepText, tmp_path: Path, objective: str
) -> None:
    rows = sorted(examples(process_data, text, objective).rows, key=str)[:8]
    settings = replace(SETTINGS, batch_size=8, rows_at_once=8, max_steps=1)
    found = []
    for shared in (True, False):
        loaded, tokenizer, _ = load_model(model, "float32", seed=1)
        with pytest.MonkeyPatch.context() as patched:
            if not shared:
                patched.setattr(trainer_module, "share_prefixes", lambda _: False)
            parts = [Examples(rows, 0), Examples([], 0)]
            trainer: Any = step_trainer(loaded, tokenizer, parts, objective, tmp_path / str(shared), settings)
        tokens: list[int] = []
        embedding = trainer.model.base_model.get_input_embeddings()
        embedding.register_forward_pre_hook(lambda _, given, seen=tokens: seen.append(given[0].numel()))
        batch = trainer.data_collator(rows)
        loss = trainer.compute_loss(trainer.model.train(), batch)
        loss.backward()
        found.append((loss.item(), tokens[0], {n: p.grad for n, p in trainer.model.named_parameters()}))
    (mine, packed, my_gradients), (theirs, plain, their_gradients) = found
    assert packed < 0.9 * plain
    assert mine == pytest.approx(theirs, rel=1e-4)
    for name, gradient in their_gradients.items():
        assert (my_gradients[name] - gradient).abs().max() <= 1e-4 * gradient.abs().max() + 1e-7, name
