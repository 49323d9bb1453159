import json
from pathlib import Path

import pytest

from o1coder_gym.models.trainers import lora

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
