"""How far sampler and trainer are apart, by hand."""

import math

import pytest


def test_mismatch_and_weights_by_hand() -> None:
    torch = pytest.importorskip("torch")
    from o1coder_gym.agents.rl.sampling.mismatch import importance_weights, mismatch

    trainer = torch.tensor([[0.5, 0.2, 0.3]]).log()
    sampler = torch.tensor([[0.25, 0.4, 0.9]]).log()
    mask = torch.tensor([[1, 1, 0]])  # the last one is text that was put in
    assert importance_weights(trainer, sampler, mask, 8.0)[0].tolist() == pytest.approx([2.0, 0.5, 1.0])
    assert importance_weights(trainer, sampler, mask, 1.5)[0].tolist() == pytest.approx([1.5, 0.5, 1.0])
    found = {name: value.item() for name, value in mismatch(trainer, sampler, mask).items()}
    assert found == pytest.approx(
        {
            "sampling/logprob_difference": math.log(2),
            # (2 − 1 − ln 2 + 0.5 − 1 + ln 2) / 2
            "sampling/kl": 0.25,
            "sampling/max_ratio": 2.0,
        }
    )


def test_the_estimate_is_the_divergence_in_the_mean() -> None:
    torch = pytest.importorskip("torch")
    from o1coder_gym.agents.rl.sampling.mismatch import KL, mismatch

    sampler, trainer = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.3, 0.2])
    exact = (sampler * (sampler / trainer).log()).sum().item()
    torch.manual_seed(0)
    drawn = torch.multinomial(sampler, 200_000, replacement=True)[None]
    found = mismatch(trainer.log()[drawn], sampler.log()[drawn], torch.ones_like(drawn))
    assert found[KL].item() == pytest.approx(exact, rel=0.02)
