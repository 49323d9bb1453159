#!/usr/bin/env bash
# transformers 5.17.0 (torch 2.13.0): Trainer.evaluate() of a causal language model
#
# Seen: the `eval_loss` of one model on the same eight rows is another number for each per_device_eval_batch_size,
# where rows have different numbers of labels: 2.93, 4.28, 5.52, 5.55 below for 1, 2, 4, 8 rows at once. Each batch is
# averaged over its tokens and then counts by its rows, so a token counts less the more of them are in its batch. The
# training loss of the same rows, cut into the same micro-batches, is the mean over tokens (5.55) for each cut.
# Guessed: a mean over tokens both times. Since 4.46 the Trainer counts the labels of a whole optimizer step for that
# purpose (`num_items_in_batch`), and it counts them in an evaluation too, but batch by batch.
# Who cares: whoever compares validation losses or perplexities of runs with other batch sizes, stops early by them, or
# trains on completions of very different length. A loss of one's own can divide by the labels of a mean row times the
# rows of the batch; the mean over rows is then the mean over labels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.17.0 torch==2.13.0 accelerate==1.15.0 numpy
cat > "$folder/losses.py" <<'P'
import logging
import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.utils import logging as library

library.set_verbosity_error()
logging.disable()
torch.manual_seed(0)
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
model = LlamaForCausalLM(LlamaConfig(vocab_size=256, pad_token_id=0, **shape))
drawn = torch.Generator().manual_seed(0)
# Short rows repeat one token, long ones do not: rows that differ in length and in difficulty.
lengths = (60, 4, 60, 60, 4, 4, 60, 4)
rows = [[7] * n if n == 4 else torch.randint(1, 256, (n,), generator=drawn).tolist() for n in lengths]
rows = [{"input_ids": row, "labels": row} for row in rows]
for _ in range(30):  # so that the easy rows are easy
    loss = model(torch.tensor([[7] * 4]), labels=torch.tensor([[7] * 4])).loss
    loss.backward()
    for weight in model.parameters():
        weight.data -= 0.05 * weight.grad
        weight.grad = None


def collate(some):
    longest = max(len(row["input_ids"]) for row in some)
    fill = lambda name, value: torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in some])
    ids = fill("input_ids", 0)
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": fill("labels", -100)}


def arguments(**given):
    fixed = {"output_dir": "out", "report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
    return TrainingArguments(**fixed, learning_rate=0.0, max_steps=1, logging_steps=1, **given)


def by_token():
    model.eval()
    with torch.no_grad():
        sums = [(model(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss.item(),
                 len(row["labels"]) - 1) for row in rows]
    return sum(loss * count for loss, count in sums) / sum(count for _, count in sums)


for size in (1, 2, 4, 8):
    given = arguments(per_device_eval_batch_size=size, per_device_train_batch_size=size,
                      gradient_accumulation_steps=8 // size)
    trainer = Trainer(model, given, data_collator=collate, train_dataset=rows, eval_dataset=rows)
    measured = trainer.evaluate()["eval_loss"]
    trainer.train()
    learned = next(row["loss"] for row in trainer.state.log_history if "loss" in row)
    print(f"{size} rows: eval_loss {measured:.4f}, training loss {learned:.4f}, by token {by_token():.4f}")
P
cd "$folder"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= HF_HUB_OFFLINE=1
venv/bin/python losses.py 2>/dev/null | grep rows: | tee seen.txt
awk '{ measured[NR] = $4 + 0; learned[NR] = $7 + 0; token = $10 + 0 }
  END { if (NR != 4) exit 1
    for (i = 1; i <= 4; i++) { d = learned[i] - token; if (d < -0.001 || d > 0.001) exit 2
      for (j = 1; j < i; j++) { d = measured[i] - measured[j]; if (d > -0.001 && d < 0.001) exit 3 } } }' seen.txt
# Output seen:
# 1 rows: eval_loss 2.9265, training loss 5.5532, by token 5.5532
# 2 rows: eval_loss 4.2834, training loss 5.5532, by token 5.5532
# 4 rows: eval_loss 5.5204, training loss 5.5532, by token 5.5532
# 8 rows: eval_loss 5.5532, training loss 5.5532, by token 5.5532
