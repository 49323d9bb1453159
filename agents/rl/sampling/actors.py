"""Actors: copies of the policy in training that sample its episodes, and how they get its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from o1coder_gym.agents.rl.episodes import Episode
from o1coder_gym.policies import LanguageModelPolicy
from o1coder_gym.steps.formats import StepFormat

Draw = Callable[[LanguageModelPolicy], list[Episode]]
"""Samples a batch of episodes with a policy."""


class Actor(Protocol):
    """π_θold of PPO: the policy in training as of the last refresh."""

    @property
    def policy(self) -> LanguageModelPolicy:
        """Samples steps with the weights of the last `refresh`."""
        ...

    def refresh(self, learner: Any, version: int) -> None:
        """Takes over the weights of the policy in training; kept prefixes of earlier ones are dropped.

        Args:
            learner: A transformers causal language model, plain or wrapped by PEFT.
            version: Batches that it has learned from.

        Raises:
            PolicyError: When they do not arrive.
        """
        ...

    def sample(self, draw: Draw) -> list[Episode]:
        """Samples a batch; each episode has the version of the weights that it comes from."""
        ...

    def close(self) -> None:
        """Frees memory, connections and files."""
        ...


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a training.

    Attributes:
        folder: Of the weights.
        model: Them, as transformers loads them, without adapters.
        tokenizer: Of the model.
        step_format: How steps are written.
        dtype: To sample in, ``"float32"`` or ``"bfloat16"``; that of `model` may be wider.
        lora_rank: r of the adapters to come; 0 where all weights are trained.
        rows: Episodes of a batch.
        template_arguments: Variables of the chat template, which the tokenizer has already.
    """

    folder: str
    model: Any
    tokenizer: Any
    step_format: StepFormat
    dtype: str
    lora_rank: int
    rows: int
    template_arguments: Mapping[str, Any] | None = None


def tagged(episodes: Sequence[Episode], version: int) -> list[Episode]:
    """Returns episodes with the version of the weights that sampled them."""
    return [replace(episode, version=version) for episode in episodes]
