"""The name by which verifiers finds this project's taskset: ``vf-eval o1coder-verifiers``."""

from o1coder_gym.adapters.verifiers import O1CoderEnv, O1CoderHarness, O1CoderTaskset

__all__ = ["O1CoderEnv", "O1CoderHarness", "O1CoderTaskset"]
