#!/usr/bin/env bash
# transformers 5.24.0, Trainer with max_steps that end within an epoch
#
# Seen: a training resumed from the checkpoint of its last step makes one more optimizer step: global_step is 3 of
# max_steps=2, and with a constant learning rate the weights are others than those of the checkpoint. With linear
# decay the rate of that step is 0, and they stay. Where the steps end with an epoch, no step is made.
# Guessed: nothing is left to do, so the model is that of the checkpoint.
# Who cares: whoever runs trainings that may be stopped at any moment, under the same command with a checkpoint to
# resume from. A stop between the last checkpoint and the end of the program gives a model that no undisturbed run
# gives, and a log with a step too many.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.13.0 accelerate==1.15.0
cat > "$folder/resume.py" <<'P'
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments


def train(folder, schedule, steps, checkpoint=None):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    settings = TrainingArguments(
        folder,
        max_steps=steps,
        per_device_train_batch_size=2,
        save_steps=1,
        learning_rate=0.01,
        lr_scheduler_type=schedule,
        weight_decay=0.0,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    rows = [{"input_ids": [row, 1, 2, 3], "labels": [row, 1, 2, 3]} for row in range(8)]
    trainer = Trainer(LlamaForCausalLM(config), settings, train_dataset=rows)
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


for schedule, steps in (("constant", 2), ("linear", 2), ("constant", 4)):  # an epoch has 4
    folder = f"{sys.argv[1]}/{schedule}-{steps}"
    whole = train(folder, schedule, steps)
    resumed = train(folder, schedule, steps, f"{folder}/checkpoint-{steps}")
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    same = all(torch.equal(one, other) for one, other in pairs)
    print(schedule, whole.state.global_step, resumed.state.global_step, "same" if same else "others")
P
seen=$("$folder/venv/bin/python" "$folder/resume.py" "$folder" 2>/dev/null | grep -E '^(constant|linear) ')
echo "$seen"
# schedule, global_step of the training and of the resumed one, weights
[ "$seen" = "constant 2 3 others
linear 2 3 same
constant 4 4 same" ]
