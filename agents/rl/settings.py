"""What a training of the policy by reinforcement learning depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from o1coder_gym.agents.rl.sampling.choice import read_sampler
from o1coder_gym.errors import UsageError
from o1coder_gym.models.checkpoints import weight_type
from o1coder_gym.models.training import arguments
from o1coder_gym.models.training.settings import check_batch, that_divides
from o1coder_gym.rewards import RewardConstants, load_reward, load_schedule
from o1coder_gym.settings import (
    FILE_ONLY,
    AtLeastOne,
    Checked,
    Count,
    Flag,
    NonNegative,
    Positive,
    Range,
    check_fields,
    to_row,
)
from o1coder_gym.settings.groups import Dtype, TemplateArguments
from o1coder_gym.specs import parse
from o1coder_gym.types import Sampling


@dataclass(frozen=True, slots=True)
class RLSettings(Checked):
    """Training.

    Attributes:
        credit: step: per-token advantages from per-step returns of φ; phi: one advantage per episode, from φ;
            outcome: one per episode, from R alone (the control).
        updates: Batches of episodes to learn from.
        problems: Problems per batch.
        episodes: Episodes per problem, a group.
        iterations: Optimizer steps per batch (PPO's epochs); with more than 1 the clipped ratio matters.
        rows_at_once: Episodes per forward pass; divides the batch.
        learning_rate: Learning rate of AdamW, constant.
        beta: Weight of the KL divergence from the model that training started from.
        clip: ε of PPO.
        reward: Your own function of an episode in place of φ, FILE.py:NAME or package.module:NAME; see
            `rewards.load_reward`. One advantage per episode.
        sampler: What samples: hf, vllm?kv_gib=1, openai:URL,URL?draws=own (docs/self_play.md).
        staleness: Batches that are sampled ahead at most, while the trainer learns from earlier ones; 0
            samples each with the newest weights. Needs an importance cap.
        importance_cap: Upper bound of π_trainer / π_sampler of a token, by which its advantage is multiplied,
            ≥ 1, where sampler and trainer round differently or the sampler is ahead; 0 takes them for equal
            and saves a forward pass.
        alpha: α(t): 0.5, linear?start=1&end=0.1&horizon=90, …; t counts optimizer steps.
        gamma: γ of φ.
        tau_pass: R of a program that passes all tests.
        tau_fail: R of any other end.
        fractional: R = τ_fail + (τ_pass − τ_fail)·pass, as in the authors' code, instead of all or nothing.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.
        temperature: Sampling temperature; no top-k or top-p, so that the samples are the policy's own.
        max_tokens: Tokens per step at most.
        save_every: Batches between two checkpoints.
        validate_every: Batches between two measurements on the held-out problems; 0: never.
        dtype: Data type of the weights; auto: bfloat16 on a GPU with LoRA, else float32.
        seed: Seed of order, samples and adapters.
        template_arguments: Variables of the chat template; the trained model's template keeps them.
    """

    credit: Literal["step", "phi", "outcome"] = "step"
    updates: AtLeastOne = 40
    problems: Annotated[AtLeastOne, Flag("--batch-problems")] = 8
    episodes: Annotated[int, Range(2)] = 8
    iterations: AtLeastOne = 1
    rows_at_once: AtLeastOne = 16
    learning_rate: Annotated[Positive, Flag("--lr")] = 1e-5
    reward: str | None = None
    beta: NonNegative = 0.02
    clip: Positive = 0.2
    sampler: str = "hf"
    staleness: Count = 0
    importance_cap: NonNegative = 0.0
    alpha: str = "0.5"
    gamma: float = 0.9
    tau_pass: Annotated[float, FILE_ONLY] = 1.0
    tau_fail: Annotated[float, FILE_ONLY] = 0.0
    fractional: bool = False
    lora_rank: Count = 0
    temperature: Positive = 1.0
    max_tokens: AtLeastOne = 384
    save_every: AtLeastOne = 10
    validate_every: Count = 0
    dtype: Dtype = "auto"
    seed: int = 0
    template_arguments: TemplateArguments = None

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers that make no sense."""
        check_fields(self)
        check_batch(self.batch, self.rows_at_once, "episodes")
        if self.importance_cap and (self.importance_cap < 1 or self.temperature != 1.0):
            raise UsageError("an importance cap must be 0 or at least 1, and needs a temperature of 1")
        if self.staleness and not self.importance_cap:
            raise UsageError("a sampler that is ahead needs an importance cap, e.g. --importance-cap 2")
        read_sampler(self.sampler)
        RewardConstants(gamma=self.gamma, tau_pass=self.tau_pass, tau_fail=self.tau_fail)
        load_schedule(self.alpha)
        if self.reward is not None:
            load_reward(self.reward)

    def check_problems(self, count: int) -> None:
        """Raises `UsageError` when a batch has more problems than there are; says how to make it smaller."""
        if count < self.problems:
            at_once = that_divides(count * self.episodes, self.rows_at_once)
            raise UsageError(
                f"a batch needs {self.problems} problems, there are {count}; give --batch-problems {count} "
                f"--rows-at-once {at_once}, in a file of self-play problems = {count} and "
                f"rows_at_once = {at_once} below [rl]"
            )

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict."""
        row = to_row(self)
        # A run continues with servers at other addresses, and with other options that change no result.
        if (kind := parse(self.sampler).name) == "hf":
            row.pop("sampler", None)
        else:
            row["sampler"] = kind
        return row

    @property
    def batch(self) -> int:
        """Episodes per batch."""
        return self.problems * self.episodes

    @property
    def sampling(self) -> Sampling:
        """How steps are drawn."""
        return Sampling(self.temperature, top_p=1.0, top_k=0, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class DPOSettings(Checked):
    """Training.

    Attributes:
        learning_rate: Learning rate of AdamW, constant.
        beta: How strongly it is held to the model that training started from.
        imitation: Weight of −log π of the better step over its tokens, beside the loss of DPO (iterative RPO,
            arXiv 2404.19733). DPO sees the difference of a pair alone; without it both steps become unlikely.
        epochs: Passes over the pairs.
        batch_size: Pairs per optimizer step.
        rows_at_once: Pairs per forward pass; divides the batch.
        group_prefixes: Put pairs with a common beginning into one forward pass, see `TrainingSettings`.
        pairs: Pairs at most, those of largest margin that are not too long; 0 takes all.
        max_length: Longest pair in tokens, at most the model's context; longer ones are left out.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.
        save_steps: Optimizer steps between two checkpoints.
        dtype: Data type of the weights; auto: bfloat16 on a GPU with LoRA, else float32.
        seed: Seed of order and adapters.
        template_arguments: Variables of the chat template; the trained model's template keeps them.
    """

    learning_rate: Annotated[Positive, Flag("--lr")] = 5e-6
    beta: Positive = 0.1
    imitation: NonNegative = 1.0
    epochs: Positive = 1.0
    batch_size: Annotated[AtLeastOne, Flag("--batch")] = 16
    rows_at_once: AtLeastOne = 4
    group_prefixes: bool = False
    pairs: Count = 0
    max_length: AtLeastOne = 2048
    lora_rank: Count = 0
    save_steps: AtLeastOne = 50
    dtype: Dtype = "auto"
    seed: int = 0
    template_arguments: TemplateArguments = None

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers that make no sense."""
        check_fields(self)
        check_batch(self.batch_size, self.rows_at_once, "pairs")


def common_arguments(out: Path, settings: RLSettings | DPOSettings) -> dict[str, Any]:
    """Returns the arguments that TRL's GRPO and DPO both take."""
    import torch

    return {
        **arguments.common_arguments(out, settings.learning_rate, settings.rows_at_once, settings.seed),
        "lr_scheduler_type": "constant",
        "beta": settings.beta,
        # Adapters in float32 are multiplied in bfloat16 with the rest; where float32 is asked for nothing is,
        # or likelihoods would not be those of the sampler.
        "bf16": torch.cuda.is_available() and weight_type(settings.dtype) == "bfloat16",
    }
