"""Tiny random models of many architectures: each samples by its own distribution, or says how it can."""

import copy
import warnings

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from o1coder_gym.errors import PolicyError
from o1coder_gym.policies import Generate, HFEngine, HFSettings
from o1coder_gym.policies.hf.causal_model import CausalModel
from o1coder_gym.steps.formats import Prompt
from o1coder_gym.types import Sampling

SIZES = {
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 256,
}
EXPERTS = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "shared_expert_intermediate_size": 16,
}
HEADS = {"head_dim": 8}
WINDOW = {"sliding_window": 4}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
GROUPS = {"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}

ENGINE = {
    "llama": {},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": HEADS,
    "qwen2_moe": EXPERTS,
    "qwen3_moe": HEADS | EXPERTS,
    "mixtral": EXPERTS,
    "olmoe": EXPERTS,
    "gemma": HEADS,
    "phi": {},
    "phi3": {},
    "gpt2": {},
    "gpt_neox": {},
    "gpt_bigcode": {"multi_query": True},
    "falcon": {"new_decoder_architecture": False, "multi_query": True, "alibi": False},
    "starcoder2": {},
    "stablelm": {},
    "olmo2": {},
    "cohere": {},
    "granite": {},
    "smollm3": {},
    "glm": HEADS,
}
"""Run by this project's attention."""

OWN = {
    "mistral-with-windows": WINDOW,
    "gemma2": HEADS | WINDOW,
    "gemma3_text": HEADS | WINDOW,
    "cohere2": WINDOW,
    "gpt_oss": HEADS | WINDOW | EXPERTS,
    "deepseek_v3": LATENT | GROUPS | EXPERTS,
    "mamba": {"state_size": 8},
    "qwen3_next": HEADS | LINEAR | EXPERTS,
    "falcon_h1": HEADS | MAMBA,
    "recurrent_gemma": HEADS | {"lru_width": 32, "attention_window_size": 4},
}
"""Run by their own attention and cache."""

REFUSED = {
    "codegen": {"rotary_dim": 4},
    "gptj": {"rotary_dim": 4},
    "gpt_neo": {
        "attention_types": [[["global", "local"], 1]],
        "window_size": 4,
        "num_layers": 2,
        "num_heads": 4,
    },
    "gpt_neox_japanese": {},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2},
}
"""Refused, with the way out, as transformers 5.17 has them."""

PROMPT = Prompt((("user", "add two numbers"),), "", "")


def tiny_model(name, sizes):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model(name.split("-")[0], **{**SIZES, **sizes})
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def check_draws(engine, reference):
    """Samples of several prompts; their log-probabilities are those of one plain forward pass."""
    prompts = [tuple(range(40, 40 + length)) for length in (3, 17)]
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=6)
    requests = [Generate(PROMPT, ids, 2, sampling, 5, lambda text: None) for ids in prompts]
    for request, completions in zip(requests, engine.generate(requests), strict=True):
        for completion in completions:
            ids = [*request.prompt_ids, *completion.token_ids]
            with torch.inference_mode():
                logits = reference(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
            scores = logits.log_softmax(-1)
            start = len(request.prompt_ids)
            wanted = sum(float(scores[place - 1, ids[place]]) for place in range(start, len(ids)))
            assert completion.logprob == pytest.approx(wanted, abs=1e-3)
            assert completion.tokens - len(completion.token_ids) in (0, 1)  # an end token
    cost = engine.counters
    assert cost.prompt_tokens + cost.cached_tokens == sum(map(len, prompts))


@pytest.mark.parametrize("name", [*ENGINE, *OWN])
def test_samples_come_from_the_models_own_distribution(name, tiny):
    model = tiny_model(name, (ENGINE | OWN)[name])
    engine = HFEngine.from_model(copy.deepcopy(model), tiny[1])
    check_draws(engine, model)


@pytest.mark.parametrize("name", REFUSED)
def test_other_attention_is_right_or_refused_with_the_way_out(name, tiny):
    model = tiny_model(name, REFUSED[name])
    engine = HFEngine.from_model(model, tiny[1])
    told = ""
    try:
        engine.encode(PROMPT)
    except PolicyError as refusal:
        told = str(refusal)
    if not told:  # later versions of transformers let any attention be put into some of them
        check_draws(engine, tiny_model(name, REFUSED[name]))
        model, told = tiny_model(name, REFUSED[name]), "attention=model"
    assert "attention=model" in told
    check_draws(HFEngine.from_model(model, tiny[1], HFSettings(attention="model")), copy.deepcopy(model))


def test_all_draws_are_alike_by_either_attention(tiny):
    model, tokenizer = tiny
    request = Generate(PROMPT, (3, 4, 5), 3, Sampling(max_tokens=8), 1, lambda text: None)
    (usual,) = HFEngine.from_model(model, tokenizer).generate([request])
    own = HFEngine.from_model(copy.deepcopy(model), tokenizer, HFSettings(attention="model"))
    assert [one.token_ids for one in own.generate([request])[0]] == [one.token_ids for one in usual]
    own.forget()


def test_which_attention_runs_is_known(tiny):
    assert CausalModel(tiny_model("llama", {}), tiny[1]).shape is not None
    assert CausalModel(tiny_model("gemma2", OWN["gemma2"]), tiny[1]).shape is None
