"""The step formats: they write a step as text, read it back, and prompt for it."""

from o1coder_gym.steps.formats.actions import opening_ends
from o1coder_gym.steps.formats.format import (
    FORMATS,
    Prompt,
    StepFormat,
    is_prose,
    load_format,
    read_action,
    read_answer,
    split_chain,
)
from o1coder_gym.steps.formats.pseudocode import PSEUDOCODE, PseudocodeFormat, Words
from o1coder_gym.steps.formats.vanilla import VANILLA, VanillaFormat

__all__ = [
    "FORMATS",
    "PSEUDOCODE",
    "VANILLA",
    "Prompt",
    "PseudocodeFormat",
    "StepFormat",
    "VanillaFormat",
    "Words",
    "is_prose",
    "load_format",
    "opening_ends",
    "read_action",
    "read_answer",
    "split_chain",
]
