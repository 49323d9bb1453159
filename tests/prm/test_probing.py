"""The head's first weights: the best ones for fixed states, and found where a model reads its steps."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from o1coder_gym.prm.losses import IGNORED, pointwise_loss  # noqa: E402
from o1coder_gym.prm.model import load_backbone  # noqa: E402
from o1coder_gym.prm.probing import (  # noqa: E402
    PRECISION,
    fit_head,
    hidden_states,
    pairwise_probe,
    pointwise_probe,
)

ROWS = [
    {"input_ids": [5, 6, 7, 8], "labels": [IGNORED, 0.75, IGNORED, 0.25]},
    {"input_ids": [5, 6, 9], "labels": [IGNORED, IGNORED, 0.5]},
]


def test_a_head_on_states_of_one_kind_is_the_log_odds_of_its_labels() -> None:
    states, labels = torch.ones(4, 3), torch.tensor([1.0, 1.0, 1.0, 0.0])
    weight, bias = fit_head(states, lambda logits: pointwise_loss(logits, labels)[0])
    assert weight.abs().max().item() == pytest.approx(0.0, abs=1e-6)  # what does not vary tells nothing
    assert bias.item() == pytest.approx(torch.tensor(3.0).log().item(), abs=1e-3)  # the loss is a float32


def test_a_head_is_where_the_penalised_loss_is_least() -> None:
    torch.manual_seed(0)
    states, labels = torch.randn(60, 5) + 8.0, torch.rand(60)
    weight, bias = (
        one.double() for one in fit_head(states, lambda logits: pointwise_loss(logits, labels)[0])
    )
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
    weight, bias = fit_head(states, probe.loss)
    logits = states @ weight + bias
    assert (logits[::2] > logits[1::2]).float().mean().item() >= 0.9
    assert logits.mean().item() == pytest.approx(0.0, abs=1e-5)


def test_states_are_those_of_the_marks(model: Path) -> None:
    probe = pointwise_probe(ROWS)
    found = hidden_states(model, probe.chains)
    body = load_backbone(model)
    with torch.inference_mode():
        rows = [body(input_ids=torch.tensor([row["input_ids"]])).last_hidden_state[0] for row in ROWS]
    assert torch.allclose(found, torch.stack([rows[0][1], rows[0][3], rows[1][2]]), atol=1e-5)
    logits = torch.tensor([2.0, -1.0, 0.5])
    assert probe.loss(logits) == pointwise_loss(logits, torch.tensor([0.75, 0.25, 0.5]))[0]
