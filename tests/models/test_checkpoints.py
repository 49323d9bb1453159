"""Weights that FSDP2 has spread over ranks are saved as one model."""

from pathlib import Path

import pytest

from tests.ranks import ended, start

pytest.importorskip("peft")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rank", [0, 2])
def test_a_sharded_model_is_saved_in_one_piece(model: Path, tmp_path: Path, rank: int) -> None:
    import torch
    from safetensors.torch import load_file

    for status, _, told in ended(start(2, [Path(__file__).with_name("one_shard.py"), model, tmp_path, rank])):
        assert status == 0, told[-3000:]
    before, after = torch.load(tmp_path / "before.pt"), load_file(tmp_path / "model" / "model.safetensors")
    place = "model.layers.0.self_attn.q_proj"
    if not rank:
        assert after.keys() == before.keys() - {"lm_head.weight"}  # tied
        assert all(weight.equal(before[name]) for name, weight in after.items())
        return
    base, down, up = (
        before[f"base_model.model.{place}.{name}.weight"]
        for name in ("base_layer", "lora_A.default", "lora_B.default")
    )
    assert torch.allclose(after[f"{place}.weight"], base + 2 * up @ down, atol=1e-5)  # α / r = 2
    assert not after[f"{place}.weight"].equal(base)
