#!/usr/bin/env bash
# accelerate 1.15.0 (torch 2.13.0, no GPU), a program started as two processes
#
# Seen: `accelerate launch --cpu --num_processes 2` starts one process and says nothing of the other. Started by
# torchrun, two processes run, and each of them finds itself "process 0 of 1" through PartialState(), with and
# without ACCELERATE_USE_CPU=true, which the launcher sets; only PartialState(cpu=True) makes them one group. The
# first call decides for the whole process: a later one with cpu=True is refused or changes nothing.
# Guessed: two processes that know of each other, or an error.
# Who cares: whoever tries a multi-process training on a CPU before renting GPUs, or in continuous integration.
# Both processes train alone on the same data with the same seeds and overwrite each other's checkpoints, and the
# curve looks right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q accelerate==1.15.0 torch==2.13.0 numpy
cat > "$folder/who.py" <<'P'
import os
import sys

from accelerate import PartialState

state = PartialState(cpu=True) if sys.argv[1] == "cpu" else PartialState()
os.write(1, f"process {state.process_index} of {state.num_processes}\n".encode())  # whole lines of both
if state.num_processes > 1:
    import torch

    torch.distributed.destroy_process_group()
P
cd "$folder"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
launched() { venv/bin/accelerate launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no \
  --dynamo_backend no who.py "$1" 2>/dev/null | sort | tr '\n' ';'; }
torchrun() { venv/bin/torchrun --nproc-per-node 2 --master-port 29731 who.py "$1" 2>/dev/null | sort | tr '\n' ';'; }
one=$(launched plain)
two=$(torchrun plain)
three=$(ACCELERATE_USE_CPU=true torchrun plain)
four=$(torchrun cpu)
printf '%s\n' "accelerate launch --cpu: $one" "torchrun: $two" "torchrun, ACCELERATE_USE_CPU: $three" \
  "torchrun, PartialState(cpu=True): $four"
test "$one" = "process 0 of 1;"
test "$two" = "process 0 of 1;process 0 of 1;"
test "$three" = "process 0 of 1;process 0 of 1;"
test "$four" = "process 0 of 2;process 1 of 2;"
# Output seen:
# accelerate launch --cpu: process 0 of 1;
# torchrun: process 0 of 1;process 0 of 1;
# torchrun, ACCELERATE_USE_CPU: process 0 of 1;process 0 of 1;
# torchrun, PartialState(cpu=True): process 0 of 2;process 1 of 2;
