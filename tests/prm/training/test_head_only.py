"""Fitted heads: the body stays as it is, all objectives lie side by side, the data are read once."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("peft", exc_type=ImportError)

from o1coder_gym.errors import O1CoderError, UnknownNameError  # noqa: E402
from o1coder_gym.models.training.settings import PRM_SETTINGS  # noqa: E402
from o1coder_gym.prm import load_scorer  # noqa: E402
from o1coder_gym.prm.evaluation import evaluate_scorer  # noqa: E402
from o1coder_gym.prm.model import StepModel, load_backbone  # noqa: E402
from o1coder_gym.prm.training import hidden_states  # noqa: E402
from o1coder_gym.prm.training.head_only import FitSettings, fit_prm  # noqa: E402
from o1coder_gym.prm.training.trainer import OBJECTIVES, train_prm  # noqa: E402
from o1coder_gym.process_data import ProcessData, write_data  # noqa: E402


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_each_objective_gets_a_head_on_the_same_body(
    model: Path, data: Path, process_data: ProcessData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = []

    def counted(folder: Path, dtype: str) -> Any:
        bodies.append(dtype)
        return load_backbone(folder, dtype)

    monkeypatch.setattr(hidden_states, "load_backbone", counted)
    results = fit_prm(str(model), data, tmp_path)
    assert [result.model for result in results] == [tmp_path / name / "model" for name in OBJECTIVES]
    # once, for both kinds of labels and pairs stand at the same marks; auto of a backbone is another type on
    # a GPU
    assert bodies == ["float32"]
    start = weights(model)
    held_out = process_data.of_split("validation")
    heads = []
    for result in results:
        found = weights(result.model)
        heads.append(found.pop("score.weight"))
        found.pop("score.bias")
        assert all(found[name].equal(start[name]) for name in found)
        assert 0 < result.metrics["loss"] < 0.69  # less than a head of zeros has
        report = evaluate_scorer(load_scorer(f"prm:{result.model}"), held_out, resamples=50)
        assert report.auc.low > 0.5
        assert report.pair_accuracy.low > 0.5
    assert not any(torch.equal(heads[i], heads[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_training_begins_with_the_fitted_head(model: Path, data: Path, tmp_path: Path) -> None:
    (fitted,) = fit_prm(str(model), data, tmp_path / "fit", ["soft"], FitSettings(max_length=256))
    unmoved = replace(PRM_SETTINGS, learning_rate=1e-12, max_steps=1, lora_rank=0, max_length=256)
    trained = train_prm(str(model), data, tmp_path / "train", "soft", unmoved)
    before, after = weights(fitted.model), weights(trained.model)
    assert torch.allclose(before["score.weight"], after["score.weight"], atol=1e-6)


def test_what_is_fitted_is_not_fitted_again(model: Path, data: Path, tmp_path: Path) -> None:
    first = fit_prm(str(model), data, tmp_path, ["hard"])
    stamp = (first[0].model / "model.safetensors").stat().st_mtime_ns
    again = fit_prm(str(model), data, tmp_path, ["hard", "pairwise"])
    assert again[0] == first[0]
    assert (first[0].model / "model.safetensors").stat().st_mtime_ns == stamp
    before = load_scorer(f"prm:{first[0].model}")
    other = fit_prm(str(model), data, tmp_path, ["hard"], FitSettings(dtype="bfloat16"))
    assert weights(other[0].model)["model.norm.weight"].dtype == torch.bfloat16
    assert load_scorer(f"prm:{first[0].model}") is not before


def test_a_killed_fit_reads_on_where_it_was(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, read, last = StepModel.states, [], math.inf

    def counted(step_model: StepModel, chains: Any) -> Any:
        if len(read) == last:
            raise KeyboardInterrupt
        read.append(len(chains))
        return states(step_model, chains)

    monkeypatch.setattr(StepModel, "states", counted)
    whole = [weights(result.model) for result in fit_prm(str(model), data, tmp_path / "whole")]
    total, last = sum(read), 2
    read.clear()
    with pytest.raises(KeyboardInterrupt):
        fit_prm(str(model), data, tmp_path / "killed")
    (journal,) = (tmp_path / "killed").glob("reading-*/states.jsonl")
    kept = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*kept, kept[0][:50]]))  # a row torn by the kill
    last = math.inf
    again = [weights(result.model) for result in fit_prm(str(model), data, tmp_path / "killed")]
    assert sum(read) == total
    rows = journal.read_text().splitlines(keepends=True)
    assert rows[: len(kept)] == kept
    assert len(rows) == len({json.loads(row)["prefix"] for row in rows}) > len(kept)
    for one, other in zip(whole, again, strict=True):
        assert all(tensor.equal(other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(("objective", "kind"), [("hard", "prefixes"), ("pairwise", "pairs")])
def test_a_train_split_without_rows_is_said(
    objective: str, kind: str, model: Path, process_data: ProcessData, tmp_path: Path
) -> None:
    write_data(tmp_path / "data", process_data.of_split("validation"))
    with pytest.raises(O1CoderError, match=f"its train split has no {kind}; .* hold out fewer"):
        fit_prm(str(model), tmp_path / "data", tmp_path / "run", [objective])


def test_bad_requests_are_one_line(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="objective 'sharp'"):
        fit_prm(str(model), data, tmp_path, ["soft", "sharp"])
    with pytest.raises(O1CoderError, match="longer than 16 tokens"):
        fit_prm(str(model), data, tmp_path, ["soft"], FitSettings(max_length=16))
    assert not list(tmp_path.iterdir())


def test_rows_beyond_the_context_of_the_model_are_left_out(model: Path, data: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    shutil.copytree(model, short)
    config = json.loads((model / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 16}))
    with pytest.raises(O1CoderError, match=r"no soft rows to learn from: .*longer than 16 tokens"):
        fit_prm(str(short), data, tmp_path / "fit", ["soft"])
    with pytest.raises(O1CoderError, match=r"no soft rows to learn from: .*longer than 16 tokens"):
        train_prm(str(short), data, tmp_path / "run", "soft", PRM_SETTINGS)


@pytest.mark.parametrize(
    ("kind", "sizes", "told"),
    [
        ("GPT2", {"n_embd": 16, "n_layer": 1, "n_head": 2}, "gives its .* no linear head called score"),
        (
            "Cohere",
            {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            "has no head for each token for cohere models",
        ),
    ],
)
def test_a_model_that_gets_no_such_head_is_refused_in_one_sentence(
    model: Path, data: Path, tmp_path: Path, kind: str, sizes: dict[str, int], told: str
) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    config = transformers.AutoConfig.for_model(kind.lower(), vocab_size=len(tokenizer), **sizes)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    with pytest.raises(O1CoderError, match=f"cannot become a process reward model: transformers {told}"):
        fit_prm(str(tmp_path / kind), data, tmp_path / "fit", ["soft"])
