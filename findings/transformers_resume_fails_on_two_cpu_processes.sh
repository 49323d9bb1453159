#!/usr/bin/env bash
# transformers 5.17.0 (accelerate 1.15.0, torch 2.13.0, no GPU), Trainer in two processes of a CPU, stopped and resumed
#
# Seen: one process resumes from its checkpoint; two processes, made a group by TrainingArguments(use_cpu=True), train
# and save, and cannot resume: "don't know how to restore data location of torch.storage.UntypedStorage (tagged with
# cpu:0)". With ACCELERATE_TORCH_DEVICE=cpu they resume.
# Guessed: that a checkpoint which was written on a CPU is read there.
# Who cares: whoever tests resuming of a multi-process training on CPUs, in continuous integration for instance.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.17.0 accelerate==1.15.0 torch==2.13.0 numpy
cat > "$folder/train.py" <<'P'
import sys

import torch
from transformers import Trainer, TrainingArguments


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": (self.line(x) - labels).square().mean()}


rows = [{"x": torch.tensor([float(n)]), "labels": torch.tensor([2.0 * n])} for n in range(8)]
told = TrainingArguments(
    sys.argv[1], use_cpu=True, max_steps=int(sys.argv[2]), save_steps=1, report_to="none", disable_tqdm=True
)
Trainer(Model(), told, train_dataset=rows).train(resume_from_checkpoint=sys.argv[3] == "resume")
P
cd "$folder"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=
run() { # NAME PROCESSES STEPS HOW
  venv/bin/torchrun --nproc-per-node "$2" --master-port 29733 train.py "$1" "$3" "$4" > "$1.log" 2>&1 && echo done ||
    grep -o "don't know how to restore data location.*cpu:0)" "$1.log" | head -1
}
one="$(run one 1 1 new), $(run one 1 2 resume)"
two="$(run two 2 1 new), $(run two 2 2 resume)"
export ACCELERATE_TORCH_DEVICE=cpu
named="$(run named 2 1 new), $(run named 2 2 resume)"
printf '%s\n' "one process: $one" "two: $two" "two, ACCELERATE_TORCH_DEVICE=cpu: $named"
test "$one" = "done, done"
test "$two" = "done, don't know how to restore data location of torch.storage.UntypedStorage (tagged with cpu:0)"
test "$named" = "done, done"
# Output seen:
