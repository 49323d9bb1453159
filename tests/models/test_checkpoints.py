"""Weights that FSDP2 has spread over ranks are saved as one model."""

import json
from pathlib import Path

import pytest

from o1coder_gym.models.checkpoints import load_weights, save_merged, whole
from o1coder_gym.models.training.arguments import lora
from o1coder_gym.runs import ranks
from tests.ranks import run

pytest.importorskip("peft")
pytestmark = pytest.mark.slow


def spread_and_save(folder: Path, out: Path, rank: int) -> None:
    """Spreads the weights of a model, with adapters, over the ranks; saves them before, and as a model."""
    import torch
    from torch.distributed.fsdp import fully_shard

    with ranks.together({}):
        model, tokenizer = load_weights(folder, "float32")
        model.generation_config.eos_token_id = [1, 2]
        if rank:
            from peft import get_peft_model

            torch.manual_seed(0)
            model = get_peft_model(model, lora(rank))
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(weight, std=0.1)
        if ranks.is_first():
            before = {name: weight.clone() for name, weight in model.state_dict().items()}
            torch.save(before, out / "before.pt")
        inner = model.get_base_model() if rank else model
        for block in inner.model.layers:
            fully_shard(block)
        fully_shard(model)
        assert all(hasattr(weight, "to_local") for weight in model.parameters())
        gathered = whole(model)
        if ranks.is_first():
            save_merged(gathered, tokenizer, out / "model")


@pytest.mark.parametrize("rank", [0, 2])
def test_a_sharded_model_is_saved_in_one_piece(model: Path, tmp_path: Path, rank: int) -> None:
    import torch
    from safetensors.torch import load_file

    for one in run(2, spread_and_save, model, tmp_path, rank):
        assert one.status == 0, one.stderr[-3000:]
    told = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert told["eos_token_id"] == [1, 2]
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
