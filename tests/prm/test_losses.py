"""The two losses against numbers by hand, and their gradients."""

import math

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from o1coder_gym.prm.losses import IGNORED, pairwise_loss, pointwise_loss  # noqa: E402


def test_equation_3_by_hand() -> None:
    # r = σ(0) = 1/2 with v = 3/4: −(0.75 ln 0.5 + 0.25 ln 0.5) = ln 2
    # r = σ(ln 3) = 3/4 with v = 1: −ln 0.75;   r = 3/4 with v = 0: −ln 0.25
    logits = torch.tensor([[0.0, math.log(3.0), 7.0], [math.log(3.0), -9.0, 0.0]])
    labels = torch.tensor([[0.75, 1.0, IGNORED], [0.0, IGNORED, IGNORED]])
    loss, metrics = pointwise_loss(logits, labels)
    expected = (math.log(2) - math.log(0.75) - math.log(0.25)) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert metrics["score"].item() == pytest.approx((0.5 + 0.75 + 0.75) / 3)
    assert metrics["accuracy"].item() == pytest.approx(1 / 3)  # 0.5 is no "good", v = 0.75 is
    rounded, _ = pointwise_loss(logits, torch.tensor([[0.0, 1.0, IGNORED], [0.0, IGNORED, IGNORED]]))
    assert rounded.item() == pytest.approx(expected), "at r = 1/2 any label costs ln 2"
    wrong, _ = pointwise_loss(logits, torch.tensor([[0.75, 0.0, IGNORED], [0.0, IGNORED, IGNORED]]))
    assert wrong.item() != pytest.approx(expected)


def test_the_gradient_of_equation_3_is_score_minus_label() -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0, 0.7]], requires_grad=True)
    labels = torch.tensor([[0.75, 0.0, 1.0, IGNORED]])
    pointwise_loss(logits, labels)[0].backward()
    expected = [(1 / (1 + math.exp(-z)) - v) / 3 for z, v in ((0.3, 0.75), (-1.2, 0.0), (2.0, 1.0))]
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([*expected, 0.0], rel=1e-5)


def test_a_soft_label_is_the_optimum() -> None:
    logit = torch.tensor([[0.0]], requires_grad=True)
    for _ in range(400):
        loss, _ = pointwise_loss(logit, torch.tensor([[0.75]]))
        (gradient,) = torch.autograd.grad(loss, logit)
        logit = (logit - 2.0 * gradient).detach().requires_grad_()
    assert logit.sigmoid().item() == pytest.approx(0.75, abs=1e-3)


def test_nothing_labelled_costs_nothing() -> None:
    logits = torch.tensor([[1.0]], requires_grad=True)
    loss, metrics = pointwise_loss(logits, torch.tensor([[IGNORED]]))
    loss.backward()
    assert (loss.item(), metrics) == (0.0, {})
    assert logits.grad is not None
    assert logits.grad.item() == 0.0


def test_equation_4_by_hand() -> None:
    # margins ln 3 and 0: −ln σ(ln 3) = −ln(3/4), −ln σ(0) = ln 2
    loss, metrics = pairwise_loss(torch.tensor([math.log(3.0), 5.0]), torch.tensor([0.0, 5.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-6)
    assert metrics["margin"].item() == pytest.approx(math.log(3.0) / 2)
    assert metrics["accuracy"].item() == 0.5
    swapped, _ = pairwise_loss(torch.tensor([0.0, 5.0]), torch.tensor([math.log(3.0), 5.0]))
    assert swapped.item() == pytest.approx((math.log(4) + math.log(2)) / 2, rel=1e-6)


def test_the_gradient_of_equation_4_pushes_both_sides() -> None:
    chosen = torch.tensor([0.4], requires_grad=True)
    rejected = torch.tensor([1.0], requires_grad=True)
    pairwise_loss(chosen, rejected)[0].backward()
    expected = 1 / (1 + math.exp(0.4 - 1.0))  # σ(r_lose − r_win)
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-expected, rel=1e-5)
    assert rejected.grad.item() == pytest.approx(expected, rel=1e-5)


def test_huge_logits_stay_finite() -> None:
    loss, _ = pointwise_loss(torch.tensor([[400.0, -400.0]]), torch.tensor([[0.0, 1.0]]))
    assert loss.item() == pytest.approx(400.0)
    assert pairwise_loss(torch.tensor([-400.0]), torch.tensor([400.0]))[0].item() == pytest.approx(800.0)
