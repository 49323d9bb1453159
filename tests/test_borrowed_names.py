"""Names of other libraries that promise nothing about them: each is there, or it is told what breaks."""

import importlib
import inspect
from importlib.metadata import packages_distributions, version

import pytest

BORROWED = {
    "atexit._run_exitfuncs": "the end of an interrupted command (cli/main.py)",
    "transformers.cache_utils.CacheLayerMixin": "the engine's cache of rows (policies/hf/row_cache.py)",
    "transformers.cache_utils.CacheLayerMixin.lazy_initialization": "the same",
    "transformers.integrations.sdpa_attention.sdpa_attention_forward": "attention (policies/hf)",
    "transformers.masking_utils.sdpa_mask": "attention (policies/hf/causal_model.py)",
    "transformers.AttentionInterface.register": "attention (policies/hf/causal_model.py)",
    "transformers.PreTrainedModel.set_attn_implementation": "attention (policies/hf/causal_model.py)",
    "transformers.LlamaConfig._attn_implementation": "attention, and masks in RL (agents/rl/grpo.py)",
    "transformers.LlamaConfig.get_text_config": "sizes of models (policies/hf)",
    "torch.ops.mkldnn._reorder_linear_weight": "packed weights on a CPU (policies/hf/packed_linear.py)",
    "torch.ops.mkldnn._linear_pointwise": "the same",
    "trl.trainer.utils._use_triton": "speed of trainings on a CPU (models/batches/projection.py)",
    "trl.kernels.chunked_logprob._forward_tile": "the same",
    "trl.kernels.chunked_logprob._backward_tile": "the same",
    "trl.GRPOTrainer._generate_and_score_completions": "advantages of steps (agents/rl/grpo.py)",
    "trl.GRPOTrainer._compute_loss": "rows with branches (agents/rl/grpo.py)",
    "trl.GRPOTrainer._get_per_token_logps_and_entropies": "rows with branches (agents/rl/grpo.py)",
    "trl.GRPOTrainer._prepare_inputs": "prompts that are computed once (agents/rl/grpo.py)",
    "trl.DPOTrainer._compute_loss": "the likelihood of better steps (agents/rl/dpo.py)",
    "trl.DPOTrainer._prepare_dataset": "pairs that are tokens (agents/rl/dpo.py, finetuning.py)",
    "vllm.v1.sample.logits_processor.LogitsProcessor": "own draws (policies/vllm/draws.py)",
    "vllm.v1.sample.logits_processor.builtin.process_dict_updates": "own draws (policies/vllm/draws.py)",
    "vllm.LLM.reset_prefix_cache": "counted prefixes (policies/vllm/engine.py)",
    "vllm.LLM.collective_rpc": "weights in training (policies/vllm/trained.py)",
    "vllm.LLM.wake_up": "memory for the trainer (policies/vllm/trained.py)",
    "vllm.lora.request.LoRARequest": "adapters in training (policies/vllm/trained.py)",
    "vllm.v1.worker.gpu_worker.Worker.reload_weights": "weights in training (agents/rl/sampling)",
    "trl.generation.vllm_client.VLLMClient.weight_update": "weights by NCCL (agents/rl/sampling)",
}
"""Dotted names, and what stops working without them."""

TAKEN = {
    "trl.GRPOTrainer.__init__": ("rollout_func", "reward_funcs", "peft_config"),
    "trl.DPOTrainer.__init__": ("ref_model", "processing_class"),
    "trl.GRPOConfig.__init__": ("num_generations", "steps_per_generation", "num_iterations", "scale_rewards"),
    "transformers.TrainingArguments.__init__": ("warmup_steps", "eval_strategy", "report_to", "use_cpu"),
}
"""Parameters that are given."""


def find(name):
    """The module that the name begins with, and what it stands for there."""
    package, *_ = parts = name.split(".")
    pytest.importorskip(package, exc_type=ImportError)
    for end in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def release(name):
    package = name.partition(".")[0]
    distribution, *_ = packages_distributions()[package]
    return f"{distribution} {version(distribution)}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BORROWED)
def test_a_borrowed_name_is_there(name):
    try:
        find(name)
    except (AttributeError, ModuleNotFoundError):
        pytest.fail(f"{release(name)} has no {name}: this breaks {BORROWED[name]}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TAKEN)
def test_a_parameter_that_is_given_is_taken(name):
    lacking = set(TAKEN[name]) - set(inspect.signature(find(name)).parameters)  # pyright: ignore[reportArgumentType]
    assert not lacking, f"{release(name)}: {name} takes no {', '.join(sorted(lacking))}"


def test_a_cache_is_given_by_the_name_that_the_model_takes():
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from o1coder_gym.policies.hf.row_cache import as_argument

    (name,) = as_argument(
        transformers.LlamaForCausalLM.__new__(transformers.LlamaForCausalLM), transformers.DynamicCache()
    )
    assert name in inspect.signature(transformers.LlamaForCausalLM.forward).parameters
