import json
from collections.abc import Callable
from pathlib import Path

import pytest

from o1coder_gym.agents.rl.settings import DPOSettings, RLSettings
from o1coder_gym.errors import UsageError
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.models.training.settings import TrainingSettings

pytest.importorskip("peft")


@pytest.mark.parametrize("rank", [1, 4, 16])
def test_alpha_is_twice_the_rank(rank: int) -> None:
    found = lora(rank)
    assert (found.r, found.lora_alpha, found.modules_to_save) == (rank, 2 * rank, None)


def test_a_checkpoint_keeps_the_alpha_it_was_trained_with(tmp_path: Path) -> None:
    assert lora(4, str(tmp_path)).lora_alpha == 8
    # as earlier versions wrote it
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 64}))
    assert lora(4, str(tmp_path)).lora_alpha == 64


def test_rank_0_is_no_lora() -> None:
    assert lora(0) is None


def episodes(batch_size: int, rows_at_once: int) -> RLSettings:
    return RLSettings(problems=batch_size // 2, episodes=2, rows_at_once=rows_at_once)


@pytest.mark.parametrize("settings", [TrainingSettings, DPOSettings, episodes])
def test_a_batch_that_is_not_made_of_passes_says_which_would_do(settings: Callable[..., object]) -> None:
    settings(batch_size=12, rows_at_once=6)
    with pytest.raises(
        UsageError, match=r"a batch of 12 \w+ is not made of 8 at once; give --rows-at-once 6$"
    ):
        settings(batch_size=12, rows_at_once=8)
