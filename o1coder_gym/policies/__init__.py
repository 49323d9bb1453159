"""Policies, which sample reasoning steps. Importing this package loads no torch and no weights."""

from o1coder_gym.policies.engine import Completion, Counters, Engine, Generate
from o1coder_gym.policies.fake import FakeEngine, FakeSettings
from o1coder_gym.policies.hf.engine import HFEngine, HFSettings
from o1coder_gym.policies.language_model import LanguageModelPolicy
from o1coder_gym.policies.loading import hf_spec, load_policy, server_abilities, shared_engine
from o1coder_gym.policies.openai_server import OpenAIEngine, OpenAISettings
from o1coder_gym.policies.scripted import Depths, ScriptedAction, ScriptedPolicy
from o1coder_gym.policies.vllm.engine import VLLMEngine, VLLMSettings

__all__ = [
    "Completion",
    "Counters",
    "Depths",
    "Engine",
    "FakeEngine",
    "FakeSettings",
    "Generate",
    "HFEngine",
    "HFSettings",
    "LanguageModelPolicy",
    "OpenAIEngine",
    "OpenAISettings",
    "ScriptedAction",
    "ScriptedPolicy",
    "VLLMEngine",
    "VLLMSettings",
    "hf_spec",
    "load_policy",
    "server_abilities",
    "shared_engine",
]
