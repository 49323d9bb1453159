"""What a training of the policy by reinforcement learning depends on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from o1coder_gym.errors import UnknownNameError, UsageError
from o1coder_gym.models.checkpoints import (
    CHECKPOINTS,
)
from o1coder_gym.rewards import RewardConstants, load_schedule
from o1coder_gym.types import Sampling

CREDITS = ("step", "phi", "outcome")


@dataclass(frozen=True, slots=True)
class RLSettings:
    """How a policy is trained on φ.

    Attributes:
        credit: ``"step"``: per-token advantages from per-step returns of φ; ``"phi"``: one advantage per
            episode, from φ; ``"outcome"``: one per episode, from R alone (the control).
        updates: Batches of episodes to learn from.
        problems: Problems per batch.
        episodes: Episodes per problem, a group; ≥ 2.
        iterations: Optimizer steps per batch (PPO's epochs); with more than 1 the clipped ratio matters.
        rows_at_once: Episodes per forward pass; divides the batch.
        learning_rate: Of AdamW, constant.
        beta: Weight of the KL divergence from the model that training started from.
        clip: ε of PPO.
        importance_cap: Upper bound of π_trainer / π_sampler of a token, by which its advantage is multiplied,
            ≥ 1, where sampler and trainer round differently; 0 takes them for equal and saves a forward pass.
        alpha: Schedule of α(t), see `rewards.load_schedule`; t counts optimizer steps.
        gamma: γ of φ.
        tau_pass: R of a program that passes all tests.
        tau_fail: R of any other end.
        fractional: R = τ_fail + (τ_pass − τ_fail)·pass, as in the authors' code, instead of all or nothing.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.
        temperature: Of sampling; no top-k or top-p, so that the samples are the policy's own.
        max_tokens: Tokens per step at most.
        save_every: Batches between two checkpoints.
        validate_every: Batches between two looks at the held-out problems; 0 never.
        dtype: Of the weights; ``"auto"`` is bfloat16 on a GPU, else float32.
        seed: Of order, samples and adapters.
    """

    credit: str = "step"
    updates: int = 40
    problems: int = 8
    episodes: int = 8
    iterations: int = 1
    rows_at_once: int = 16
    learning_rate: float = 1e-5
    beta: float = 0.02
    clip: float = 0.2
    importance_cap: float = 0.0
    alpha: str = "0.5"
    gamma: float = 0.9
    tau_pass: float = 1.0
    tau_fail: float = 0.0
    fractional: bool = False
    lora_rank: int = 0
    temperature: float = 1.0
    max_tokens: int = 384
    save_every: int = 10
    validate_every: int = 0
    dtype: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers that make no sense."""
        if self.credit not in CREDITS:
            raise UnknownNameError("credit", self.credit, CREDITS)
        if min(self.updates, self.problems, self.iterations, self.rows_at_once, self.max_tokens) < 1:
            raise UsageError("updates, problems, iterations, rows at once and tokens are at least 1")
        if self.episodes < 2:
            raise UsageError("a group needs at least 2 episodes per problem")
        if self.batch % self.rows_at_once:
            raise UsageError(f"a batch of {self.batch} episodes is not made of {self.rows_at_once} at once")
        if min(self.learning_rate, self.temperature, self.clip) <= 0 or min(self.beta, self.lora_rank) < 0:
            raise UsageError(
                "learning rate, temperature and clip are positive, beta and LoRA rank at least 0"
            )
        if self.importance_cap and (self.importance_cap < 1 or self.temperature != 1.0):
            raise UsageError("an importance cap is 0 or at least 1, and needs a temperature of 1")
        if self.save_every < 1 or self.validate_every < 0:
            raise UsageError("checkpoints come at least every batch, looks at validation every 0 or more")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise UsageError(f"dtype is auto, float32 or bfloat16, not {self.dtype!r}")
        RewardConstants(gamma=self.gamma, tau_pass=self.tau_pass, tau_fail=self.tau_fail)
        load_schedule(self.alpha)

    def to_row(self) -> dict[str, Any]:
        """Returns a JSON-able dict; without an importance cap that of earlier versions, whose runs go on."""
        row = asdict(self)
        if not self.importance_cap:
            del row["importance_cap"]
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
class DPOSettings:
    """How a policy is trained on pairs.

    Attributes:
        learning_rate: Of AdamW, constant.
        beta: How strongly it is held to the model that training started from.
        imitation: Weight of −log π of the better step, per token, beside the loss of DPO (iterative RPO,
            arXiv 2404.19733). DPO sees the difference of a pair alone; without it both steps become unlikely.
        epochs: Passes over the pairs.
        batch_size: Pairs per optimizer step.
        rows_at_once: Pairs per forward pass; divides the batch.
        pairs: Pairs at most, those of largest margin; 0 takes all.
        max_length: Longest pair in tokens; longer ones are left out.
        lora_rank: r of LoRA on all linear layers; 0 trains all weights.
        save_steps: Optimizer steps between two checkpoints.
        dtype: Of the weights; ``"auto"`` is bfloat16 on a GPU, else float32.
        seed: Of order and adapters.
    """

    learning_rate: float = 5e-6
    beta: float = 0.1
    imitation: float = 1.0
    epochs: float = 1.0
    batch_size: int = 16
    rows_at_once: int = 4
    pairs: int = 0
    max_length: int = 2048
    lora_rank: int = 0
    save_steps: int = 50
    dtype: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises `UsageError` for numbers that make no sense."""
        if min(self.batch_size, self.rows_at_once) < 1 or self.batch_size % self.rows_at_once:
            raise UsageError(f"a batch of {self.batch_size} is not made of {self.rows_at_once} rows at once")
        if min(self.learning_rate, self.beta, self.epochs) <= 0:
            raise UsageError("learning rate, beta and epochs are positive")
        if min(self.imitation, self.lora_rank, self.pairs) < 0:
            raise UsageError("imitation, LoRA rank and pairs are at least 0")


def common_arguments(out: Path, settings: RLSettings | DPOSettings) -> dict[str, Any]:
    """Returns the arguments that TRL's GRPO and DPO both take."""
    import torch

    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(out / CHECKPOINTS),
        "per_device_train_batch_size": settings.rows_at_once,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant",
        "beta": settings.beta,
        "logging_steps": 1,
        "save_total_limit": 2,
        "report_to": "tensorboard",
        "seed": settings.seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "disable_tqdm": True,
    }
