#!/usr/bin/env bash
# accelerate 1.15.0 (torch 2.13.0, no GPU), FSDP2 asked for on two processes of a CPU
#
# Seen: `accelerate launch --use_fsdp --fsdp_version 2` starts two processes, and Accelerator(cpu=True) makes them a
# group and takes the plugin without a word; but its distributed type is MULTI_CPU and the prepared model is DDP's:
# every process has every weight. torch's own fully_shard does shard on a CPU, over gloo.
# Guessed: sharded weights, or an error that FSDP needs a GPU.
# Who cares: whoever tries an FSDP configuration on a CPU, or in continuous integration, before renting GPUs. Memory
# and saving of checkpoints are then tried on another kind of training than the one that is paid for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q accelerate==1.15.0 torch==2.13.0 numpy
cat > "$folder/shards.py" <<'P'
import os

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard


def largest(model):
    """Numbers of the largest part of a weight that this process has."""
    whole = lambda weight: weight.to_local() if hasattr(weight, "to_local") else weight
    return max(whole(weight).numel() for weight in model.parameters())


accelerator = Accelerator(cpu=True)
model = accelerator.prepare(torch.nn.Linear(64, 64, bias=False))
own = torch.nn.Linear(64, 64, bias=False)
fully_shard(own)
plugin = os.environ["ACCELERATE_USE_FSDP"], os.environ["FSDP_VERSION"]
kind = accelerator.distributed_type.value, type(model).__name__
line = f"asked {plugin}: {kind}, {largest(model)} of 4096 numbers; fully_shard: {largest(own)}\n"
os.write(1, line.encode())  # whole lines of both
torch.distributed.destroy_process_group()
P
cd "$folder"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
told=$(venv/bin/accelerate launch --use_fsdp --fsdp_version 2 --num_processes 2 --num_machines 1 \
  --mixed_precision no --dynamo_backend no --main_process_port 29732 shards.py 2>/dev/null | sort -u)
printf '%s\n' "$told"
test "$told" = "asked ('true', '2'): ('MULTI_CPU', 'DistributedDataParallel'), 4096 of 4096 numbers; fully_shard: 2048"
# Output seen:
# asked ('true', '2'): ('MULTI_CPU', 'DistributedDataParallel'), 4096 of 4096 numbers; fully_shard: 2048
