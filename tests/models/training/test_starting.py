"""What a training is started with."""

from typing import Any

import pytest

from o1coder_gym.models.training.settings import TrainingSettings
from o1coder_gym.models.training.starting import trained_type

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("rank", "dtype", "on_gpu", "elsewhere"),
    [
        (0, "auto", "float32", "float32"),
        (4, "auto", "bfloat16", "float32"),
        (0, "bfloat16", "bfloat16", "bfloat16"),
        (4, "float32", "float32", "float32"),
    ],
)
def test_weights_that_are_all_learned_hold_the_steps_of_their_training(
    rank: int, dtype: Any, on_gpu: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(lora_rank=rank, dtype=dtype)
    assert trained_type(settings) == elsewhere
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert trained_type(settings) == on_gpu
