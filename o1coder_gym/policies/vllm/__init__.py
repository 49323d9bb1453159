"""Policies by vLLM in this process. Loads no vLLM by itself."""

from o1coder_gym.policies.vllm.engine import BLOCK, DEFAULTS, VLLMEngine, VLLMSettings, all_cores
from o1coder_gym.policies.vllm.own_thread import OwnThread, T

__all__ = ["BLOCK", "DEFAULTS", "OwnThread", "T", "VLLMEngine", "VLLMSettings", "all_cores"]
