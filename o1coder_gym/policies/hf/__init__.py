"""Policies by transformers: decoding in steps over shared prefixes. Loads no torch by itself."""

from o1coder_gym.policies.hf.engine import DEFAULTS, HFEngine, HFSettings, OnText

__all__ = ["DEFAULTS", "HFEngine", "HFSettings", "OnText"]
