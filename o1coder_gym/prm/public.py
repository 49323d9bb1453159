"""Public process reward models by name, the layouts in which their families read steps, and their loaders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from o1coder_gym.errors import UnknownNameError
from o1coder_gym.prm import step_text
from o1coder_gym.prm.step_text import Layout
from o1coder_gym.specs.parameters import AtLeastOne, Count, check_fields


@dataclass(frozen=True, slots=True)
class Kind:
    """How the models of one family read steps and express scores.

    Attributes:
        layout: How a question and its steps are laid out.
        head: Key of `model.HEADS`.
    """

    layout: Layout
    head: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "o1coder": Kind(step_text.separated, "scalar"),
        "math-shepherd": Kind(step_text.shepherd, "plus_minus"),
        "rlhflow": Kind(step_text.rlhflow, "plus_minus"),
        "qwen-prm": Kind(step_text.qwen, "two_class"),
        "skywork": Kind(step_text.skywork, "value"),
    }
)


@dataclass(frozen=True, slots=True)
class PublicModel:
    """A model on the Hugging Face Hub.

    Attributes:
        hub: Its id.
        kind: Key of `KINDS`.
        trained_on: What its steps were about.
    """

    hub: str
    kind: str
    trained_on: str = "mathematics"


PUBLIC: Mapping[str, PublicModel] = MappingProxyType(
    {
        "math-shepherd-7b": PublicModel("peiyi9979/math-shepherd-mistral-7b-prm", "math-shepherd"),
        "rlhflow-8b-deepseek": PublicModel("RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", "rlhflow"),
        "rlhflow-8b-mistral": PublicModel("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", "rlhflow"),
        "qwen2.5-math-prm-7b": PublicModel("Qwen/Qwen2.5-Math-PRM-7B", "qwen-prm"),
        "qwen2.5-math-prm-72b": PublicModel("Qwen/Qwen2.5-Math-PRM-72B", "qwen-prm"),
        "skywork-o1-prm-1.5b": PublicModel(
            "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", "skywork", "mathematics and code"
        ),
        "skywork-o1-prm-7b": PublicModel(
            "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "skywork", "mathematics and code"
        ),
    }
)
"""By the name that ``prm:NAME`` takes."""


def kind_of(name: str) -> Kind:
    """Returns a family by name.

    Raises:
        UnknownNameError: When there is none.
    """
    if name not in KINDS:
        raise UnknownNameError("kind of process reward model", name, KINDS)
    return KINDS[name]


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """Options of ``prm:``.

    Attributes:
        dtype: Of the weights; ``auto`` is bfloat16 on a GPU, else float32.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, …
        batch_tokens: Tokens of a forward pass at most, padding included; a longer chain runs alone.
        prefix_mib: Memory for what steps before have computed, kept between calls, in MiB; 0 keeps nothing.
        kind: Family of the model (`public.KINDS`) where its folder does not say.
        format: Step format where its folder does not say.
        calibrated: Whether to use the calibration beside the weights: ``yes`` or ``no``.
    """

    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: AtLeastOne = 16384
    prefix_mib: Count = 1024
    kind: str = ""
    format: str = "pseudocode"
    calibrated: Literal["yes", "no"] = "yes"

    def __post_init__(self) -> None:
        """Raises `UsageError` when a value makes no sense."""
        check_fields(self)
