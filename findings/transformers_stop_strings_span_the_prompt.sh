#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.13.0), generate(stop_strings=…), which `transformers serve` uses for "stop"
#
# Seen: a stop string that begins in the prompt and ends in the answer ends the answer. A prompt that ends in "a", an
# answer that begins with "b": with the stop string "ab" it ends after its first token. A chat template ends a prompt
# with a line end, so through `transformers serve` stop strings like "\n```" or "\n### Step" leave nothing of answers
# that open with a fence or a heading.
# Guessed: a stop string is sought in what was generated, as in OpenAI's API, vLLM and llama.cpp.
# Who cares: whoever moves a benchmark's stop strings from one server to another, and finds answers empty or cut.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.13.0
cat > "$folder/stop.py" <<'P'
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
core = Tokenizer(models.BPE(vocab=letters, merges=[]))
core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
core.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=256, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    tie_word_embeddings=False, bos_token_id=None, eos_token_id=None,
)).eval()
with torch.no_grad():  # whatever is asked, it writes b
    for weight in model.parameters():
        weight.zero_()
    model.model.norm.weight.fill_(1)
    model.model.embed_tokens.weight.fill_(1)
    model.lm_head.weight[letters["b"]] = 1
ids = tokenizer("a", return_tensors="pt").input_ids
for stop in (None, "ab", "bb"):
    given = {} if stop is None else {"stop_strings": [stop], "tokenizer": tokenizer}
    found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False, pad_token_id=0, **given)
    print(f"stop {stop}: {tokenizer.decode(found[0, ids.shape[1]:])}")
P
cat > "$folder/expected" <<'T'
stop None: bbbb
stop ab: b
stop bb: bb
T
"$folder/venv/bin/python" "$folder/stop.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
