"""A rank of two that have shards of a model, and save it: MODEL OUT LORA_RANK."""

import sys
from pathlib import Path

import torch
from torch.distributed.fsdp import fully_shard

from o1coder_gym.models.checkpoints import load_weights, save_merged, whole
from o1coder_gym.models.trainers import lora
from o1coder_gym.runs import ranks

folder, out, rank = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with ranks.together({}):
    model, tokenizer = load_weights(folder, "float32")
    if rank:
        from peft import get_peft_model

        torch.manual_seed(0)
        model = get_peft_model(model, lora(rank))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    if ranks.is_first():  # while it is in one piece
        torch.save({name: weight.clone() for name, weight in model.state_dict().items()}, out / "before.pt")
    inner = model.get_base_model() if rank else model
    for block in inner.model.layers:
        fully_shard(block)
    fully_shard(model)
    assert any(isinstance(weight, torch.distributed.tensor.DTensor) for weight in model.parameters())
    gathered = whole(model)
    if ranks.is_first():
        save_merged(gathered, tokenizer, out / "model")
