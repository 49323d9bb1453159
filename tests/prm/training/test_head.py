"""The head's first weights: the best ones for fixed states, and found where a model reads its steps."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from o1coder_gym.prm.losses import IGNORED, pointwise_loss  # noqa: E402
from o1coder_gym.prm.model import load_backbone  # noqa: E402
from o1coder_gym.prm.training.head import (  # noqa: E402
    PRECISION,
    FittedHead,
    fit_head,
    pairwise_probe,
    pointwise_probe,
)
from o1coder_gym.prm.training.hidden_states import open_reading  # noqa: E402

ROWS = [
    {"input_ids": [5, 6, 7, 8], "labels": [IGNORED, 0.75, IGNORED, 0.25]},
    {"input_ids": [5, 6, 9], "labels": [IGNORED, IGNORED, 0.5]},
]


def test_a_head_on_states_of_one_kind_is_the_log_odds_of_its_labels() -> None:
    states, labels = torch.ones(4, 3), torch.tensor([1.0, 1.0, 1.0, 0.0])
    head = fit_head(states, lambda logits: pointwise_loss(logits, labels)[0])
    weight, bias = head.weight, head.bias
    assert weight.abs().max().item() == pytest.approx(0.0, abs=1e-6)  # what does not vary tells nothing
    assert bias.item() == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-3)  # the loss is a float32


def test_a_head_is_where_the_penalised_loss_is_least() -> None:
    torch.manual_seed(0)
    states, labels = torch.randn(60, 5) + 8.0, torch.rand(60)
    head = fit_head(states, lambda logits: pointwise_loss(logits, labels)[0])
    weight, bias = head.weight.double(), head.bias.double()
    states, size = states.double(), states.double().square().mean().sqrt()
    errors = (states @ weight + bias).sigmoid() - labels.double()
    slope = (errors[:, None] * (states - states.mean(0))).mean(0) + PRECISION / 60 * size**2 * weight
    assert slope.abs().max().item() < 1e-3
    assert errors.mean().abs().item() < 1e-3


def test_pairs_are_scored_in_their_order() -> None:
    torch.manual_seed(0)
    rows = [{"chosen_ids": [1, 2], "rejected_ids": [1]}] * 20
    probe = pairwise_probe(rows)
    assert [chain.marks for chain in probe.chains[:2]] == [(1,), (0,)]
    states = torch.randn(40, 4)
    states[::2, 0] += 3.0
    head = fit_head(states, probe.loss)
    logits = states @ head.weight + head.bias
    assert (logits[::2] > logits[1::2]).float().mean().item() >= 0.9
    assert logits.mean().item() == pytest.approx(0.0, abs=1e-5)


def test_pairs_move_a_head_only_where_they_speak() -> None:
    torch.manual_seed(0)
    states = torch.randn(40, 3)
    states[:, 2] = 1.0
    states[::2, 0] += 3.0  # what the pairs differ in
    states[1::2, 1] = states[::2, 1]  # what they share
    loss = pairwise_probe([{"chosen_ids": [1], "rejected_ids": [1]}] * 20).loss
    prior = FittedHead(torch.tensor([-0.5, 2.0, 0.25]), torch.tensor(0.75), 0.0)
    head = fit_head(states, loss, prior, precision=1.0)
    assert head.weight[0].item() > 0.5
    assert head.weight[1:].tolist() == pytest.approx([2.0, 0.25], abs=1e-4)
    assert head.loss < 0.5 * loss(states @ prior.weight).item()
    still = fit_head(states, loss, prior, precision=1e9)
    assert still.weight.tolist() == pytest.approx(prior.weight.tolist(), abs=1e-4)
    assert still.bias.item() == pytest.approx(0.75, abs=1e-4)


def test_states_are_those_of_the_marks(model: Path, tmp_path: Path) -> None:
    probe = pointwise_probe(ROWS)
    with open_reading(str(model), "float32", tmp_path) as reading:
        found = reading.states(probe.chains)
    body = load_backbone(model)
    with torch.inference_mode():
        rows = [body(input_ids=torch.tensor([row["input_ids"]])).last_hidden_state[0] for row in ROWS]
    assert torch.allclose(found, torch.stack([rows[0][1], rows[0][3], rows[1][2]]), atol=1e-5)
    logits = torch.tensor([2.0, -1.0, 0.5])
    assert probe.loss(logits) == pointwise_loss(logits, torch.tensor([0.75, 0.25, 0.5]))[0]
