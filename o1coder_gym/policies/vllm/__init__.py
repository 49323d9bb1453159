"""Policies by vLLM in this process. Loads no vLLM by itself."""

from o1coder_gym.policies.vllm.engine import BLOCK, DEFAULTS, VLLMEngine, VLLMSettings, all_cores

__all__ = ["BLOCK", "DEFAULTS", "VLLMEngine", "VLLMSettings", "all_cores"]
