"""Runs untrusted programs and judges them."""

from o1coder_gym.sandbox.judge import Judge, default_judge

__all__ = ["Judge", "default_judge"]
