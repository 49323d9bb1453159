"""Public families on tiny models of their architectures: layouts, marks, heads."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("transformers", exc_type=ImportError)

from o1coder_gym.prm.public import (  # noqa: E402
    KINDS,
    PUBLIC,
    ScorerSettings,
)
from o1coder_gym.prm.scorer import ModelScorer, model_scorer  # noqa: E402
from o1coder_gym.types import ActionType, Problem, State, Step  # noqa: E402

PROBLEM = Problem("p", "Say x.")
STATE = State("p", tuple(Step(ActionType.DEFINE, text) for text in ("one", "two", "three")))
PREFIXES = [(PROBLEM, State("p", STATE.steps[:depth])) for depth in (1, 2, 3)]


@pytest.fixture(scope="module")
def families(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per head: the tiny model, with the tensors that the family's checkpoints have."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(2)
    added = {
        "skywork": {"v_head.summary.weight": 0.1 * torch.randn(1, 32), "v_head.summary.bias": torch.randn(1)},
        "qwen-prm": {
            "score.0.weight": torch.randn(32, 32),
            "score.0.bias": torch.randn(32),
            "score.2.weight": 0.01 * torch.randn(2, 32),
            "score.2.bias": torch.randn(2),
        },
        "math-shepherd": {},
        "rlhflow": {"lm_head.weight": 0.1 * torch.randn(262, 32)},
    }
    folders = {}
    for kind, tensors in added.items():
        folder = folders[kind] = tmp_path_factory.mktemp(kind)
        for file in model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        if "lm_head.weight" in tensors:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
        weights = load_file(folder / "model.safetensors")
        save_file(weights | tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folders


def load(families: dict[str, Path], kind: str) -> ModelScorer:
    return model_scorer(str(families[kind]), ScorerSettings(kind=kind, device="cpu"))


def hidden(scorer: ModelScorer, ids: Any) -> Any:
    with torch.inference_mode():
        return scorer.model.backbone(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]


@pytest.mark.parametrize("kind", ["skywork", "qwen-prm", "math-shepherd", "rlhflow"])
def test_all_steps_in_one_pass_are_each_prefix_alone(families: dict[str, Path], kind: str) -> None:
    scorer = load(families, kind)
    scores = scorer.score(PREFIXES)
    assert len(set(scores)) == 3
    for depth, score in enumerate(scores, start=1):
        assert scorer.score([(PROBLEM, State("p", STATE.steps[:depth]))])[0] == pytest.approx(score, abs=2e-4)


@pytest.mark.parametrize("spelled", ["ки", "a ки b", "<extra_0>", "+", "x\ny"])
@pytest.mark.parametrize("kind", ["skywork", "qwen-prm", "math-shepherd", "rlhflow"])
def test_a_step_that_spells_a_tag_moves_no_mark(families: dict[str, Path], kind: str, spelled: str) -> None:
    scorer = load(families, kind)
    steps = (*STATE.steps[:2], Step(ActionType.DEFINE, spelled), STATE.steps[2])
    items = [(PROBLEM, State("p", steps[:depth])) for depth in range(1, 5)]
    by_themselves = [scorer.score([item])[0] for item in items]
    assert scorer.score(items) == pytest.approx(by_themselves, abs=2e-4)
    before = scorer.score(PREFIXES[:2])
    assert by_themselves[:2] == pytest.approx(before, abs=2e-4)


def test_two_classes_are_a_softmax(families: dict[str, Path]) -> None:
    from safetensors.torch import load_file

    scorer = load(families, "qwen-prm")
    encoded = scorer.text.encode(PROBLEM, STATE)
    tokenizer = scorer.text.tokenizer
    assert [encoded.ids[mark] for mark in encoded.marks] == [tokenizer.convert_tokens_to_ids("<extra_0>")] * 3
    weights = load_file(families["qwen-prm"] / "model.safetensors")
    inner = torch.relu(hidden(scorer, encoded.ids) @ weights["score.0.weight"].T + weights["score.0.bias"])
    classes = (inner @ weights["score.2.weight"].T + weights["score.2.bias"]).softmax(-1)[:, 1]
    expected = [classes[mark].item() for mark in encoded.marks]
    assert scorer.score(PREFIXES) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["math-shepherd", "rlhflow"])
def test_label_tokens_are_a_softmax_over_plus_and_minus(families: dict[str, Path], kind: str) -> None:
    from transformers import AutoModelForCausalLM

    scorer = load(families, kind)
    encoded = scorer.text.encode(PROBLEM, STATE)
    tokenizer = scorer.text.tokenizer
    plus, minus = (tokenizer.encode(sign)[-1] for sign in "+-")
    if kind == "rlhflow":
        assert [encoded.ids[mark + 1] for mark in encoded.marks] == [plus] * 3
    whole = AutoModelForCausalLM.from_pretrained(families[kind])
    with torch.inference_mode():
        logits = whole(torch.tensor([encoded.ids])).logits[0]
    good = logits[:, [plus, minus]].softmax(-1)[:, 0]
    expected = [good[mark].item() for mark in encoded.marks]
    assert scorer.score(PREFIXES) == pytest.approx(expected, abs=1e-4)


def test_a_value_head_is_read_at_the_line_end(families: dict[str, Path]) -> None:
    scorer = load(families, "skywork")
    encoded = scorer.text.encode(PROBLEM, STATE)
    tokenizer = scorer.text.tokenizer
    assert tokenizer.decode([encoded.ids[mark] for mark in encoded.marks]) == "\n\n\n"
    assert str(tokenizer.decode(list(encoded.ids))).startswith("Say x.")


def test_every_public_model_has_a_family() -> None:
    assert {model.kind for model in PUBLIC.values()} == KINDS.keys() - {"o1coder"}
    assert all(model.hub.count("/") == 1 for model in PUBLIC.values())
