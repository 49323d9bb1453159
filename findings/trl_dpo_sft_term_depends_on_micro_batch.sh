#!/usr/bin/env bash
# trl 1.16.0, DPOTrainer with loss_type=["sigmoid", "sft"] (iterative RPO)
#
# Seen: the same two pairs make one optimizer step of another loss and gradient when they are cut into two
# forward passes (per_device_train_batch_size=1, gradient_accumulation_steps=2) instead of one. The "sft" term is a
# mean over the tokens of a forward pass, and then over passes; "sigmoid" alone does not change.
# Guessed: what fits into memory at once changes nothing, as in SFT, where tokens of the whole batch are counted;
# or a mean per pair, as in the paper (arXiv 2404.19733, section 2), where a pair weighs the same beside any other.
# Who cares: whoever reproduces an RPO run on smaller GPUs with more accumulation and the same batch. Where answers
# differ in length, the weight of the likelihood against the preference is another one, and nothing says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q trl==1.16.0 transformers==5.17.0 torch==2.13.0 datasets==5.2.0 accelerate==1.15.0
cat > "$folder/step.py" <<'P'
import sys
import warnings

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

warnings.filterwarnings("ignore")
words = ["<pad>", "<eos>", "add", "one", "good", "bad"]
cut = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<pad>"))
cut.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=cut, pad_token="<pad>", eos_token="<eos>")
pairs = Dataset.from_list(
    [
        {"prompt": "add", "chosen": " good", "rejected": " bad"},
        {"prompt": "one", "chosen": " good" + " add one" * 20, "rejected": " bad"},
    ]
)


def model():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.5,
        )
    )


def step(losses, rows):
    settings = DPOConfig(
        sys.argv[1],
        loss_type=losses,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=2 // rows,
        max_steps=1,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = DPOTrainer(model(), model(), settings, train_dataset=pairs, processing_class=tokenizer)
    trainer.train()
    return next(row for row in trainer.state.log_history if "loss" in row)


for losses in (["sigmoid"], ["sigmoid", "sft"]):
    for rows in (2, 1):
        told = step(losses, rows)
        figures = f"loss {told['loss']:.2f}, norm of the gradient {told['grad_norm']:.2f}"
        print(f"{'+'.join(losses):11} {rows} pairs a pass: {figures}", file=sys.stderr)
P
cat > "$folder/expected" <<'T'
sigmoid     2 pairs a pass: loss 0.69, norm of the gradient 10.83
sigmoid     1 pairs a pass: loss 0.69, norm of the gradient 10.83
sigmoid+sft 2 pairs a pass: loss 5.35, norm of the gradient 20.57
sigmoid+sft 1 pairs a pass: loss 4.18, norm of the gradient 17.59
T
"$folder/venv/bin/python" "$folder/step.py" "$folder/out" 2>&1 >/dev/null | grep "pairs a pass" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
